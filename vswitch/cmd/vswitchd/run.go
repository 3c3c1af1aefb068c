package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"bulkhead/vswitch"
	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/metrics"
)

// start is how the daemon was asked to run.
type start struct {
	file   string // the configuration
	single bool   // one process, which keeps its privileges
	user   string // whom the switch becomes; empty: it stays who it is
	cfg    *config.Config
}

// run is the daemon's life: the control socket first, because it is also the
// lock against a second daemon; then the process that opens ports, after which
// this one gives its privileges up; then the switch; then the news that it is
// ready. It goes down in the opposite order.
func run(ctx context.Context, s *start) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from now on it does not end us
	defer signal.Stop(hup)
	leave := make(chan os.Signal, 1)
	signal.Notify(leave, syscall.SIGUSR2)
	defer signal.Stop(leave)
	log, cfg := newLog(), s.cfg
	ports, err := s.opener(log)
	if err != nil {
		return err
	}
	sw, err := vswitch.NewApart(cfg, ports.Open, ports.apart(), log)
	if err != nil {
		return err
	}
	defer ports.Close()
	defer sw.Close() // nothing is left of a start that fails half-way
	reload := func() error {
		return sw.ReloadFrom(func() (*config.Config, error) { return config.Load(s.file) })
	}
	operator := sw.Control(version(), reload)
	ctl, err := control.Listen(control.Options{Path: cfg.Control, Group: cfg.ControlGroup, Log: log, Switch: operator})
	if err != nil {
		return err
	}
	defer ctl.Close()
	var gauge *metrics.Server
	if cfg.Metrics != "" {
		if gauge, err = metrics.Listen(cfg.Metrics, operator, log); err != nil {
			return err
		}
		defer gauge.Close()
	}
	if err := ports.begin(); err != nil {
		return err
	}
	sw.Inherit(ports.remains())
	sw.AbortWhenStuck()
	if err := sw.Start(); err != nil {
		return err
	}
	if err := ports.started(); err != nil {
		return err
	}
	go ctl.Serve()
	if gauge != nil {
		go gauge.Serve()
	}
	d := &life{log: log, sw: sw, reload: reload, hup: hup, leave: leave}
	d.becomes = func() {
		log.Info("ready", "config", s.file, "ports", len(cfg.Ports), "control", cfg.Control, "single_process", s.single, "version", version())
		notify(daemon.SdNotifyReady)
	}
	left := d.wait(ctx)
	notify(daemon.SdNotifyStopping)
	if left && ports.client != nil {
		sw.Leave()
		ports.leave()
		log.Info("left", "effect", "the port helper holds ports and sessions for the next switch", "for", lingers)
		return nil
	}
	log.Info("stopping")
	return errors.Join(sw.Close(), ports.Close())
}

// life is the daemon between its start and its end.
type life struct {
	log     *slog.Logger
	sw      *vswitch.Switch
	reload  func() error
	hup     <-chan os.Signal
	leave   <-chan os.Signal
	becomes func() // what is done when the switch is ready for the first time
	ready   bool   // it has been
	told    string // why it is not, as systemd was told last

	owes atomic.Bool // a reload has ended while it was not ready: systemd waits for READY=1
}

// wait blocks until the daemon is told to stop, or to leave all to the next one; SIGHUP
// reloads meanwhile, and systemd's watchdog, where it is asked for, is fed.
func (d *life) wait(ctx context.Context) (leave bool) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		every = 24 * time.Hour
	}
	feed := time.NewTicker(every / 3)
	defer feed.Stop()
	look := time.NewTicker(readyLook)
	defer look.Stop()
	reloads := make(chan struct{})
	go func() {
		defer close(reloads)
		d.reloads(ctx)
	}()
	for {
		select {
		case <-ctx.Done():
			<-reloads
			return leave
		case <-d.leave:
			leave = true
			end()
		case <-feed.C:
			d.feed(every / 3)
		case <-look.C:
			if d.tell(); d.ready {
				look.Reset(stillLook)
			}
		}
	}
}

// readyLook is how often it is asked whether the switch is ready yet, and stillLook
// whether it still is: a silent switch is not to be awake for it.
const (
	readyLook = 50 * time.Millisecond
	stillLook = time.Second
)

// tell says when the switch has become ready: its canary has shown that the policy
// is enforced. systemd holds back until then what is ordered after the switch. Once a
// service is ready systemd has no word for one that is not any more, so that is a
// text in its status; vsctl status, the metrics and the log say it, too.
func (d *life) tell() {
	ready, why := d.sw.Ready()
	switch {
	case ready && !d.ready:
		d.ready = true
		d.owes.Store(false)
		d.becomes()
	case ready && d.owes.Swap(false):
		notify(daemon.SdNotifyReady)
	}
	if why != d.told {
		d.told = why
		if why == "" {
			why = "ready"
		}
		notify("STATUS=" + why)
	}
}

// reloads reloads at each SIGHUP until the daemon is to stop. It has a goroutine
// of its own: a reload that takes long must not starve the watchdog.
func (d *life) reloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.hup:
			d.reloadTold()
		}
	}
}

// feed feeds the watchdog if every worker answers: frames are what the daemon
// is there for, and a worker that hangs is a daemon that hangs.
func (d *life) feed(within time.Duration) {
	if err := d.sw.Answer(within); err != nil {
		d.log.Error("watchdog", "error", err)
		return
	}
	notify(daemon.SdNotifyWatchdog)
}

// reloadTold reloads and tells systemd so: by the clock that it asks for with
// Type=notify-reload.
func (d *life) reloadTold() {
	d.owes.Store(false) // this one's end answers for the one before, too
	notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	if err := d.reload(); err != nil {
		d.log.Error("reload", "error", err, "effect", "the old state stays in force")
	} else {
		d.log.Info("reload")
	}
	// READY=1 says that the policy is enforced, which a reload does not show: before the
	// canary has shown it, tell says it when it has.
	if ready, _ := d.sw.Ready(); !ready {
		d.owes.Store(true)
		return
	}
	notify(daemon.SdNotifyReady)
}

// notify tells systemd, if it started us; there is nobody else to tell.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

// newLog logs to stderr: text for people, JSON for machines.
func newLog() *slog.Logger {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, nil))
}

// version is what the build knows of itself.
func version() string { return cli.Version() }
