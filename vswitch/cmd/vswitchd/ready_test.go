package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
)

// A reload before the canary has shown that the policy is enforced does not say
// READY=1; what it owes is said when that is shown. A reload afterwards says it at once.
func TestReloadIsNoProof(t *testing.T) {
	dir := t.TempDir()
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	t.Setenv("NOTIFY_SOCKET", systemd.LocalAddr().String())
	cfg, err := config.Parse(filepath.Join(dir, "a.toml"), []byte("control = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	sw, err := vswitch.New(cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer sw.Close()
	// heard is whether systemd has been told READY=1; a mark ends what was sent by now.
	heard := func() (ready bool) {
		notify("X_MARK=1")
		for b := make([]byte, 4096); ; {
			n, err := systemd.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(b[:n]), "\n")
			if slices.Contains(lines, "X_MARK=1") {
				return ready
			}
			ready = ready || slices.Contains(lines, daemon.SdNotifyReady)
		}
	}
	d := &life{log: slog.New(slog.DiscardHandler), sw: sw, reload: func() error { return nil }}
	d.becomes = func() { notify(daemon.SdNotifyReady) }
	d.reloadTold()
	d.tell()
	if heard() {
		t.Error("a reload says that a switch is ready which has not started")
	}
	// As one that was ready, is not, and is reloaded meanwhile.
	d.ready = true
	if err := sw.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if ready, why := sw.Ready(); ready {
			break
		} else if time.Now().After(end) {
			t.Fatal(why)
		}
	}
	if d.tell(); !heard() {
		t.Error("the reload that has ended is not said to have")
	}
	if d.tell(); heard() {
		t.Error("it is said twice")
	}
	if d.reloadTold(); !heard() {
		t.Error("a reload of a switch that is ready is not said to have ended")
	}
}
