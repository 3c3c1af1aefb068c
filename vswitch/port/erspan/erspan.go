package erspan

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/vnet"
)

// Config describes a way to a collector.
type Config struct {
	Name   string     // the port's name in the switch
	Remote netip.Addr // the collector's
	Port   packet.PortID
}

const (
	sendBuffer = 1 << 20 // bytes that wait in the kernel, at the most
	outerTTL   = 64
	// maxFrame is the longest payload of an IPv4 packet.
	maxFrame = 65535 - 20
)

// Port is an open way to a collector.
type Port struct {
	info     port.Info
	to       unix.Sockaddr
	fd       int
	counters vnet.Counters

	mu     sync.RWMutex // guards fd against Close
	closed bool
}

var (
	_ port.Port  = (*Port)(nil)
	_ port.Giver = (*Port)(nil)
	_ port.Queue = (*Port)(nil)
)

// Open makes the socket: whether there is a way to the collector shows when frames
// go there, and may change.
func Open(c Config) (*Port, error) {
	p, err := portOf(c)
	if err != nil {
		return nil, fmt.Errorf("open erspan port %q: %w", c.Name, err)
	}
	if p.fd, err = openSocket(c.Remote); err != nil {
		return nil, fmt.Errorf("open erspan port %q: %w", c.Name, err)
	}
	return p, nil
}

// portOf makes a port without its socket.
func portOf(c Config) (*Port, error) {
	switch {
	case !c.Remote.IsValid() || c.Remote.Is4In6() || c.Remote.IsUnspecified() || c.Remote.IsMulticast():
		return nil, fmt.Errorf("collector %v: must be the address of a host", c.Remote)
	case c.Port == packet.NoPort:
		return nil, errors.New("no port number")
	}
	p := &Port{fd: -1, info: port.Info{
		Name: c.Name, Driver: "erspan", Device: c.Remote.String(), MTU: maxFrame,
		Mode: "GRE by the host's routes", Caps: port.Caps{Routed: true, MaxFrame: maxFrame},
	}}
	if c.Remote.Is4() {
		p.to = &unix.SockaddrInet4{Addr: c.Remote.As4()}
	} else {
		p.to = &unix.SockaddrInet6{Addr: c.Remote.As16()}
	}
	return p, nil
}

// openSocket opens a raw socket that sends GRE and hears nothing.
func openSocket(a netip.Addr) (int, error) {
	domain, level, ttl, discover, dont := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TTL, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT
	if !a.Is4() {
		domain, level, ttl, discover, dont = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_GRE)
	if err != nil {
		return -1, fmt.Errorf("raw socket: %w", err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	for _, step := range []struct {
		what string
		err  error
	}{
		{"hear nothing", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})},
		{"send buffer", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer)},
		{"TTL", unix.SetsockoptInt(fd, level, ttl, outerTTL)},
		{"fragments", unix.SetsockoptInt(fd, level, discover, dont)},
	} {
		if step.err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("set up the raw socket (%s): %w", step.what, step.err)
		}
	}
	return fd, nil
}

// Info implements port.Port.
func (p *Port) Info() port.Info { return p.info }

// Up implements port.Port: the host's devices are the host's.
func (p *Port) Up() error { return nil }

// Chunks implements port.Port: none.
func (p *Port) Chunks() int { return 0 }

// Queues implements port.Port.
func (p *Port) Queues() []port.Queue { return []port.Queue{p} }

// Status implements port.Port.
func (p *Port) Status() port.Status {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return port.Status{Err: "closed"}
	}
	return port.Status{Up: true}
}

// Stats implements port.Port.
func (p *Port) Stats() (s port.Stats) {
	s.Extra = map[string]uint64{}
	p.counters.AddTo(&s)
	return s
}

// Close implements port.Port.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if p.fd < 0 {
		return nil
	}
	return unix.Close(p.fd)
}

// Recv implements port.Queue: nothing comes.
func (p *Port) Recv(*packet.Batch) error { return nil }

// FD implements port.Queue: the socket, which is never readable.
func (p *Port) FD() int { return p.fd }

// Send implements port.Queue. A frame begins with its GRE header.
func (p *Port) Send(frames []*packet.Frame) {
	var t vnet.Tally
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, f := range frames {
		if reason := p.sendOne(f); reason != drop.None {
			f.Reason = reason
			t.Drop(reason)
			continue
		}
		t.Frames++
		t.Bytes += uint64(f.Len())
	}
	p.counters.Sent(&t)
}

func (p *Port) sendOne(f *packet.Frame) drop.Reason {
	if p.closed {
		return drop.PortDown
	}
	if f.Len() > maxFrame {
		return drop.TxOversize
	}
	switch err := unix.Sendto(p.fd, f.Bytes(), 0, p.to); err {
	case nil:
		return drop.None
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN:
		return drop.PortDown
	case unix.EMSGSIZE:
		return drop.TxOversize
	case unix.EAGAIN, unix.ENOBUFS:
		return drop.TxFull
	}
	return drop.TxError
}

// Hand implements port.Giver.
func (p *Port) Hand() (port.Handed, error) {
	return port.Handed{Info: p.info, FDs: []int{p.fd}}, nil
}

// Take makes a port of another process's socket: that which Open made there, of the
// same configuration. The descriptors are the port's from now on, also on an error.
func Take(c Config, h port.Handed) (*Port, error) {
	p, err := portOf(c)
	if err == nil && len(h.FDs) != 1 {
		err = fmt.Errorf("%d descriptors, and one is wanted", len(h.FDs))
	}
	if err != nil {
		errs := []error{fmt.Errorf("take erspan port %q over: %w", c.Name, err)}
		for _, fd := range h.FDs {
			errs = append(errs, unix.Close(fd))
		}
		return nil, errors.Join(errs...)
	}
	p.fd = h.FDs[0]
	return p, nil
}

// Keep holds a port's socket beside the process that runs it.
func Keep(c Config, h port.Handed) (*Port, error) { return Take(c, h) }
