package udp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port/vnet"
)

// The kernel knows the underlay's path MTUs: routers tell it, not us. Of a tunnel
// that is too long for its path it says so where it is sent (EMSGSIZE), and on
// question how much the path carries. The walk learns of it as it would from the
// router: by the message that the router sent, made anew.

const (
	// errorsHeld is the most messages that wait for the next Recv. More are of no
	// use: a peer's path is one.
	errorsHeld = 8
	errorLen   = etherLen + ipv6Len + 8 + ipv6Len + udpLen
)

// pathErrors are the messages that wait. Their guard is outgoing's.
type pathErrors struct {
	list [errorsHeld][errorLen]byte
	size [errorsHeld]int
	n    int
}

// tooLong notes that a tunnel could not be sent because its path takes less than
// the uplink: the message about it is received next.
func (o *outgoing) tooLong(f *packet.Frame, to *target) {
	e := &o.errors
	if e.n == errorsHeld {
		return
	}
	mtu := pathMTU(to)
	if mtu == 0 || mtu >= o.limit {
		return
	}
	b, err := packet.Build(about(f, to, mtu, o.limit))
	if err != nil {
		return
	}
	e.size[e.n] = copy(e.list[e.n][:], b)
	e.n++
	o.waiting.Store(int32(e.n))
}

// about is the message about a frame: from our own VTEP, which is where it became
// known.
func about(f *packet.Frame, to *target, mtu, limit int) packet.Spec {
	ip := ipv4Len
	if to.family == 1 {
		ip = ipv6Len
	}
	quote := append([]byte(nil), f.Bytes()[etherLen:etherLen+ip+udpLen]...)
	s := packet.Spec{SrcMAC: hostMAC, DstMAC: ourMAC, ICMPID: uint16(mtu >> 16), ICMPSeq: uint16(mtu), Payload: quote}
	if to.family == 0 {
		binary.BigEndian.PutUint16(quote[2:], uint16(limit)) // of a superframe: a piece's
		s.Proto, s.ICMPType, s.ICMPCode = packet.ProtoICMP, packet.ICMPUnreachable, 4
		s.Src = packet.AddrFrom(netip.AddrFrom4([4]byte(quote[12:16])))
	} else {
		binary.BigEndian.PutUint16(quote[4:], uint16(limit-ipv6Len))
		s.Proto, s.ICMPType = packet.ProtoICMPv6, packet.ICMPv6TooBig
		s.Src = packet.AddrFrom(netip.AddrFrom16([16]byte(quote[8:24])))
	}
	s.Dst = s.Src
	return s
}

// pathMTU asks the kernel what the path to a peer carries; 0 if it does not say.
func pathMTU(to *target) int {
	a, level, name := netip.AddrFrom16(to.addr), unix.IPPROTO_IPV6, unix.IPV6_MTU
	if to.family == 0 {
		a, level, name = netip.AddrFrom4([4]byte(to.addr[:4])), unix.IPPROTO_IP, unix.IP_MTU
	}
	fd, err := openSocket(a, nil)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if unix.Connect(fd, sockaddr(a, to.port)) != nil {
		return 0
	}
	mtu, err := unix.GetsockoptInt(fd, level, name)
	if err != nil {
		return 0
	}
	return mtu
}

// deliverErrors adds the messages that wait to a batch.
func (q *queue) deliverErrors(b *packet.Batch, t *vnet.Tally) {
	o := &q.out
	if o.waiting.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.errors.n {
		if b.Room() == 0 || q.arena.Room() == nil {
			break // the next of its kind will do
		}
		n := o.errors.size[i]
		buf := q.arena.Take(n)
		copy(buf[packet.Headroom:], o.errors.list[i][:n])
		f := b.Next()
		f.Begin(buf, packet.Headroom, uint32(packet.Headroom+n), q.port)
		f.Offload.Checksum = packet.ChecksumGood
		t.Frames++
		t.Bytes += uint64(n)
	}
	o.errors.n = 0
	o.waiting.Store(0)
}
