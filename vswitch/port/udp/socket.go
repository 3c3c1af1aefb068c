package udp

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Lanes is how many source ports there are to send from, of each family.
const Lanes = 64

const (
	firstPort   = 49152 // RFC 6335: from here on ports are nobody's own
	portsOfLane = (1<<16 - firstPort) / Lanes

	// The kernel holds so many bytes that wait, at the most.
	receiveBuffer = 16 << 20
	sendBuffer    = 4 << 20
)

// option is a socket option that must be taken.
type option struct {
	what               string
	level, name, value int
}

// openSocket opens a socket of an address's family with options, bound nowhere.
func openSocket(a netip.Addr, options []option) (int, error) {
	domain := unix.AF_INET
	if !a.Is4() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("UDP socket: %w", err)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("set up the UDP socket (%s): %w", o.what, err)
		}
	}
	return fd, nil
}

// udpNoCheck6 is UDP_NO_CHECK6_RX (linux/udp.h): a datagram without a checksum is
// taken over IPv6, too, as every uplink's (RFC 7348 5, RFC 6935).
const udpNoCheck6 = 102

// openReceiver opens a socket that receives the tunnels to an address.
func openReceiver(a netip.Addr, udpPort uint16) (int, error) {
	options := []option{
		{"one port, several queues", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{"receive buffer", unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer},
		{"trains", unix.SOL_UDP, unix.UDP_GRO, 1},
	}
	if a.Is4() {
		options = append(options, option{"type of service", unix.IPPROTO_IP, unix.IP_RECVTOS, 1})
	} else {
		options = append(options,
			option{"traffic class", unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1},
			option{"one family", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			option{"no checksum", unix.SOL_UDP, udpNoCheck6, 1})
	}
	fd, err := openSocket(a, options)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, sockaddr(a, udpPort)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind %s: %w; %s", netip.AddrPortFrom(a, udpPort), err, cure(err))
	}
	return fd, nil
}

// alone refuses an address and port that somebody has: sockets of ours that share
// one would take their part of another switch's frames.
func alone(a netip.Addr, udpPort uint16) error {
	fd, err := openSocket(a, nil)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, sockaddr(a, udpPort)); err != nil {
		return fmt.Errorf("bind %s: %w; %s", netip.AddrPortFrom(a, udpPort), err, cure(err))
	}
	return nil
}

// cure says what to do about an address that cannot be bound.
func cure(err error) string {
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "the host must have the address of vtep.addresses on a device; an uplink of driver xdp has one of its own instead"
	case errors.Is(err, unix.EADDRINUSE):
		return "somebody has the port, perhaps a vxlan device of the kernel's: take it away, or set another vtep.udp_port here and at all peers"
	}
	return "see the configuration's [vtep]"
}

func sockaddr(a netip.Addr, p uint16) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(p), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(p), Addr: a.As16()}
}

// lanes are the sockets of one family to send from.
type lanes struct {
	fds [Lanes]int
}

// openLanes binds a source port for each lane, each in its own part of the
// dynamic ports, at an address.
func openLanes(a netip.Addr) (*lanes, error) {
	l := &lanes{}
	for i := range l.fds {
		l.fds[i] = -1
	}
	for i := range l.fds {
		fd, err := openLane(a, firstPort+i*portsOfLane)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.fds[i] = fd
	}
	return l, nil
}

func openLane(a netip.Addr, first int) (int, error) {
	options := []option{{"send buffer", unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer}}
	if a.Is4() {
		// DF: a VTEP does not fragment (RFC 7348 4.3).
		options = append(options, option{"no fragments", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO},
			option{"TTL", unix.IPPROTO_IP, unix.IP_TTL, outerTTL})
	} else {
		options = append(options, option{"no fragments", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO},
			option{"hop limit", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, outerTTL})
	}
	fd, err := openSocket(a, options)
	if err != nil {
		return -1, err
	}
	for p := first; p < first+portsOfLane; p++ {
		if err = unix.Bind(fd, sockaddr(a, uint16(p))); !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind a source port from %s on: %w; %s", netip.AddrPortFrom(a, uint16(first)), err, cure(err))
	}
	return fd, nil
}

func (l *lanes) close() error {
	var errs []error
	for _, fd := range l.fds {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
