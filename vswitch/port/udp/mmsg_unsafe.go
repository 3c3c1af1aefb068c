package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
)

// mmsghdr is struct mmsghdr (recvmmsg(2)).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

const (
	// datagrams is the most that one call brings, each of any length.
	datagrams = 16
	// longest is the longest datagram, and a byte that shows a longer one.
	longest = 1<<16 + 1
	// slotSize holds one with the headers and the headroom before it.
	slotSize = (packet.Headroom + outer6 + longest + 63) &^ 63
	// controlLen holds the type of service and the size of a train's pieces.
	controlLen = 2 * 24
)

// incoming is the memory of recvmmsg, and what it brought. Pointers in it are to
// itself and to mem, which is mapped: nothing moves while the kernel has them.
type incoming struct {
	mem      []byte
	msgs     [datagrams]mmsghdr
	iovs     [datagrams]unix.Iovec
	names    [datagrams]unix.RawSockaddrInet6
	controls [datagrams][controlLen]byte
	count    int
	outer    int
}

// datagram is one that was received.
type datagram struct {
	buf     []byte // headroom, room for the headers, tunnel
	tunnel  []byte
	from    netip.AddrPort
	tos     uint8
	segment int  // of a train: the length of all pieces but the last; else 0
	cut     bool // it was longer than any
}

func (in *incoming) init() (err error) {
	in.mem, err = sys.MapAnonymous(datagrams * slotSize)
	return err
}

func (in *incoming) close() error {
	if in.mem == nil {
		return nil
	}
	return sys.Unmap(in.mem)
}

// receive reads what waits; count is how many datagrams.
func (in *incoming) receive(fd int) {
	for i := range in.msgs {
		at := i*slotSize + packet.Headroom + in.outer
		in.iovs[i] = unix.Iovec{Base: &in.mem[at], Len: longest}
		in.msgs[i].hdr = unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(&in.names[i])), Namelen: unix.SizeofSockaddrInet6,
			Iov: &in.iovs[i], Iovlen: 1, Control: &in.controls[i][0], Controllen: controlLen,
		}
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.msgs[0])), datagrams, unix.MSG_DONTWAIT, 0, 0)
	if in.count = int(n); errno != 0 {
		in.count = 0 // nothing waits, or an error that is told once, of a datagram that we sent
	}
}

// losses returns how many datagrams the socket has had no room for (SO_MEMINFO,
// linux/sock_diag.h).
func losses(fd int) uint64 {
	const soMemInfo, drops = 55, 8
	var words [drops + 1]uint32
	size := uint32(unsafe.Sizeof(words))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, soMemInfo, uintptr(unsafe.Pointer(&words)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < uint32(unsafe.Sizeof(words)) {
		return 0
	}
	return uint64(words[drops])
}

// datagram returns number i of what was received.
func (in *incoming) datagram(i int) (d datagram) {
	m := &in.msgs[i]
	d.buf = in.mem[i*slotSize : (i+1)*slotSize : (i+1)*slotSize]
	at := packet.Headroom + in.outer
	d.tunnel = d.buf[at : at+int(m.n)]
	d.cut = m.hdr.Flags&unix.MSG_TRUNC != 0 || m.n == longest
	name := &in.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		d.from = netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
	} else {
		d.from = netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port)
	}
	d.readControl(in.controls[i][:min(int(m.hdr.Controllen), controlLen)])
	return d
}

// readControl reads what the kernel says beside the datagram (cmsg(3)).
func (d *datagram) readControl(b []byte) {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0])) // b is a part of an array that begins aligned, at multiples of 8
		n := int(h.Len)
		if n < unix.SizeofCmsghdr+1 || n > len(b) {
			return
		}
		value := b[unix.SizeofCmsghdr:n]
		switch {
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(value) >= 4:
			d.segment = int(binary.NativeEndian.Uint32(value))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS:
			d.tos = value[0]
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS && len(value) >= 4:
			d.tos = uint8(binary.NativeEndian.Uint32(value))
		}
		b = b[min((n+7)&^7, len(b)):]
	}
}
