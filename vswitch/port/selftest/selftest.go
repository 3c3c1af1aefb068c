package selftest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// Patience is how long a probe may take.
const Patience = 2 * time.Second

// stream is how many bytes a connection carries: enough for superframes.
const stream = 1 << 20

// Open opens a port of the driver on a device, with one queue; its frames of
// ordinary size come from region.
type Open func(device string, id packet.PortID) (port.Port, error)

// Run tries a driver out on two veths of its own, of an MTU in bytes of IP. It
// returns what went wrong first; ErrBench means that nothing could be tried.
// Chunks that ports hand over are of region.
func Run(open Open, region *port.Region, mtu int) (err error) {
	b, err := newBench(open, mtu)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	pools := [2]*port.Pool{port.NewPool(region), port.NewPool(region)}
	stop := wire(b.ports[0], b.ports[1], pools)
	defer func() {
		stop()
		pools[0].Drain()
		pools[1].Drain()
	}()
	from, to := &b.ends[0], &b.ends[1]
	for _, p := range []struct {
		name string
		run  func() error
	}{
		{"TCP over IPv4", func() error { return tcp(from, to, "tcp4", to.v4) }},
		{"TCP over IPv6", func() error { return tcp(from, to, "tcp6", to.v6) }},
		{"UDP over IPv4", func() error { return udp(from, to, "udp4", to.v4, 512) }},
		{"UDP over IPv6", func() error { return udp(from, to, "udp6", to.v6, 512) }},
		{fmt.Sprintf("a packet of %d bytes", mtu), func() error { return udp(from, to, "udp4", to.v4, mtu-28) }},
	} {
		if err := p.run(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// tcp sends a stream from one end to the other, and compares what came.
func tcp(from, to *end, network string, ip net.IP) error {
	var l net.Listener
	err := to.ns.Do(func() (err error) {
		l, err = net.Listen(network, net.JoinHostPort(ip.String(), "0"))
		return err
	})
	if err != nil {
		return err
	}
	defer l.Close()
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(Patience))
	sent := make([]byte, stream)
	_, _ = rand.NewChaCha8([32]byte{}).Read(sent)
	came := make(chan error, 1)
	go func() { came <- compare(l, sent) }()
	err = from.ns.Do(func() error {
		c, err := net.DialTimeout(network, l.Addr().String(), Patience)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(Patience))
		_, err = c.Write(sent)
		return err
	})
	if err != nil {
		l.Close() // nobody comes any more
	}
	return errors.Join(err, <-came)
}

// compare takes in one connection, and says how it differs from what was sent.
func compare(l net.Listener, sent []byte) error {
	c, err := l.Accept()
	if err != nil {
		return fmt.Errorf("nobody connected: %w", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(Patience))
	came, err := io.ReadAll(c)
	switch {
	case err != nil:
		return fmt.Errorf("after %d bytes: %w", len(came), err)
	case !bytes.Equal(came, sent):
		return fmt.Errorf("%d bytes came of %d, or others", len(came), len(sent))
	}
	return nil
}

// udp sends a datagram of n bytes of payload, that must not be fragmented, until
// one arrives: the first may be lost to the resolving of addresses.
func udp(from, to *end, network string, ip net.IP, n int) error {
	var in net.PacketConn
	err := to.ns.Do(func() (err error) {
		in, err = net.ListenPacket(network, net.JoinHostPort(ip.String(), "0"))
		return err
	})
	if err != nil {
		return err
	}
	defer in.Close()
	var out net.Conn
	err = from.ns.Do(func() (err error) {
		out, err = net.Dial(network, in.LocalAddr().String())
		return err
	})
	if err != nil {
		return err
	}
	defer out.Close()
	if err := whole(out); err != nil {
		return err
	}
	payload, buf := bytes.Repeat([]byte{0x5a}, n), make([]byte, n+1)
	return within(Patience, func() error {
		if _, err := out.Write(payload); err != nil {
			return err
		}
		_ = in.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		got, _, err := in.ReadFrom(buf)
		switch {
		case err != nil:
			return fmt.Errorf("nothing arrived: %w", err)
		case !bytes.Equal(buf[:got], payload):
			return fmt.Errorf("%d bytes arrived of %d, or others", got, n)
		}
		return nil
	})
}

// whole has the kernel send a socket's datagrams in one piece or not at all.
func whole(c net.Conn) error {
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE); err == nil {
			failed = nil // it is the one or the other
		}
	})
	return errors.Join(err, failed)
}

// within tries something until it works, and returns its last error.
func within(patience time.Duration, try func() error) (err error) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if err = try(); err == nil || time.Now().After(end) {
			return err
		}
	}
}
