package vswitch_test

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
)

// F01, kill -9: the daemon is killed again and again while mallory sends to bob by
// two ways, through the switch, which denies it, and to the MAC of the host's end of
// its veth, from where the host's own stack would forward it at once: it forwards,
// has the route and knows bob's MAC. Nothing arrives, the daemon starts each time,
// and what is allowed passes again. At the end the daemon is stopped, and the second
// way is open: so it was the guard that held.
func TestFaultKill(t *testing.T) {
	root(t)
	for _, driver := range []string{"packet", "xdp"} {
		t.Run(driver, func(t *testing.T) { kills(t, driver) })
	}
}

func kills(t *testing.T, driver string) {
	s := stage(t, driver, "")
	hosts := [3]string{}
	for i := range hosts {
		hosts[i] = s.hostEnd(i)
	}
	s.stackForwards(hosts[bob])
	through := s.steady(mallory, bob, 5100, "through", time.Millisecond)
	beside := s.steady(mallory, bob, 5100, "beside", time.Millisecond, func(p *packet.Spec) {
		p.DstMAC = packet.MAC(macIn(t, s.own, hosts[mallory]))
	})
	good := s.steady(bob, alice, 5100, "good", 2*time.Millisecond)
	n, start, pass := times(100, 5), time.Duration(0), time.Duration(0)
	for range n {
		_ = s.daemon.Process.Kill()
		_ = s.daemon.Wait()
		time.Sleep(100 * time.Millisecond) // a hundred frames that nobody is there to deny
		begun := time.Now()
		s.run()
		start = max(start, time.Since(begun))
		took, came := good.comes(5 * time.Second)
		if !came {
			t.Fatal("after a kill and a start nothing passes that is allowed")
		}
		pass = max(pass, took)
	}
	_, leaked1 := through.counts()
	sent, leaked2 := beside.counts()
	faultRow{
		id: "F01", what: "kill -9 and start, " + driver, events: n, sent: sent, lost: 0, leaked: leaked1 + leaked2,
		figures: fmt.Sprintf("ready after %v, carries %v later at the most", start.Round(time.Millisecond), pass.Round(time.Millisecond)),
	}.report(t, 0)
	if sent < 20*n {
		t.Errorf("mallory sent %d: that nothing leaked says nothing", sent)
	}
	_ = s.daemon.Process.Signal(syscall.SIGTERM)
	_ = s.daemon.Wait()
	sh(t, "ip -n "+s.own+" link set "+hosts[mallory]+" up", "ip -n "+s.own+" link set "+hosts[bob]+" up")
	if _, came := beside.comes(5 * time.Second); !came {
		t.Error("without the switch the host's stack does not forward: the guard has proved nothing")
	}
}

// hostEnd is the device in the switch's namespace whose peer is a workload's eth0.
func (s *scene) hostEnd(who int) string {
	s.t.Helper()
	out, err := exec.Command("sh", "-c", fmt.Sprintf("ip -n %s -o link | grep -o 'k%d-[0-9]*'", s.own, who)).Output()
	if err != nil || len(out) < 2 {
		s.t.Fatalf("no device k%d in %s: %v", who, s.own, err)
	}
	return string(out[:len(out)-1])
}

// stackForwards gives the switch's own stack all that it needs to send on to bob.
func (s *scene) stackForwards(device string) {
	s.t.Helper()
	in(s.t, s.own, "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0",
		"sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done'")
	sh(s.t, fmt.Sprintf("ip -n %s addr add 192.0.2.1 peer %s/32 dev %s", s.own, sceneIP(bob, 0), device))
	keepRoutes(s.t, s.own, device, sceneIP(bob, 0), macIn(s.t, s.bob, "eth0"))
}
