package udp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port/vnet"
)

const (
	// messages is the most that one call sends.
	messages = 32
	// parts is the most pieces of memory that they are.
	parts = 256
	// markLen holds a type of service and the size of a train's pieces.
	markLen = 2 * 24
)

// sends is the memory of sendmmsg. Pointers in it are to itself, to frames, which
// are lent until Send returns, and to mapped memory.
type sends struct {
	msgs  [messages]mmsghdr
	iovs  [parts]unix.Iovec
	names [messages]unix.RawSockaddrInet6
	marks [messages][markLen]byte
	whose [messages]message
	count int // messages
	iov   int // parts
}

// message is what is booked when one is sent: the frames that it is, or the
// superframe that it is a part of.
type message struct {
	frames []entry
	super  *entry
	last   bool // its last part
}

// full tells whether another train may not fit.
func (s *sends) full() bool { return s.count == messages || s.iov+trainPieces > parts }

// begin begins a message to somebody.
func (s *sends) begin(to *target) {
	name := &s.names[s.count]
	*name = unix.RawSockaddrInet6{}
	length := uint32(unix.SizeofSockaddrInet6)
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.port)
	if to.family == 0 {
		name.Family, length = unix.AF_INET, unix.SizeofSockaddrInet4
		copy((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr[:], to.addr[:4])
	} else {
		name.Family, name.Addr = unix.AF_INET6, to.addr
	}
	m := &s.msgs[s.count]
	m.hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(name)), Namelen: length, Iov: &s.iovs[s.iov]}
	level, kind := int32(unix.IPPROTO_IP), int32(unix.IP_TOS)
	if to.family == 1 {
		level, kind = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	if to.tos != 0 {
		s.mark(level, kind, 4, uint32(to.tos))
	}
}

// mark adds a word beside the message's bytes (cmsg(3)).
func (s *sends) mark(level, kind int32, size int, value uint32) {
	m := &s.msgs[s.count]
	at := int(m.hdr.Controllen)
	b := s.marks[s.count][at:]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0])) // marks are aligned to 8, and at is a multiple of it
	h.Len, h.Level, h.Type = uint64(unix.SizeofCmsghdr+size), level, kind
	clear(b[unix.SizeofCmsghdr:24])
	if size == 2 {
		binary.NativeEndian.PutUint16(b[unix.SizeofCmsghdr:], uint16(value))
	} else {
		binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr:], value)
	}
	m.hdr.Control, m.hdr.Controllen = &s.marks[s.count][0], uint64(at+24)
}

// add adds bytes to the message.
func (s *sends) add(b []byte) {
	s.iovs[s.iov] = unix.Iovec{Base: &b[0], Len: uint64(len(b))}
	s.iov++
	s.msgs[s.count].hdr.Iovlen++
}

// end ends a message of frames, each of a size, the last perhaps shorter.
func (s *sends) end(frames []entry, size int) { s.endOf(message{frames: frames}, size) }

// endPart ends a message that is a part of a superframe, in pieces of a size.
func (s *sends) endPart(super *entry, size int, last bool) {
	s.endOf(message{super: super, last: last}, size)
}

func (s *sends) endOf(whose message, size int) {
	m := &s.msgs[s.count]
	total := uint64(0)
	for i := range m.hdr.Iovlen {
		total += s.iovs[s.iov-1-int(i)].Len
	}
	if total > uint64(size) {
		s.mark(unix.SOL_UDP, unix.UDP_SEGMENT, 2, uint32(size))
	}
	s.whose[s.count] = whose
	s.count++
}

// send gives the messages from one on to the kernel, and returns how many it took.
// The socket does not block, so the scheduler is not told.
func (s *sends) send(fd, from int) (sent int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.msgs[from])), uintptr(s.count-from), unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

// book counts a message's frames as sent, or drops them.
func (s *sends) book(i int, reason drop.Reason, t *vnet.Tally) {
	w := &s.whose[i]
	if w.super != nil {
		bookFrame(w.super.f, reason, w.last, t)
	}
	for j := range w.frames {
		bookFrame(w.frames[j].f, reason, true, t)
	}
}

// first returns the first frame of a message, and whom it is for.
func (s *sends) first(i int) (*packet.Frame, *target) {
	e := s.whose[i].super
	if e == nil {
		e = &s.whose[i].frames[0]
	}
	return e.f, &e.t
}

// bookFrame books a frame once: with its last message, or the first that failed.
func bookFrame(f *packet.Frame, reason drop.Reason, last bool, t *vnet.Tally) {
	switch {
	case f.Reason != drop.None:
	case reason != drop.None:
		f.Reason = reason
		t.Drop(reason)
	case last:
		t.Frames++
		t.Bytes += uint64(f.Len())
	}
}

// forget drops the pointers to frames: their memory is not ours any more.
func (s *sends) forget() {
	clear(s.msgs[:s.count])
	clear(s.iovs[:s.iov])
	clear(s.whose[:s.count])
	s.count, s.iov = 0, 0
}
