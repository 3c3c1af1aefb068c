package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
)

// Address translation changes an address and a port in place. No checksum is
// computed anew and no payload is read: each is updated by the words that have
// changed (RFC 1624), whatever state it is in. A wrong one stays wrong, a partial
// one, in which the ports do not count yet, stays partial.

// side is which end of a packet is meant; its number is the place of its
// address and its port in the headers.
type side int

const (
	source side = iota
	destination
)

// SetSource gives a parsed packet of KindIP another source address, of its
// family, and port: of an ICMP query the identifier. Of protocols without ports
// it changes the address alone. Headers.Key follows.
func SetSource(f *Frame, a *Addr, port uint16) { f.setEnd(source, a, port) }

// SetDestination is SetSource for the destination.
func SetDestination(f *Frame, a *Addr, port uint16) { f.setEnd(destination, a, port) }

func (f *Frame) setEnd(s side, a *Addr, port uint16) {
	h := &f.Headers
	b := f.Bytes()
	field, addr := addressIn(b[h.L3:], h.V6, s, a)
	if !h.V6 {
		sum := b[h.L3+10:]
		binary.BigEndian.PutUint16(sum, checksum.UpdateBytes(binary.BigEndian.Uint16(sum), field, addr))
	}
	f.mendTransport(h.Key.Proto != ProtoICMP, field, addr)
	copy(field, addr)
	if s == source {
		h.Key.Src = *a
	} else {
		h.Key.Dst = *a
	}
	at, has := portIn(h.Key.Proto, h.Key.Query, s)
	if !has {
		return
	}
	field = b[h.L4+at : h.L4+at+2]
	var new [2]byte
	binary.BigEndian.PutUint16(new[:], port)
	if f.Offload.Checksum != ChecksumPartial {
		f.mendTransport(true, field, new[:])
	}
	copy(field, new[:])
	h.Key.setPort(s, port)
}

// addressIn returns an address's place in an IP header, and what to write there.
func addressIn(ip []byte, v6 bool, s side, a *Addr) (field, addr []byte) {
	if v6 {
		return ip[8+16*s : 24+16*s], a[:]
	}
	return ip[12+4*s : 16+4*s], a[12:]
}

// portIn returns where in the transport header the port of an end is, or the
// identifier of a query, which is that of both.
func portIn(proto uint8, query Query, s side) (at uint16, has bool) {
	switch {
	case proto == ProtoTCP || proto == ProtoUDP:
		return uint16(2 * s), true
	case query != QueryNone:
		return 4, true
	}
	return 0, false
}

// setPort writes the port of an end; of a query the identifier, which is both.
func (k *Key) setPort(s side, port uint16) {
	if k.Query != QueryNone {
		k.SrcPort, k.DstPort = port, port
		return
	}
	if s == source {
		k.SrcPort = port
	} else {
		k.DstPort = port
	}
}

// mendTransport updates the transport checksum for a field that is about to
// change, if it counts there.
func (f *Frame) mendTransport(counts bool, old, new []byte) {
	h := &f.Headers
	at, known := sumIn(h.Key.Proto)
	if !known || !counts {
		return
	}
	field := f.Bytes()[h.L4+at:]
	sum := binary.BigEndian.Uint16(field)
	switch {
	case f.Offload.Checksum == ChecksumPartial:
		sum = checksum.UpdatePartial(sum, old, new)
	case h.Key.Proto == ProtoUDP:
		sum = updateUDP(sum, old, new)
	default:
		sum = checksum.UpdateBytes(sum, old, new)
	}
	binary.BigEndian.PutUint16(field, sum)
}

// updateUDP updates a UDP checksum: none stays none, and the update of one never
// looks like none (RFC 768).
func updateUDP(sum uint16, old, new []byte) uint16 {
	if sum == 0 {
		return 0
	}
	if sum = checksum.UpdateBytes(sum, old, new); sum == 0 {
		return 0xffff
	}
	return sum
}

// sumIn is checksumOffset, and ICMP's.
func sumIn(proto uint8) (at uint16, known bool) {
	if proto == ProtoICMP {
		return icmpChecksum, true
	}
	return checksumOffset(proto)
}

// SetQuotedSource gives the packet that an ICMP error quotes another source
// address and port, and mends every checksum that this touches: the quoted IP
// header's, the quoted transport's where it is in the quote, and the error's own
// (RFC 5508 4.2). Headers.Inner follows.
func SetQuotedSource(f *Frame, a *Addr, port uint16) { f.setQuoted(source, a, port) }

// SetQuotedDestination is SetQuotedSource for the destination.
func SetQuotedDestination(f *Frame, a *Addr, port uint16) { f.setQuoted(destination, a, port) }

func (f *Frame) setQuoted(s side, a *Addr, port uint16) {
	h := &f.Headers
	q := quote{f: f, bytes: f.Bytes()[:h.PacketEnd], sum: binary.BigEndian.Uint16(f.Bytes()[h.L4+icmpChecksum:])}
	field, addr := addressIn(q.bytes[h.Payload:], h.V6, s, a)
	if !h.V6 {
		at := h.Payload + 10
		q.putUint16(at, checksum.UpdateBytes(binary.BigEndian.Uint16(q.bytes[at:]), field, addr))
	}
	if h.Inner.Proto != ProtoICMP {
		q.mendTransport(field, addr)
	}
	q.put(field, addr)
	if at, has := portIn(h.Inner.Proto, h.Inner.Query, s); has {
		var new [2]byte
		binary.BigEndian.PutUint16(new[:], port)
		field := q.bytes[h.InnerL4+at : h.InnerL4+at+2]
		q.mendTransport(field, new[:])
		q.put(field, new[:])
		h.Inner.setPort(s, port)
	}
	if f.Offload.Checksum != ChecksumPartial { // else the quote does not count yet
		binary.BigEndian.PutUint16(f.Bytes()[h.L4+icmpChecksum:], q.sum)
	}
	if s == source {
		h.Inner.Src = *a
	} else {
		h.Inner.Dst = *a
	}
}

// quote is a quoted packet that is being changed, and the checksum of the error
// around it as it will be.
type quote struct {
	f     *Frame
	bytes []byte // the frame to the end of the packet
	sum   uint16
}

// put changes bytes of the quote, an even number at an even place of the error.
func (q *quote) put(field, new []byte) {
	q.sum = checksum.UpdateBytes(q.sum, field, new)
	copy(field, new)
}

func (q *quote) putUint16(at, v uint16) {
	var new [2]byte
	binary.BigEndian.PutUint16(new[:], v)
	q.put(q.bytes[at:at+2], new[:])
}

// mendTransport updates the quoted transport's checksum for a field that is
// about to change, if the quote has it.
func (q *quote) mendTransport(old, new []byte) {
	h := &q.f.Headers
	at, known := sumIn(h.Inner.Proto)
	if at += h.InnerL4; !known || int(at)+2 > len(q.bytes) {
		return
	}
	sum := binary.BigEndian.Uint16(q.bytes[at:])
	if h.Inner.Proto == ProtoUDP {
		q.putUint16(at, updateUDP(sum, old, new))
		return
	}
	q.putUint16(at, checksum.UpdateBytes(sum, old, new))
}
