package main

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/helper"
)

// lingers is how long the helper holds ports for a switch that has died.
const lingers = 10 * time.Second

// holder is how the port helper was asked to run.
type holder struct {
	file    string
	user    string
	again   bool // start it again whenever it dies
	forever bool
}

func portsCommand() *cobra.Command {
	var h holder
	cmd := &cobra.Command{
		Use: "ports -c FILE", DisableFlagsInUseLine: true,
		Short: "Open ports for a switch that has no privileges",
		Long: `The privileged process beside the switch: it opens the ports that the
configuration names, hands them over, and closes them. It reads no frame. 'vswitchd
run' starts one by itself; systemd has a unit for each.

It ends with its switch. If that dies its ports are held as they are for 10 seconds,
in which the next one may come and is handed them, and are closed then.`,
		Example: `  vswitchd ports -c /etc/bulkhead/bulkhead.toml --forever
  vswitchd ports -c /etc/bulkhead/bulkhead.toml --user bulkhead --forever
  systemctl start bulkhead-ports.service`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(h.file)
			if err != nil {
				return badConfig{err}
			}
			if h.again {
				return h.keepUp(cmd.Context())
			}
			return h.serve(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVarP(&h.file, "config", "c", "/etc/bulkhead/bulkhead.toml", "the configuration `FILE`")
	cmd.Flags().StringVar(&h.user, "user", "", "serve a switch that runs as this `USER` (default: as you)")
	cmd.Flags().BoolVar(&h.forever, "forever", false, "outlive the switch, and wait for the next one")
	cmd.Flags().BoolVar(&h.again, "again", false, "start it again whenever it dies, until it ends by itself")
	return cmd
}

// serve is the helper's life.
func (h *holder) serve(ctx context.Context, cfg *config.Config) error {
	uid, _, err := idsOf(h.user)
	if err != nil {
		return err
	}
	if uid < 0 {
		uid = os.Getuid()
	}
	s, err := helper.Listen(helper.Options{
		Path: portsPath(cfg), UID: uid, Linger: lingers, Forever: h.forever,
		Load:  func() (*config.Config, error) { return config.Load(h.file) },
		Begin: silence, Open: openPort, Keep: keepPort, Log: newLog(),
	})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	return s.Serve()
}

// keepUp runs the helper as a child, and another one whenever it has died: the switch
// cannot, once it has no privileges. It ends when one ends by itself.
func (h *holder) keepUp(ctx context.Context) error {
	args := []string{"ports", "-c", h.file}
	if h.user != "" {
		args = append(args, "--user", h.user)
	}
	for ctx.Err() == nil {
		child := self(args...)
		if err := child.Start(); err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = child.Process.Signal(syscall.SIGTERM) })
		err := child.Wait()
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartPause):
		}
	}
	return nil
}

// restartPause keeps a helper that cannot start from being started all the time.
const restartPause = 200 * time.Millisecond
