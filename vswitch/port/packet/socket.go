package packet

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/port/vnet"
)

const (
	// The kernel holds so many bytes of superframes that wait, and of frames that
	// are on their way out, at the most.
	receiveBuffer = 8 << 20
	sendBuffer    = 4 << 20
	// ethPAll is ETH_P_ALL in network byte order.
	ethPAll = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
)

// openQueue opens a socket on a device, as the port's queue of a number. It receives from now on, if the link is
// up.
func openQueue(c *Config, index, number int) (q *queue, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // protocol 0: nothing yet
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w; it needs CAP_NET_RAW", err)
	}
	q = &queue{fd: fd, port: c.Port, name: c.Name, limit: c.maxFrame(), uso: hasUSO()}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.close())
		}
	}()
	if err := setUp(fd); err != nil {
		return q, err
	}
	if q.ring, err = mapRing(fd); err != nil {
		return q, err
	}
	if q.long, err = vnet.NewArena(c.Loans, number); err != nil {
		return q, err
	}
	all := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &all); err != nil {
		return q, fmt.Errorf("hear frames for others: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ethPAll, Ifindex: index}); err != nil && !errors.Is(err, unix.ENETDOWN) {
		return q, fmt.Errorf("bind to the device: %w", err)
	}
	return q, nil
}

// noGroup is no fanout group's number.
const noGroup = -1

// joinFanout adds a bound socket to the sockets among which the kernel spreads
// flows; group is what the first one got, noGroup for the first. The kernel picks a
// number that nobody has in the network namespace: another process's of the same
// number would be refused, or take half of the frames.
func joinFanout(fd, group int) (int, error) {
	how := unix.PACKET_FANOUT_HASH << 16
	if group == noGroup {
		group = 0
		how |= unix.PACKET_FANOUT_FLAG_UNIQUEID << 16
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group|how); err != nil {
		return 0, err
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	return got & 0xffff, err
}

// setUp sets what must be set before the ring is made.
func setUp(fd int) error {
	for _, o := range []struct {
		what               string
		level, name, value int
	}{
		{"ring version", unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2},
		{"offload headers", unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{"headroom", unix.SOL_PACKET, unix.PACKET_RESERVE, reserve},
		{"long frames whole", unix.SOL_PACKET, unix.PACKET_COPY_THRESH, 1},
		{"no frames of ours", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{"past the guard", unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1},
		{"receive buffer", unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer},
		{"send buffer", unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set up the packet socket (%s): %w", o.what, err)
		}
	}
	return nil
}

// hasUSO tells whether the kernel's header has a word for superframes of UDP:
// from Linux 6.2 on. Before, such a frame is refused (EINVAL) on its way out, and
// none comes in.
func hasUSO() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major > 6 || major == 6 && minor >= 2
}

// losses adds what the kernel could not put into the ring since the last call.
func (q *queue) losses() uint64 {
	if s, err := unix.GetsockoptTpacketStats(q.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		q.lost.Add(uint64(s.Drops))
	}
	return q.lost.Load()
}

func (q *queue) close() error {
	var errs []error
	if q.ring != nil {
		errs = append(errs, q.ring.close())
	}
	if q.long != nil {
		errs = append(errs, q.long.Close())
	}
	return errors.Join(append(errs, unix.Close(q.fd))...)
}
