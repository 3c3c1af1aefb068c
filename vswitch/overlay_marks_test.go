package vswitch_test

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"

	"bulkhead/dataplane/packet"
)

// What the outer header says, seen on the real underlay, and what becomes of
// marks: the outer one has the inner one's (RFC 6040 4.1), TTL and DF of its own,
// a port that is the flow's; and congestion that the underlay marks reaches the
// workload (RFC 6040 4.2).
func TestSmokeOverlayMarks(t *testing.T) {
	root(t)
	bin, policy := build(t), buildPolicy(t, overlayPolicy)
	for _, o := range []overlay{
		{name: "ipv4", driver: "xdp"}, {name: "ipv6", driver: "xdp", v6: true},
		{name: "ipv4, udp", driver: "udp"}, {name: "ipv6, udp", driver: "udp", v6: true},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			s := o.run(t, bin, policy)
			pings(t, s.web, "10.66.0.2")
			s.marksOut(t)
			s.marksIn(t)
			s.balanced(t)
		})
	}
}

// marksOut has web ping with each mark, and looks at the underlay.
func (s *site) marksOut(t *testing.T) {
	t.Helper()
	for _, tos := range []int{0, 0xb8, 1, 2, 3, 0xbb} {
		heard := s.capture(t, s.k, "under")
		if out, err := exec.Command("ip", "netns", "exec", s.web, "ping", "-c", "3", "-i", "0.2", "-W", "1", "-Q", fmt.Sprint(tos), "10.66.0.2").CombinedOutput(); err != nil {
			t.Errorf("ping -Q %#x: %v: %s", tos, err, out)
		}
		ports := map[uint16]bool{}
		n := heard(func(f *packet.Frame) bool {
			h := &f.Headers
			if h.Key.DstPort != 4789 || h.Key.Src != s.vtep() || len(f.Bytes()) < int(h.Payload)+8+14+20 {
				return false
			}
			inner := packet.NewFrame(f.Bytes()[h.Payload+8:], 1)
			if packet.Parse(inner) != 0 || !isEchoRequest(inner) || !inner.Headers.Key.Dst.Is4() {
				return false
			}
			ports[h.Key.SrcPort] = true
			if f.TOS() != uint8(tos) || inner.TOS() != uint8(tos) || h.TTL != 64 || !h.V6 && f.Bytes()[h.L3+6]&0x40 == 0 || h.Key.SrcPort < 49152 {
				t.Errorf("ping -Q %#x: outer mark %#x, inner %#x, TTL %d, flags %#x, from port %d", tos, f.TOS(), inner.TOS(), h.TTL, f.Bytes()[h.L3+6], h.Key.SrcPort)
			}
			return true
		})
		if n != 3 || len(ports) != 1 {
			t.Errorf("ping -Q %#x: %d on the underlay, from ports %v", tos, n, ports)
		}
	}
}

func (s *site) vtep() packet.Addr {
	h, _, _, _, _ := s.addresses()
	return packet.AddrFrom(netip.MustParseAddr(h))
}

// marksIn sends tunnels with every outer and inner mark of congestion.
func (s *site) marksIn(t *testing.T) {
	t.Helper()
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	h, k, _, _, _ := s.addresses()
	for outer := range 4 {
		for inner := range 4 {
			want := inner
			switch {
			case outer == ce && inner == notECT:
				want = -1 // dropped: who does not know the mark would not slow down
			case outer == ce:
				want = ce
			case outer == ect1 && inner == ect0:
				want = ect1
			}
			heard := s.capture(t, s.web, "eth0")
			markedFrom(t, s.k, k, h, outer, tcpSYNMarked(t, uint8(inner)))
			got := -1
			heard(func(f *packet.Frame) bool {
				if isInjected(f) {
					got = int(f.TOS())
				}
				return false
			})
			if got != want {
				t.Errorf("outer %d, inner %d: web hears %d, want %d", outer, inner, got, want)
			}
		}
	}
}

func tcpSYNMarked(t *testing.T, tos uint8) []byte {
	t.Helper()
	b := tcpSYN(t, dbMAC, "10.66.0.2", webMAC, "10.66.0.1")
	f := packet.NewFrame(b, 1)
	if reason := packet.Parse(f); reason != 0 {
		t.Fatal(reason)
	}
	packet.SetTOS(f, tos)
	return f.Bytes()
}

// markedFrom sends one tunnel under a type of service.
func markedFrom(t *testing.T, netns, from, to string, tos int, inner []byte) {
	t.Helper()
	within(t, netns, func() error {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP(to), Port: 4789})
		if err != nil {
			return err
		}
		defer c.Close()
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		level, name := syscall.IPPROTO_IP, syscall.IP_TOS
		if net.ParseIP(to).To4() == nil {
			level, name = syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS
		}
		cerr := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), level, name, tos) })
		if cerr != nil || err != nil {
			return fmt.Errorf("%v, %v", cerr, err)
		}
		_, err = c.Write(append([]byte{8, 0, 0, 0, 0, 0, 100, 0}, inner...))
		return err
	})
}
