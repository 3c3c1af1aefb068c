package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/packet"
)

// sessionRate is how many sessions a second are opened: what a switch that shares
// the CPUs with us keeps up with, so that few frames are lost.
const sessionRate = 250_000

// sessionPasses bounds how often all frames are sent: some are lost.
const sessionPasses = 8

// Sessions opens n sessions of UDP from A to B, a frame each: from all of A's
// addresses, and all ports of each, to the ports that the policy allows. open tells
// how many are open; what is missing is sent again.
func Sessions(ctx context.Context, p Path, n int, open func() (int, error), o Options) error {
	if err := meetNeighbours(ctx, p, o); err != nil {
		return err
	}
	s, err := openSessions(p)
	if err != nil {
		return err
	}
	defer s.close()
	if most := len(s.templates) * sources; n > most {
		return fmt.Errorf("%d sessions: A has addresses and the policy ports for %d", n, most)
	}
	has := 0
	for range sessionPasses {
		if err := s.send(ctx, n); err != nil {
			return err
		}
		if has, err = open(); err != nil || has >= n {
			return err
		}
	}
	return fmt.Errorf("%d sessions are open, of %d that were sent %d times", has, n, sessionPasses)
}

// meetNeighbours sends a datagram, so that A knows the MAC that leads to B.
func meetNeighbours(ctx context.Context, p Path, o Options) error {
	f, err := openFlood(p, o.payload(minFrame-overhead))
	if err != nil {
		return err
	}
	defer f.close()
	reading := run(f.receive)
	if err = f.begin(ctx); err == nil {
		f.settle()
	}
	return errors.Join(err, f.finish(), <-reading)
}

// sessions is a socket in A, a frame for each address of A and port of B, and who
// listens there, so that B's kernel does not answer that nobody does.
type sessions struct {
	fd        int
	templates [][]byte
	listeners []net.PacketConn
}

func openSessions(p Path) (s *sessions, err error) {
	s = &sessions{fd: -1}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := inside(p.B, func() error {
		for port := uint16(FirstPort); port <= LastPort; port++ {
			at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.To, port))
			l, err := net.ListenUDP("udp4", at)
			if err != nil {
				return err
			}
			s.listeners = append(s.listeners, l)
		}
		return nil
	}); err != nil {
		return s, fmt.Errorf("listen in %s: %w", p.B, err)
	}
	err = inside(p.A, func() error {
		link, mac, err := neighbour(p)
		if err != nil {
			return err
		}
		if s.fd, err = packetSocket(link.Index); err != nil {
			return err
		}
		return s.build(link, mac, p.To)
	})
	if err != nil {
		return s, fmt.Errorf("frames for sessions from %s: %w", p.A, err)
	}
	return s, nil
}

func (s *sessions) close() {
	for _, l := range s.listeners {
		l.Close()
	}
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
}

// build makes the frames, in the namespace of A.
func (s *sessions) build(link *netlink.LinkAttrs, to packet.MAC, at netip.Addr) error {
	all, err := netlink.AddrList(&netlink.Device{LinkAttrs: *link}, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range all {
		from, _ := netip.AddrFromSlice(a.IP.To4())
		for port := uint16(FirstPort); port <= LastPort; port++ {
			b, err := packet.Build(packet.Spec{
				SrcMAC: packet.MAC(link.HardwareAddr), DstMAC: to, Src: packet.AddrFrom(from), Dst: packet.AddrFrom(at),
				Proto: packet.ProtoUDP, SrcPort: firstSource, DstPort: port, Payload: make([]byte, minFrame-overhead),
			})
			if err != nil {
				return err
			}
			s.templates = append(s.templates, b)
		}
	}
	return nil
}

// Source ports of sessions: not those of services, whose frames a switch may look at
// more closely.
const (
	firstSource = 1024
	sources     = 65536 - firstSource
)

// Where a frame of Ethernet, IPv4 without options and UDP has what differs.
const (
	sourceAt   = 14 + 20
	checksumAt = sourceAt + 6
)

// send sends the frames of sessions 0 to n, in bursts, no faster than the rate.
func (s *sessions) send(ctx context.Context, n int) error {
	frames := make([][]byte, burst)
	for i := range frames {
		frames[i] = make([]byte, len(s.templates[0]))
	}
	g := newGenerator(s.fd, frames)
	start := time.Now()
	for at := 0; at < n; {
		size := min(burst, n-at)
		for i := range size {
			s.fill(frames[i], at+i)
		}
		for sent := 0; sent < size; {
			k, err := g.send(sent, size)
			if err != nil && !again(err) {
				return err
			}
			sent += k
		}
		at += size
		due := time.Duration(at) * time.Second / sessionRate
		if err := Wait(ctx, due-time.Since(start)); err != nil {
			return err
		}
	}
	return nil
}

// fill makes a frame that of session i: its source port, and the checksum, which
// the change of that is taken from (RFC 1624).
func (s *sessions) fill(frame []byte, i int) {
	copy(frame, s.templates[i%len(s.templates)])
	source := uint16(firstSource + i/len(s.templates))
	sum := binary.BigEndian.Uint16(frame[checksumAt:])
	binary.BigEndian.PutUint16(frame[checksumAt:], checksum.Update(sum, binary.BigEndian.Uint16(frame[sourceAt:]), source))
	binary.BigEndian.PutUint16(frame[sourceAt:], source)
}
