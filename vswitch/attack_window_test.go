package vswitch_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/internal/sys"
)

// A16, the window: a policy is replaced, or a port is made, and somebody is sending
// already. Both policies deny what mallory sends, and nobody has named the new port:
// at no moment may anything of it arrive. What both policies allow bob loses nothing
// of.
func TestAttackWindow(t *testing.T) {
	root(t)
	t.Parallel()
	for _, driver := range []string{"tap", "xdp"} {
		s := stage(t, driver, "")
		s.replaced(driver)
		s.made(driver)
	}
}

// replaced loads one policy after the other while mallory sends to bob, IPv4 and
// IPv6 in turn, as fast as it can.
func (s *scene) replaced(driver string) {
	s.t.Helper()
	s.policies()
	seen := s.watch(isWindowShot)
	before := s.drops("mallory")
	shots := make([][]byte, 2)
	for family := range shots {
		shots[family] = windowShot(s.t, family, mallory)
	}
	sent, end := volley(s.gun(), shots)
	good := s.steady(bob, alice, 5100, "good", time.Millisecond)
	n, slowest := times(10_000, 100), time.Duration(0)
	begun := time.Now()
	for i := range n {
		at := time.Now()
		s.load([]string{"other.bhp", "policy.bhp"}[i%2])
		slowest = max(slowest, time.Since(at))
	}
	took := time.Since(begun)
	end()
	s.quiet("mallory")
	of, lost := good.ends()
	row := attackRow{id: "A16", what: fmt.Sprintf("%d policies replaced under it, %s", n, driver), sent: sent.Load(), delivered: seen(), reasons: since(before, s.drops("mallory")),
		figures: fmt.Sprintf("%.0f a second, slowest %v; bob lost %d of %d", float64(n)/took.Seconds(), slowest.Round(time.Millisecond), lost, of)}
	row.report(s.t)
	if row.delivered != 0 || row.reasons["no-rule"] == 0 || lost*1000 > of {
		s.t.Errorf("%+v", row)
	}
}

// made has a fourth workload, eve, whose port comes and goes. It sends from before it
// has a port.
func (s *scene) made(driver string) {
	s.t.Helper()
	netns := namespace(s.t, "e")
	port := fmt.Sprintf("\n[[ports]]\nname = \"eve\"\ndriver = %q\nsegment = \"s\"\nmac = \"%s\"\nips = [%q, %q]\nlabels = { who = \"eve\" }\n", driver, eveMAC, sceneIP(3, 0), sceneIP(3, 1))
	if driver == "tap" {
		port += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", netns)
	} else {
		host := fmt.Sprintf("e%d", namespaces.Load())
		sh(s.t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, s.own, netns, eveMAC), "ip -n "+netns+" link set eth0 up")
		port += fmt.Sprintf("device = %q\n", host)
	}
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	seen := s.watch(isWindowShot)
	sent := eve(s.t, netns)
	n, denied := times(1000, 10), uint64(0)
	for range n {
		write(s.t, s.config, string(text)+port)
		s.reload()
		before := denied // the accounts go with the name
		for until := time.Now().Add(2 * time.Second); denied == before && time.Now().Before(until); denied = s.drops("eve")["no-rule"] {
			time.Sleep(time.Millisecond)
		}
		if denied == before {
			s.t.Fatal("eve's port is there, and nothing of what it sends is denied: that nothing arrives says nothing")
		}
		write(s.t, s.config, string(text))
		s.reload()
	}
	row := attackRow{id: "A16", what: fmt.Sprintf("%d ports made under it, %s", n, driver), sent: sent.Load(), delivered: seen(),
		reasons: map[string]uint64{"no-rule": denied}, figures: "the rest found no port, or one that was closed"}
	row.report(s.t)
	if row.delivered != 0 {
		s.t.Errorf("%+v", row)
	}
}

// reload has the configuration read. On a machine that is busy with other things the
// kernel may not have let go of a queue a second after its socket was closed; then
// the state before stays, and the call is made again.
func (s *scene) reload() {
	s.t.Helper()
	err := error(nil)
	for range 10 {
		if err = s.client.Post(context.Background(), "/v1/reload", nil, &api.Done{}); err == nil {
			return
		}
		if !strings.Contains(err.Error(), "device or resource busy") {
			break
		}
	}
	s.t.Fatalf("reload %s: %v", filepath.Base(s.config), err)
}

// eveMAC is the fourth's: sceneIP(3, ...) are its addresses.
var eveMAC = packet.MAC{2, 0x93, 0, 0, 0, 4}

// windowPort marks what must never arrive.
const windowPort = 6666

func windowShot(t *testing.T, family, who int) []byte {
	return made(t, family, func(p *packet.Spec) {
		p.DstMAC, p.Dst, p.DstPort = sceneMACs[bob], addr(sceneIP(bob, family)), windowPort
		if who == 3 {
			p.SrcMAC, p.Src = eveMAC, addr(sceneIP(3, family))
		}
	})
}

func isWindowShot(b []byte) bool {
	f := packet.NewFrame(b, 0)
	return packet.Parse(f) == 0 && f.Headers.Kind == packet.KindIP && f.Headers.Key.DstPort == windowPort && !f.Headers.ICMPError
}

// since is what was dropped from one reading of a port to the next.
func since(before, after map[string]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for reason, n := range after {
		if n -= before[reason]; n > 0 {
			out[reason] = n
		}
	}
	return out
}

// volley sends the frames in turn as fast as it can, until end is called.
func volley(g *gun, frames [][]byte) (sent *atomic.Uint64, end func()) {
	var stop atomic.Bool
	sent, done := new(atomic.Uint64), make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			for _, b := range frames {
				g.fire(b)
				sent.Add(1)
			}
		}
	}()
	return sent, func() { stop.Store(true); <-done }
}

// eve sends from a namespace until the test ends, by a device that is there or not.
func eve(t *testing.T, netns string) *atomic.Uint64 {
	t.Helper()
	ns, err := sys.OpenNetns(netns)
	if err != nil {
		t.Fatal(err)
	}
	shots := [][]byte{windowShot(t, 0, 3), windowShot(t, 1, 3)}
	var sent, stop = new(atomic.Uint64), new(atomic.Bool)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = ns.Do(func() error {
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			to := &unix.SockaddrLinklayer{Halen: 6}
			for n := 0; !stop.Load(); n++ {
				if unix.Sendto(fd, shots[n%2], 0, to) == nil {
					sent.Add(1)
				} else if device, err := net.InterfaceByName("eth0"); err == nil {
					to.Ifindex = device.Index
				}
			}
			return nil
		})
	}()
	t.Cleanup(func() { stop.Store(true); <-done; ns.Close() })
	return sent
}
