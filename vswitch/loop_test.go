package vswitch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Two ports, on TAPs, lead to each other by a wire that a guest has made between
// them: one is blocked and says so, and the third port goes on. When the wire is
// cut the port comes back by itself.
func TestSmokeLoop(t *testing.T) {
	root(t)
	t.Parallel()
	bin, dir := build(t), t.TempDir()
	own, config, socket := namespace(t, "s"), filepath.Join(dir, "bulkhead.toml"), filepath.Join(dir, "s.sock")
	writePolicy(t, filepath.Join(dir, "web.bhp"), "tcp/5100")
	text := "policy = \"web.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\ngateways = [\"10.92.0.254/24\"]\nbroadcast = \"flood\"\n"
	guest, other := namespace(t, "guest"), namespace(t, "other")
	port := func(n int, ns, device, more string) {
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"s\"\nmac = \"02:92:00:00:00:0%d\"\nips = [\"10.92.0.%d\"]\nnetns = %q\ndevice = %q\n%s\n", n, n+1, n+1, ns, device, more)
	}
	port(0, guest, "eth0", "loop_retry = 2")
	port(1, guest, "eth1", "loop_retry = 2")
	port(2, other, "eth0", "")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, bin, config, own)
	cut := make(chan struct{})
	a, b := openWire(t, guest, "eth0"), openWire(t, guest, "eth1")
	for _, w := range [][2]*wire{{a, b}, {b, a}} {
		untilEnd(t, func() {
			f, _ := w[0].receive(20 * time.Millisecond)
			select {
			case <-cut:
			default:
				if f != nil {
					w[1].send(f)
				}
			}
		}, func() {})
	}
	soon(t, "the port says with which it is in a loop", 10*time.Second, func() bool {
		return strings.Contains(portOf(t, socket, "p1").Blocked, "loop with port p0")
	})
	if p := portOf(t, socket, "p0"); p.Blocked != "" {
		t.Errorf("the other port is blocked, too: %s", p.Blocked)
	}
	if log, _ := os.ReadFile(filepath.Join(dir, "log")); !strings.Contains(string(log), "port-blocked") {
		soon(t, "the log says so", 5*time.Second, func() bool {
			log, _ = os.ReadFile(filepath.Join(dir, "log"))
			return strings.Contains(string(log), "port-blocked")
		})
	}
	transfer(t, guest, other, "10.92.0.3", "beside a loop")
	close(cut)
	soon(t, "the port is tried again", 10*time.Second, func() bool { return portOf(t, socket, "p1").Blocked == "" })
}
