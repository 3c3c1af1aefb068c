package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
)

// IMIX stands for a mix of frames in place of a size: 64, 570 and 1518 B as
// 7:4:1, the simple IMIX.
const IMIX = 0

var imix = []int{64, 570, 64, 64, 570, 64, 1518, 64, 570, 64, 64, 570}

// Load is what a generator sends.
type Load struct {
	Frame  int     // bytes on the wire with the frame check sequence, or IMIX
	Rate   float64 // frames a second; 0: as many as it can
	Most   uint64  // frames; 0: for the time of the options
	Verify bool    // every frame is read and its number looked at
}

// unreadBuffer is room for what nobody reads: little, so that it stays in the
// cache.
const unreadBuffer = 64 << 10

// Frames sends frames of one UDP flow from a packet socket in A, past all of
// A's stack, and counts at a UDP socket in B.
//
// Without Verify nobody reads: the socket overflows, and the kernel counts what
// comes to it; so the receiver costs least. With it every frame that was read
// must have a number of its own, so that a copy cannot stand in for a loss.
func Frames(ctx context.Context, p Path, l Load, o Options) (c Count, err error) {
	f, err := openFlood(p, o.payload(minFrame-overhead))
	if err != nil {
		return c, err
	}
	defer f.close()
	// One datagram of the socket finds the neighbours and opens the session.
	first := run(f.receive)
	if err = f.begin(ctx); err == nil {
		f.settle() // it may have taken several, and the last are yet to come
	}
	if err = errors.Join(err, f.finish(), <-first); err != nil {
		return c, err
	}
	g, closing, err := openGenerator(p, f, l.Frame, o)
	if err != nil {
		return c, err
	}
	defer closing()
	return f.generated(ctx, g, l, o)
}

// generated counts what the generator sends from now on.
func (f *flood) generated(ctx context.Context, g *generator, l Load, o Options) (c Count, err error) {
	if err = inside(f.space, func() (err error) { f.before, err = readUDPCounters(); return err }); err != nil {
		return c, err
	}
	if err := f.server.SetReadDeadline(time.Time{}); err != nil {
		return c, err
	}
	f.sent.Store(0)
	f.read.Store(0)
	seen := &numbers{}
	if !l.Verify {
		if err := f.room(unreadBuffer); err != nil {
			return c, err
		}
	}
	var receiving <-chan error
	if l.Verify {
		receiving = alone(func() error { return f.verify(seen) })
	}
	start := time.Now()
	err = <-alone(func() error { return g.run(ctx, l, o.For, &f.sent) })
	c.For = time.Since(start)
	f.settleOverflow()
	if !l.Verify {
		receiving = run(func() error { return f.verify(seen) })
		f.settle()
	}
	if err = errors.Join(err, f.finish(), <-receiving); err != nil {
		return c, err
	}
	return f.count(c)
}

// settleOverflow waits for what is on its way: as long as the counters move.
func (f *flood) settleOverflow() {
	last := uint64(0)
	for end := time.Now().Add(settleWithin); time.Now().Before(end); {
		time.Sleep(settleStep)
		var now udpCounters
		if inside(f.space, func() (err error) { now, err = readUDPCounters(); return err }) != nil {
			return
		}
		sum := now.overflow + f.read.Load()
		if sum == last {
			return
		}
		last = sum
	}
}

// verify reads until finish, and looks at the number of each frame.
func (f *flood) verify(seen *numbers) error {
	raw, err := f.server.SyscallConn()
	if err != nil {
		return err
	}
	b := make([]byte, maxFrame)
	var bad error
	err = raw.Read(func(fd uintptr) bool {
		for bad == nil {
			n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EAGAIN) {
				return false
			}
			if err != nil && !again(err) {
				bad = fmt.Errorf("receive: %w", err)
			} else if err == nil {
				bad = seen.take(b[:n])
				f.read.Add(1)
			}
		}
		return true
	})
	if bad == nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return errors.Join(bad, err)
}

// numbered is what a frame's payload begins with: its number, and the number's
// complement, so that the checksum is the same for every number.
const numbered = 8

func putNumber(b []byte, n uint32) {
	binary.BigEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], ^n)
}

// numbers are those of the frames that were read: a bit each.
type numbers struct{ seen []uint64 }

func (s *numbers) take(b []byte) error {
	if len(b) < numbered || binary.BigEndian.Uint32(b) != ^binary.BigEndian.Uint32(b[4:]) {
		return fmt.Errorf("a frame arrived with a payload that was not sent: % x", b[:min(len(b), 16)])
	}
	n := binary.BigEndian.Uint32(b)
	at, bit := int(n/64), uint64(1)<<(n%64)
	if at >= len(s.seen) {
		s.seen = append(s.seen, make([]uint64, at+1-len(s.seen))...)
	}
	if s.seen[at]&bit != 0 {
		return fmt.Errorf("frame %d arrived twice", n)
	}
	s.seen[at] |= bit
	return nil
}

// openGenerator makes a packet socket in A and frames for B.
func openGenerator(p Path, f *flood, frame int, o Options) (g *generator, closing func(), err error) {
	var fd int
	var spec packet.Spec
	err = inside(p.A, func() (err error) {
		link, mac, err := neighbour(p)
		if err != nil {
			return err
		}
		a := f.client.LocalAddr().(*net.UDPAddr).AddrPort()
		spec = packet.Spec{SrcMAC: packet.MAC(link.HardwareAddr), DstMAC: mac, Src: packet.AddrFrom(a.Addr().Unmap()), Dst: packet.AddrFrom(p.To), Proto: packet.ProtoUDP, SrcPort: a.Port(), DstPort: f.port}
		fd, err = packetSocket(link.Index)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("packet socket in %s: %w", p.A, err)
	}
	frames, err := burstOf(spec, frame, o)
	if err != nil {
		unix.Close(fd)
		return nil, nil, err
	}
	return newGenerator(fd, frames), func() { unix.Close(fd) }, nil
}

// packetSocket makes a socket that sends from a device and receives nothing.
func packetSocket(device int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device}),
	); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// neighbour finds the device towards B in the calling thread's namespace, and
// the MAC that frames for B have: B's own, or a router's.
func neighbour(p Path) (*netlink.LinkAttrs, packet.MAC, error) {
	var mac packet.MAC
	space, err := netns.Get()
	if err != nil {
		return nil, mac, err
	}
	defer space.Close()
	h, err := netlink.NewHandleAt(space)
	if err != nil {
		return nil, mac, err
	}
	defer h.Close()
	routes, err := h.RouteGet(net.IP(p.To.AsSlice()))
	if err != nil || len(routes) == 0 {
		return nil, mac, fmt.Errorf("no route to %s: %w", p.To, err)
	}
	via := p.To
	if gateway, ok := netip.AddrFromSlice(routes[0].Gw); ok {
		via = gateway.Unmap()
	}
	link, err := h.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return nil, mac, err
	}
	all, err := h.NeighList(routes[0].LinkIndex, netlink.FAMILY_V4)
	if err != nil {
		return nil, mac, err
	}
	at := slices.IndexFunc(all, func(n netlink.Neigh) bool {
		return n.IP.Equal(net.IP(via.AsSlice())) && len(n.HardwareAddr) == len(mac)
	})
	if at < 0 {
		return nil, mac, fmt.Errorf("no neighbour %s is known", via)
	}
	return link.Attrs(), packet.MAC(all[at].HardwareAddr), nil
}

// burstOf builds the frames of a burst: of IMIX, so many that the mix comes out
// even.
func burstOf(spec packet.Spec, frame int, o Options) (frames [][]byte, err error) {
	sizes := []int{frame}
	if frame == IMIX {
		sizes = imix
	}
	for i := range burst / len(sizes) * len(sizes) {
		size := sizes[i%len(sizes)]
		if size < minFrame || size > maxFrame {
			return nil, fmt.Errorf("a frame of %d bytes: Ethernet has %d to %d", size, minFrame, maxFrame)
		}
		spec.Payload = o.payload(size - overhead)
		putNumber(spec.Payload, 0)
		b, err := packet.Build(spec)
		if err != nil {
			return nil, err
		}
		frames = append(frames, b)
	}
	return frames, nil
}

// late is how far a generator that was held up catches up. Beyond it the time
// is lost: to make it up would be a burst that nobody asked for, and what was
// lost of it would be blamed on the path.
const late = time.Millisecond

// run sends until the time is over, or so many frames are sent. With a rate it
// sends small bursts, each when it is due.
func (g *generator) run(ctx context.Context, l Load, d time.Duration, sent *atomic.Uint64) error {
	const payload = overhead - 4 // where it begins
	size := len(g.frames)
	if l.Rate > 0 {
		size = g.paced(l.Rate)
	}
	start := time.Now()
	due := start
	for n := uint64(0); ctx.Err() == nil; {
		now := time.Now()
		if l.Most == 0 && now.Sub(start) >= d || l.Most > 0 && n >= l.Most {
			return nil
		}
		if l.Rate > 0 && now.Before(due) {
			continue // to sleep would be to come late
		}
		if now.Sub(due) > late {
			due = now
		}
		at, hi := 0, size
		if l.Most > 0 {
			hi = min(hi, int(l.Most-n))
		}
		for i := range hi {
			putNumber(g.frames[i][payload:], uint32(n)+uint32(i))
		}
		for at < hi && ctx.Err() == nil {
			k, err := g.send(at, hi)
			if err != nil && !again(err) {
				return err
			}
			at += k
		}
		n += uint64(at)
		sent.Store(n)
		if l.Rate > 0 {
			due = due.Add(time.Duration(float64(at) / l.Rate * 1e9))
		}
	}
	return ctx.Err()
}

// paced is how many frames go at once at a rate: those of 50 us, and all of a
// mix.
func (g *generator) paced(rate float64) int {
	const apart = 50e-6
	n := min(max(int(rate*apart), 1), len(g.frames))
	if len(g.frames)%len(imix) == 0 {
		n = max(n/len(imix), 1) * len(imix)
	}
	return n
}
