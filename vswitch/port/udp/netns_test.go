package udp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
)

// Real sockets in a namespace of their own, over its loopback device, where a
// train crosses as one: the port on one side, plain sockets on the other.

// world makes the namespace, and runs f on a thread in it.
func world(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: namespaces")
	}
	name := fmt.Sprintf("udp%d-%s", os.Getpid(), strings.ToLower(t.Name()[len(t.Name())-4:]))
	for _, line := range []string{"netns add " + name, "-n " + name + " link set lo mtu 1500 up", "-n " + name + " addr add fd00::1/128 dev lo nodad", "-n " + name + " addr add fd00::2/128 dev lo nodad"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	ns, err := sys.OpenNetns(name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(func() error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// side is a family: the port's address and the other's.
type side struct{ own, peer netip.Addr }

var sides = []side{
	{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")},
	{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")},
}

func openPort(t *testing.T, queues int) *Port {
	t.Helper()
	p, err := Open(Config{Name: "up", Addrs: []netip.Addr{sides[0].own, sides[1].own}, UDPPort: 4789, Queues: queues, Port: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func listen(t *testing.T, a netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 4789)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// tunnelTo is a frame as the walk gives it out: headers, VXLAN, an inner frame.
func tunnelTo(s side, sport uint16, tos uint8, tunnel []byte) *packet.Frame {
	n := outerLen(family(s.own))
	b := append(make([]byte, n), tunnel...)
	putOuter(b, netip.AddrPortFrom(s.own, sport), netip.AddrPortFrom(s.peer, 4789), tos, len(tunnel))
	f := packet.NewFrame(b, 1)
	f.Egress, f.Outer = 3, uint16(n+vxlanLen)
	return f
}

// recv receives until there are n frames, or nothing comes any more.
func recv(t *testing.T, p *Port, n int, visit func(*packet.Frame)) {
	t.Helper()
	var b packet.Batch
	for end := time.Now().Add(10 * time.Second); n > 0 && time.Now().Before(end); {
		for _, q := range p.Queues() {
			b.Reset()
			if err := q.Recv(&b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				visit(b.Frame(i))
				n--
			}
		}
	}
	if n != 0 {
		t.Errorf("%d frames more, or fewer if negative, are missing", n)
	}
}

// What is sent arrives, each frame as a datagram of its own, from a dynamic port,
// marked as it says, in order; equal ones travel together.
func TestSendTrains(t *testing.T) {
	world(t, func() {
		p := openPort(t, 1)
		for _, s := range sides {
			ear := listen(t, s.peer)
			var frames []*packet.Frame
			var want [][]byte
			for i := range 100 {
				n := 1000
				if i%10 == 9 {
					n = 400 // the last of a train
				}
				tunnel := bytes.Repeat([]byte{byte(i)}, n)
				frames, want = append(frames, tunnelTo(s, 51000, 0, tunnel)), append(want, tunnel)
			}
			p.Queues()[0].Send(frames)
			b := make([]byte, 2000)
			for i := range want {
				_ = ear.SetReadDeadline(time.Now().Add(2 * time.Second))
				n, from, err := ear.ReadFromUDPAddrPort(b)
				if err != nil {
					t.Fatalf("%s: datagram %d: %v", s.peer, i, err)
				}
				if !bytes.Equal(b[:n], want[i]) || from.Addr().Unmap() != s.own || from.Port() < 49152 {
					t.Fatalf("%s: datagram %d of %d bytes from %s", s.peer, i, n, from)
				}
			}
			for _, f := range frames {
				if f.Reason != drop.None {
					t.Fatalf("%s: %s", s.peer, f.Reason)
				}
			}
		}
		if s := p.Stats(); s.TxFrames != 200 || s.Extra["tx_trains"] != 20 || s.Extra["tx_calls"] > 4 {
			t.Errorf("%+v", s)
		}
	})
}

// A superframe is cut into what its segmenter would make of it.
func TestSendSuperframe(t *testing.T) {
	world(t, func() {
		p := openPort(t, 1)
		for _, s := range sides {
			ear := listen(t, s.peer)
			const payload, size = 60000, 1300
			f := tunnelTo(s, 51000, 0, inner(false, packet.ProtoTCP, payload))
			plain := packet.NewFrame(bytes.Clone(f.Bytes()[f.Outer:]), 1)
			packet.Parse(plain)
			o := packet.Offload{Checksum: packet.ChecksumPartial, GSO: packet.GSOTCP4, CsumStart: plain.Headers.L4, CsumOffset: tcpChecksum, Size: size, HeaderLen: plain.Headers.Payload}
			plain.Offload, f.Headers, f.Offload = o, plain.Headers, o
			f.Offload.CsumStart += f.Outer
			p.Queues()[0].Send([]*packet.Frame{f})
			if f.Reason != drop.None {
				t.Fatal(f.Reason)
			}
			var cut packet.Segmenter
			if !cut.Init(plain) {
				t.Fatal("the segmenter refuses it")
			}
			want, b := make([]byte, 2000), make([]byte, 2000)
			for i := 0; cut.NextLen() > 0; i++ {
				w := want[:cut.Next(want)]
				_ = ear.SetReadDeadline(time.Now().Add(2 * time.Second))
				n, _, err := ear.ReadFromUDPAddrPort(b)
				if err != nil || !bytes.Equal(b[vxlanLen:n], w) || !bytes.Equal(b[:vxlanLen], []byte{8, 0, 0, 0, 0, 0, 100, 0}) {
					t.Fatalf("%s: piece %d: %d bytes, want %d, %v", s.peer, i, n-vxlanLen, len(w), err)
				}
			}
		}
		if s := p.Stats(); s.TxFrames != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// What cannot go is dropped, each for its reason.
func TestSendRefuses(t *testing.T) {
	world(t, func() {
		p := openPort(t, 1)
		far := side{sides[0].own, netip.MustParseAddr("198.51.100.1")}
		for name, c := range map[string]struct {
			f    *packet.Frame
			want drop.Reason
		}{
			"no tunnel":        {packet.NewFrame(make([]byte, 60), 1), drop.TxError},
			"too long":         {tunnelTo(sides[0], 51000, 0, make([]byte, 1500)), drop.TxOversize},
			"nowhere to route": {tunnelTo(far, 51000, 0, make([]byte, 100)), drop.NoUplink},
		} {
			if p.Queues()[0].Send([]*packet.Frame{c.f}); c.f.Reason != c.want {
				t.Errorf("%s: %s, want %s", name, c.f.Reason, c.want)
			}
		}
	})
}

// A train comes as its pieces, each behind headers that say whom it is from and
// for and how it is marked; and more than a batch takes is kept for the next.
func TestReceiveTrains(t *testing.T) {
	world(t, func() {
		p := openPort(t, 2)
		for _, s := range sides {
			fd, err := openSocket(s.peer, []option{{"size of pieces", unix.SOL_UDP, unix.UDP_SEGMENT, 600}})
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			level, name := unix.IPPROTO_IP, unix.IP_TOS
			if !s.own.Is4() {
				level, name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
			}
			if err := unix.SetsockoptInt(fd, level, name, 0x2e); err != nil {
				t.Fatal(err)
			}
			text := make([]byte, 60*600-100)
			for i := range text {
				text[i] = byte(i / 600)
			}
			const times = 3
			for range times {
				if err := unix.Sendto(fd, text, 0, sockaddr(s.own, 4789)); err != nil {
					t.Fatal(err)
				}
			}
			n, head := 0, outerLen(family(s.own))
			recv(t, p, times*60, func(f *packet.Frame) {
				size := 600
				if n%60 == 59 {
					size = 500
				}
				b := f.Bytes()
				if packet.Parse(f) != drop.None || f.Headers.Key.Dst != packet.AddrFrom(s.own) || f.TOS() != 0x2e || f.Ingress != 3 || int(f.Start) < packet.Headroom ||
					!bytes.Equal(b[head:], bytes.Repeat([]byte{byte(n % 60)}, size)) {
					t.Fatalf("frame %d: %d bytes, %+v", n, len(b), f.Headers)
				}
				n++
			})
		}
		if s := p.Stats(); s.RxFrames != 360 || s.Extra["rx_trains"] != 6 {
			t.Errorf("%+v", s)
		}
	})
}

// What finds the socket full is counted.
func TestReceiveLossesAreCounted(t *testing.T) {
	world(t, func() {
		p := openPort(t, 1)
		mouth := listen(t, sides[0].peer)
		const times = 2000
		for range times {
			if _, err := mouth.WriteToUDPAddrPort(make([]byte, 60000), netip.AddrPortFrom(sides[0].own, 4789)); err != nil {
				t.Fatal(err)
			}
		}
		var b packet.Batch
		got := uint64(0)
		for range 2 * times {
			b.Reset()
			if err := p.Queues()[0].Recv(&b); err != nil {
				t.Fatal(err)
			}
			got += uint64(b.Len())
		}
		if s := p.Stats(); s.Drops[drop.RxError] == 0 || got+s.Drops[drop.RxError] != times {
			t.Errorf("%d received and %d lost of %d", got, s.Drops[drop.RxError], times)
		}
	})
}

// A superframe that crosses as one datagram is marked as what it is.
func TestReceiveSuperframe(t *testing.T) {
	world(t, func() {
		p := openPort(t, 1)
		mouth := listen(t, sides[0].peer)
		tunnel := inner(false, packet.ProtoTCP, 9000)
		if _, err := mouth.WriteToUDPAddrPort(tunnel, netip.AddrPortFrom(sides[0].own, 4789)); err != nil {
			t.Fatal(err)
		}
		recv(t, p, 1, func(f *packet.Frame) {
			if f.Offload.GSO != packet.GSOTCP4 || f.Offload.Size != 1410 || !bytes.Equal(f.Bytes()[outer4:], tunnel) {
				t.Errorf("%+v, %d bytes", f.Offload, f.Len())
			}
		})
	})
}

// Two of them on one host's address, an address that the host has not, and one
// that has been closed.
func TestOpenRefuses(t *testing.T) {
	world(t, func() {
		p := openPort(t, 1)
		ear := listen(t, sides[0].peer)
		for want, c := range map[string]Config{
			"in use":                             {Addrs: []netip.Addr{sides[1].own}, UDPPort: 4789, Port: 1},
			"somebody has the port":              {Addrs: []netip.Addr{ear.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()}, UDPPort: 4789, Port: 1},
			"the host must have the address":     {Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, UDPPort: 4789, Port: 1},
			"no UDP port":                        {Addrs: []netip.Addr{sides[0].own}, Port: 1},
			"must be one, or one of each family": {UDPPort: 4789, Port: 1},
			"MTU 100":                            {Addrs: []netip.Addr{sides[0].own}, UDPPort: 4789, MTU: 100, Port: 1},
		} {
			if q, err := Open(c); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("opened %v: %v, want a word of %s", q, err, want)
			}
		}
		if err := p.Close(); err != nil || p.Status().Up || p.Close() != nil {
			t.Errorf("closed: %v, %+v", err, p.Status())
		}
	})
}

// Nothing is allocated on the way in or out.
func TestQueueAllocatesNothing(t *testing.T) {
	world(t, func() {
		p := openPort(t, 1)
		q := p.Queues()[0]
		f := tunnelTo(sides[0], 51000, 0, make([]byte, 100))
		binary.BigEndian.PutUint16(f.Bytes()[outer4-udpLen+2:], 4790) // nobody's
		frames := []*packet.Frame{f}
		var b packet.Batch
		if n := testing.AllocsPerRun(100, func() {
			b.Reset()
			_ = q.Recv(&b)
			f.Reason = drop.None
			q.Send(frames)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
