package xdp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/porttest"
)

// shared is a device that the host and an uplink share: its namespace, with the
// host's address, and the wire's.
type shared struct {
	host, wire         *sys.Netns
	hostName, wireName string
	region             *port.Region
	pool               *port.Pool
}

const uplinkDevice = "up0"

// Both ends' namespaces, joined by a veth. IPv6 addresses need no waiting.
func newShared(t *testing.T) *shared {
	t.Helper()
	rigs++
	hostName, wireName := fmt.Sprintf("bus%dn%d", os.Getpid(), rigs), fmt.Sprintf("buw%dn%d", os.Getpid(), rigs)
	for _, name := range []string{hostName, wireName} {
		ip(t, "netns", "add", name)
		t.Cleanup(func() { _ = sys.RemoveNetns(name) })
	}
	ip(t, "link", "add", uplinkDevice, "netns", hostName, "type", "veth", "peer", "name", "eth0", "netns", wireName)
	for _, e := range []struct {
		ns, device string
		addrs      []string
	}{
		{hostName, uplinkDevice, []string{host4.String() + "/24", host6.String() + "/64"}},
		{wireName, "eth0", []string{peer4.String() + "/24", peer6.String() + "/64"}},
	} {
		for _, a := range e.addrs {
			args := []string{"-n", e.ns, "addr", "add", a, "dev", e.device}
			if strings.Contains(a, ":") {
				args = append(args, "nodad")
			}
			ip(t, args...)
		}
		ip(t, "-n", e.ns, "link", "set", e.device, "up")
	}
	s := &shared{host: entered(t, hostName), wire: entered(t, wireName), hostName: hostName, wireName: wireName}
	var err error
	if s.region, err = port.NewRegion(mapped(t, 4096*port.ChunkSize)); err != nil {
		t.Fatal(err)
	}
	s.pool = port.NewPool(s.region)
	return s
}

func entered(t *testing.T, name string) *sys.Netns {
	t.Helper()
	ns, err := sys.OpenNetns(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// open opens the uplink, as a daemon in the host's namespace would.
func (s *shared) open(mode string, filter *Filter) (p *Port, err error) {
	return s.openMTU(mode, filter, 1500)
}

func (s *shared) openMTU(mode string, filter *Filter, mtu int) (p *Port, err error) {
	err = s.host.Do(func() error {
		p, err = Open(Config{Name: "up", Device: uplinkDevice, Mode: mode, MTU: mtu, Queues: 1, Port: 3, Region: s.region, Uplink: filter})
		return err
	})
	return p, err
}

// echoes serves the host's end of connections: what comes goes back.
func (s *shared) echoes(t *testing.T, at netip.Addr) (stop func()) {
	t.Helper()
	var l net.Listener
	if err := s.host.Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(at, 22).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	return func() { l.Close() }
}

// talks sends a good deal to the host and back, over the shared device.
func (s *shared) talks(t *testing.T, when string, to netip.Addr) {
	t.Helper()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
	err := s.wire.Do(func() error {
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(to, 22).String(), 3*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		go func() { _, _ = c.Write(sent) }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if !bytes.Equal(got, sent) {
			return fmt.Errorf("%d bytes came back as others", len(got))
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: the host at %s: %v", when, to, err)
	}
}

// receive waits until the port has n frames, and returns them.
func (s *shared) receive(t *testing.T, p *Port, n int) (frames [][]byte) {
	t.Helper()
	var b packet.Batch
	for end := time.Now().Add(2 * time.Second); len(frames) < n && time.Now().Before(end); {
		if _, err := sys.Poll(10*time.Millisecond, p.queues[0].FD()); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if err := p.queues[0].Recv(&b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			frames = append(frames, append([]byte(nil), b.Frame(i).Bytes()...))
			s.pool.PutFrame(b.Frame(i))
		}
	}
	return frames
}

// The host's connections over an uplink go on, before, while and after the
// switch is there, and the switch sees the tunnel's frames and no other.
func TestUplinkIsShared(t *testing.T) {
	root(t)
	for _, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			s := newShared(t)
			for _, at := range []netip.Addr{host4, host6} {
				defer s.echoes(t, at)()
			}
			both4and6 := func(when string) {
				t.Helper()
				s.talks(t, when, host4)
				s.talks(t, when, host6)
			}
			both4and6("before the switch")
			p, err := s.open(mode, both())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			both4and6("before Up")
			if err := s.host.Do(p.Up); err != nil {
				t.Fatal(err)
			}
			wire, err := porttest.OpenSocket(s.wireName, "eth0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(wire.Close)
			ours := [][]byte{
				tunnel(peer4, vtep4), ether(packettest.ARP(1, peer4, vtep4)), nd(135, group, vtep6), tunnel(peer6, vtep6),
			}
			for i, f := range ours {
				both4and6("with the switch")
				if err := wire.Inject(f, packet.Offload{}); err != nil {
					t.Fatal(err)
				}
				if got := s.receive(t, p, 1); len(got) != 1 || !bytes.Equal(got[0], f) {
					t.Fatalf("frame %d: the switch has %x", i, got)
				}
			}
			both4and6("with the switch")
			if n := p.Stats().RxFrames; n != uint64(len(ours)) {
				t.Errorf("the switch took %d frames, want %d", n, len(ours))
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			both4and6("after the switch")
		})
	}
}

// When the daemon dies its sockets go, and the program stays: the host does not
// notice, and the tunnel's frames do not reach it.
func TestUplinkOfADeadSwitch(t *testing.T) {
	root(t)
	s := newShared(t)
	defer s.echoes(t, host4)()
	p, err := s.open("native", both())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if err := p.queues[0].shut(); err != nil {
		t.Fatal(err)
	}
	p.queues = nil
	s.talks(t, "with a dead switch", host4)
	host, err := porttest.OpenSocket(s.hostName, uplinkDevice)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	wire, err := porttest.OpenSocket(s.wireName, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wire.Close)
	last := ether(packettest.IPv4(peer4, host4), packettest.UDP(50000, vxlanPort), packettest.Payload(8))
	for _, f := range [][]byte{tunnel(peer4, vtep4), last} {
		if err := wire.Inject(f, packet.Offload{}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		got, _, came := host.Take(2 * time.Second)
		switch {
		case !came:
			t.Fatal("the host's own frame did not come")
		case bytes.Equal(got, tunnel(peer4, vtep4)):
			t.Fatal("the tunnel's frame reached the host")
		case bytes.Equal(got, last):
			return
		}
	}
}

// An address that both have would leave the host without answers to its ARP.
func TestUplinkRefusesTheHostsAddress(t *testing.T) {
	root(t)
	s := newShared(t)
	for _, addr := range []netip.Addr{host4, host6} {
		p, err := s.open("native", &Filter{Addrs: []netip.Addr{addr}, UDPPort: vxlanPort})
		if err == nil {
			p.Close()
			t.Fatalf("%s: opened", addr)
		}
		if !strings.Contains(err.Error(), "ip addr del "+addr.String()) {
			t.Errorf("%s: no cure in %q", addr, err)
		}
	}
}
