// Command vswitchd is the switch's daemon: it opens the ports that its
// configuration names, passes what the policy allows, and answers vsctl.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/config"
)

// Exit codes, as --help states them.
const (
	exitFailed = 1 // the switch could not start, or stopped for an error
	exitUsage  = 2 // the call or the configuration is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(codeOf(cli.Run(ctx, command(), os.Args[1:])))
}

// badConfig is a configuration that cannot be run: exit code 2.
type badConfig struct{ error }

func (b badConfig) Unwrap() error { return b.error }

// codeOf says what went wrong, and returns the exit code for it.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		fmt.Fprintln(os.Stderr, mistakes) // each begins with its place, as editors want it
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "vswitchd: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nvswitchd: "))
	var usage cli.Usage
	var bad badConfig
	if errors.As(err, &usage) || errors.As(err, &bad) {
		return exitUsage
	}
	return exitFailed
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "vswitchd",
		Short: "The Bulkhead switch: passes only the connections a policy names",
		Long: `vswitchd opens the ports that its configuration names and passes between them
only the connections that the policy allows. Without a policy nothing passes.

Signals: SIGHUP reloads configuration and policy (all or nothing), SIGTERM and
SIGINT stop and remove every device, SIGUSR2 stops and leaves ports and
sessions with the port helper, where a switch that is started within 10
seconds takes them over.

Exit codes: 0 done, 1 the switch failed, 2 the call or the configuration is wrong.`,
		Example: `  vswitchd check -c /etc/bulkhead/bulkhead.toml
  vswitchd run -c /etc/bulkhead/bulkhead.toml
  kill -HUP $(pidof vswitchd)`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.AddCommand(runCommand(), checkCommand(), portsCommand())
	cli.Finish(root)
	return root
}

func runCommand() *cobra.Command {
	var s start
	cmd := &cobra.Command{
		Use: "run -c FILE", DisableFlagsInUseLine: true,
		Short: "Run the switch in the foreground",
		Long: `Runs until SIGTERM or SIGINT. Tells systemd when it is ready (Type=notify).
Logs to stderr: JSON where that is no terminal.

Ports are opened by a second process, 'vswitchd ports', which is started if none
listens yet; this one then gives all its privileges up, for good. With
--single-process it keeps them and opens ports itself.`,
		Example: `  vswitchd run -c /etc/bulkhead/bulkhead.toml
  vswitchd run -c /etc/bulkhead/bulkhead.toml --user bulkhead
  vswitchd run -c bulkhead.toml 2>switch.log &
  systemd-run -p Type=notify vswitchd run -c /etc/bulkhead/bulkhead.toml`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if s.cfg, err = config.Load(s.file); err != nil {
				return badConfig{err}
			}
			return run(cmd.Context(), &s)
		},
	}
	cmd.Flags().StringVarP(&s.file, "config", "c", "/etc/bulkhead/bulkhead.toml", "the configuration `FILE`")
	cmd.Flags().BoolVar(&s.single, "single-process", false, "open ports in this process, and keep its privileges")
	cmd.Flags().StringVar(&s.user, "user", "", "become this `USER` once the sockets are open (default: stay who you are)")
	return cmd
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func checkCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "check -c FILE", DisableFlagsInUseLine: true,
		Short: "Check a configuration, and report every mistake at once",
		Long:  `Reads the configuration and changes nothing; needs no privilege.`,
		Example: `  vswitchd check -c bulkhead.toml
  vswitchd check -c new.toml && mv new.toml /etc/bulkhead/bulkhead.toml && vsctl reload
  vswitchd check`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return badConfig{err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s: good\n", file, count(len(cfg.Segments), "segment"), count(len(cfg.Ports), "port"))
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "/etc/bulkhead/bulkhead.toml", "the configuration `FILE`")
	return cmd
}
