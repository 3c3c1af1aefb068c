package xdp

import (
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet/packettest"
)

const xdpRedirect = 4

// The VTEP of the filter under test, the host beside it, and a peer.
var (
	vtep4, host4, peer4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.2")
	vtep6, host6, peer6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("2001:db8::2")
	// Its last 24 bits are the VTEP's: both hear the same multicast group.
	twin6 = netip.MustParseAddr("2001:db8::77:0:1")
	group = netip.MustParseAddr("ff02::1:ff00:1")
)

const vxlanPort = 4789

func ether(layers ...packettest.Layer) []byte {
	return packettest.Make(append([]packettest.Layer{packettest.Ethernet()}, layers...)...)
}

// tunnel is a tunnel's packet to an address.
func tunnel(src, dst netip.Addr) []byte {
	return ether(packettest.IP(src, dst), packettest.UDP(50000, vxlanPort), packettest.VXLAN(7),
		packettest.Ethernet(), packettest.IPv4(packettest.A4, packettest.B4), packettest.UDP(1, 2), packettest.Payload(20))
}

// nd is neighbour discovery about a target, to an address.
func nd(kind uint8, to, target netip.Addr) []byte {
	body := append(make([]byte, 4), target.AsSlice()...)
	return ether(packettest.IPv6(peer6, to), packettest.ICMPv6(kind, 0), packettest.Raw(append(body, 1, 1, 2, 0, 0, 0, 0, 0xa)...))
}

// with returns the frame with bytes changed at an offset.
func with(frame []byte, at int, b ...byte) []byte {
	out := append([]byte(nil), frame...)
	copy(out[at:], b)
	return out
}

// inserted returns the frame with bytes put in at an offset.
func inserted(frame []byte, at int, b ...byte) []byte {
	out := append([]byte(nil), frame[:at]...)
	return append(append(out, b...), frame[at:]...)
}

// options makes room for n words of IPv4 options: no-operations.
func options(frame []byte, n int) []byte {
	filler := make([]byte, 4*n)
	for i := range filler {
		filler[i] = 1
	}
	return with(inserted(frame, 34, filler...), 14, byte(0x45+n))
}

var filtered = []struct {
	name  string
	frame []byte
	ours  bool
}{
	{"tunnel over IPv4", tunnel(peer4, vtep4), true},
	{"tunnel over IPv6", tunnel(peer6, vtep6), true},
	{"tunnel from a stranger: the switch counts it", tunnel(host4, vtep4), true},
	{"tunnel to the host", tunnel(peer4, host4), false},
	{"tunnel to the host over IPv6", tunnel(peer6, host6), false},
	{"tunnel to an address that differs in the last byte only", with(tunnel(peer6, vtep6), 53, 9), false},
	{"tunnel with one word of options", options(tunnel(peer4, vtep4), 1), true},
	{"tunnel with ten words of options", options(tunnel(peer4, vtep4), 10), true},
	{"options that hide another port", options(ether(packettest.IPv4(peer4, vtep4), packettest.UDP(50000, 53), packettest.Raw(0, 0, 0x12, 0xb5, 0, 0, 0, 0)), 1), false},
	{"header length below five words", with(tunnel(peer4, vtep4), 14, 0x44), false},
	{"header length of nothing", with(tunnel(peer4, vtep4), 14, 0x40), false},
	{"options behind the frame's end", with(tunnel(peer4, vtep4)[:42], 14, 0x4f), false},
	{"UDP to another port", ether(packettest.IPv4(peer4, vtep4), packettest.UDP(50000, 53), packettest.Payload(8)), false},
	{"UDP from the VXLAN port to another", ether(packettest.IPv4(peer4, vtep4), packettest.UDP(vxlanPort, 53), packettest.Payload(8)), false},
	{"UDP to another port over IPv6", ether(packettest.IPv6(peer6, vtep6), packettest.UDP(50000, 53), packettest.Payload(8)), false},
	{"TCP to the VXLAN port", ether(packettest.IPv4(peer4, vtep4), packettest.TCP(50000, vxlanPort, 2)), false},
	{"TCP to the VXLAN port over IPv6", ether(packettest.IPv6(peer6, vtep6), packettest.TCP(50000, vxlanPort, 2)), false},
	{"echo request to the VTEP", ether(packettest.IPv4(peer4, vtep4), packettest.ICMP(8, 0, 1, 1)), false},
	{"echo request to the VTEP over IPv6", ether(packettest.IPv6(peer6, vtep6), packettest.ICMPv6(128, 0), packettest.Payload(40)), false},
	{"fragmentation needed, to the VTEP", ether(packettest.IPv4(peer4, vtep4), packettest.ICMP(3, 4, 0, 1400), packettest.Payload(28)), true},
	{"fragmentation needed, to the host", ether(packettest.IPv4(peer4, host4), packettest.ICMP(3, 4, 0, 1400), packettest.Payload(28)), false},
	{"port unreachable, to the VTEP", ether(packettest.IPv4(peer4, vtep4), packettest.ICMP(3, 3, 0, 0), packettest.Payload(28)), false},
	{"packet too big, to the VTEP", ether(packettest.IPv6(peer6, vtep6), packettest.ICMPv6(2, 0), packettest.Payload(60)), true},
	{"packet too big, to the host", ether(packettest.IPv6(peer6, host6), packettest.ICMPv6(2, 0), packettest.Payload(60)), false},
	{"first fragment", with(tunnel(peer4, vtep4), 20, 0x20, 0), true},
	{"middle fragment", with(tunnel(peer4, vtep4), 20, 0x20, 0x10), true},
	{"last fragment, another port where UDP's would be", with(with(tunnel(peer4, vtep4), 20, 0, 0x10), 36, 0, 53), true},
	{"don't fragment is no fragment", with(with(tunnel(peer4, vtep4), 20, 0x40, 0), 36, 0, 53), false},
	{"fragment of TCP", with(ether(packettest.IPv4(peer4, vtep4), packettest.TCP(1, vxlanPort, 2)), 20, 0x20, 0), false},
	{"fragment to the host", with(tunnel(peer4, host4), 20, 0x20, 0), false},
	{"fragment over IPv6", with(inserted(tunnel(peer6, vtep6), 54, 17, 0, 0, 1, 0, 0, 0, 1), 20, 44), true},
	{"fragment of TCP over IPv6", with(inserted(tunnel(peer6, vtep6), 54, 6, 0, 0, 1, 0, 0, 0, 1), 20, 44), false},
	{"fragment over IPv6 to the host", with(inserted(tunnel(peer6, host6), 54, 17, 0, 0, 1, 0, 0, 0, 1), 20, 44), false},
	{"extension header", with(inserted(tunnel(peer6, vtep6), 54, 17, 0, 0, 0, 0, 0, 0, 0), 20, 0), false},
	{"tagged", inserted(tunnel(peer4, vtep4), 12, 0x81, 0, 0, 5), false},
	{"tagged with nought", inserted(tunnel(peer4, vtep4), 12, 0x81, 0, 0, 0), false},
	{"tagged by a provider", inserted(tunnel(peer6, vtep6), 12, 0x88, 0xa8, 0, 5), false},
	{"ARP request for the VTEP", ether(packettest.ARP(1, peer4, vtep4)), true},
	{"ARP reply to the VTEP", ether(packettest.ARP(2, peer4, vtep4)), true},
	{"ARP request for the host", ether(packettest.ARP(1, peer4, host4)), false},
	{"ARP reply to the host", ether(packettest.ARP(2, peer4, host4)), false},
	{"ARP announcement of another", ether(packettest.ARP(1, peer4, peer4)), false},
	{"solicitation for the VTEP, to its group", nd(135, group, vtep6), true},
	{"solicitation for the VTEP, to itself", nd(135, vtep6, vtep6), true},
	{"solicitation for another of the same group", nd(135, group, twin6), false},
	{"solicitation for the host", nd(135, host6, host6), false},
	{"advertisement to the VTEP", nd(136, vtep6, peer6), true},
	{"advertisement to the host", nd(136, host6, peer6), false},
	{"advertisement to all", nd(136, netip.MustParseAddr("ff02::1"), peer6), false},
	{"router advertisement", nd(134, netip.MustParseAddr("ff02::1"), peer6), false},
	{"neither IP nor ARP", with(tunnel(peer4, vtep4), 12, 0x88, 0xcc), false},
}

// loaded loads a program, with or without a socket for queue 0.
func loaded(t *testing.T, filter *Filter, withSocket bool) *ebpf.Program {
	t.Helper()
	p, err := newProgram(&Config{Queues: 1, Uplink: filter})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { p.Sockets.Close(); p.Program.Close() })
	if withSocket {
		fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := p.Sockets.Put(uint32(0), uint32(fd)); err != nil {
			t.Fatal(err)
		}
	}
	return p.Program
}

// action runs the program on a frame, in the kernel.
func action(t *testing.T, p *ebpf.Program, frame []byte) uint32 {
	t.Helper()
	got, err := p.Run(&ebpf.RunOptions{Data: frame, Repeat: 1})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func both() *Filter { return &Filter{Addrs: []netip.Addr{vtep4, vtep6}, UDPPort: vxlanPort} }

func TestFilter(t *testing.T) {
	root(t)
	live, dead := loaded(t, both(), true), loaded(t, both(), false)
	for _, c := range filtered {
		alive, without := uint32(xdpPass), uint32(xdpPass)
		if c.ours {
			alive, without = xdpRedirect, xdpDrop
		}
		if got := action(t, live, c.frame); got != alive {
			t.Errorf("%s: action %d, want %d", c.name, got, alive)
		}
		if got := action(t, dead, c.frame); got != without {
			t.Errorf("%s: without a socket: action %d, want %d", c.name, got, without)
		}
	}
}

// Whatever is cut off, the program neither reads beyond the end (it would not
// load) nor takes a frame whose port or target it cannot see.
func TestFilterCutShort(t *testing.T) {
	root(t)
	p := loaded(t, both(), true)
	for _, c := range filtered {
		for n := 14; n < len(c.frame); n++ {
			got := action(t, p, c.frame[:n])
			if got == xdpRedirect && (!c.ours || n < 34) || got != xdpRedirect && got != xdpPass {
				t.Errorf("%s, cut to %d bytes: action %d", c.name, n, got)
			}
		}
	}
}

// One family, or none at all: the other's frames are the host's.
func TestFilterOfOneFamily(t *testing.T) {
	root(t)
	for _, f := range []*Filter{
		{UDPPort: vxlanPort},
		{UDPPort: vxlanPort, Addrs: []netip.Addr{vtep4}},
		{UDPPort: vxlanPort, Addrs: []netip.Addr{vtep6}},
		{UDPPort: 8472, Addrs: []netip.Addr{vtep4, vtep6}},
	} {
		p := loaded(t, f, true)
		for i, c := range []struct {
			frame []byte
			want  bool
		}{
			{tunnel(peer4, vtep4), f.family(true).IsValid() && f.UDPPort == vxlanPort},
			{tunnel(peer6, vtep6), f.family(false).IsValid() && f.UDPPort == vxlanPort},
			{ether(packettest.ARP(1, peer4, vtep4)), f.family(true).IsValid()},
			{nd(135, group, vtep6), f.family(false).IsValid()},
		} {
			if got := action(t, p, c.frame) == xdpRedirect; got != c.want {
				t.Errorf("%+v, frame %d: taken %v, want %v", f, i, got, c.want)
			}
		}
	}
}

// A workload's port takes everything, the host nothing.
func TestEverything(t *testing.T) {
	root(t)
	live, dead := loaded(t, nil, true), loaded(t, nil, false)
	for _, c := range filtered {
		if got := action(t, live, c.frame); got != xdpRedirect {
			t.Errorf("%s: action %d", c.name, got)
		}
		if got := action(t, dead, c.frame); got != xdpDrop {
			t.Errorf("%s: without a socket: action %d", c.name, got)
		}
	}
}
