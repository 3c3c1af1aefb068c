package porttest

import (
	"encoding/binary"

	"bulkhead/dataplane/packet"
)

// Addresses of the frames: nobody's, so no host answers them.
var (
	macOutside = [6]byte{2, 0xb0, 0, 0, 0, 1}
	macInside  = [6]byte{2, 0xb0, 0, 0, 0, 2}
)

// Local experimental EtherType (IEEE 802): no host reads it.
const etherTypeTest = 0x88b5

// plain makes a frame of n bytes that says which one it is.
func plain(n, number int) []byte {
	b := make([]byte, n)
	copy(b, macInside[:])
	copy(b[6:], macOutside[:])
	binary.BigEndian.PutUint16(b[12:], etherTypeTest)
	binary.BigEndian.PutUint32(b[14:], uint32(number))
	for i := 18; i < n; i++ {
		b[i] = byte(i*7 + number)
	}
	return b
}

// Lengths of the headers below.
const (
	ethernetLen = 14
	ip4Len      = 20
	ip6Len      = 40
	tcpLen      = 20
	udpLen      = 8
)

// superframe makes a TCP or UDP frame of n payload bytes whose checksum is
// partial, to be cut into segments of size; size 0 makes it an ordinary frame.
func superframe(kind packet.GSO, n, size int) ([]byte, packet.Offload) {
	v6 := kind == packet.GSOTCP6 || kind == packet.GSOUDP6
	proto, l4Len, field := byte(packet.ProtoTCP), tcpLen, 16
	if kind == packet.GSOUDP4 || kind == packet.GSOUDP6 {
		proto, l4Len, field = packet.ProtoUDP, udpLen, 6
	}
	b := ipHeader(v6, proto, l4Len+n)
	start := len(b)
	b = append(b, make([]byte, l4Len+n)...)
	l4 := b[start:]
	binary.BigEndian.PutUint16(l4, 1024)
	binary.BigEndian.PutUint16(l4[2:], 2048)
	if proto == packet.ProtoTCP {
		l4[12], l4[13] = tcpLen/4<<4, 0x10 // ACK
		binary.BigEndian.PutUint16(l4[14:], 1000)
	} else {
		binary.BigEndian.PutUint16(l4[4:], uint16(udpLen+n))
	}
	for i := range n {
		l4[l4Len+i] = byte(i)
	}
	binary.BigEndian.PutUint16(l4[field:], fold(pseudo(b[ethernetLen:start], v6, proto, l4Len+n)))
	o := packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: uint16(start), CsumOffset: uint16(field)}
	if size != 0 {
		o.GSO, o.Size, o.HeaderLen = kind, uint16(size), uint16(start+l4Len)
	}
	return b, o
}

// ipHeader makes Ethernet and IP headers for n bytes of transport.
func ipHeader(v6 bool, proto byte, n int) []byte {
	b := make([]byte, ethernetLen+ip4Len, 2048)
	if v6 {
		b = make([]byte, ethernetLen+ip6Len, 2048)
	}
	copy(b, macInside[:])
	copy(b[6:], macOutside[:])
	ip := b[ethernetLen:]
	if v6 {
		binary.BigEndian.PutUint16(b[12:], packet.EtherTypeIPv6)
		ip[0], ip[6], ip[7] = 6<<4, proto, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(n))
		ip[8], ip[23], ip[24], ip[39] = 0xfd, 1, 0xfd, 2
		return b
	}
	binary.BigEndian.PutUint16(b[12:], packet.EtherTypeIPv4)
	ip[0], ip[8], ip[9] = 4<<4|ip4Len/4, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(ip4Len+n))
	copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip)))
	return b
}

// finish returns the frame with its partial checksum done: what a receiver
// without offloads must see.
func finish(b []byte, o packet.Offload) []byte {
	done := append([]byte(nil), b...)
	if o.Checksum != packet.ChecksumPartial {
		return done
	}
	l4 := done[o.CsumStart:]
	check := ^fold(sum(l4))
	if check == 0 && o.CsumOffset == 6 {
		check = 0xffff // RFC 768: zero would say that there is none
	}
	binary.BigEndian.PutUint16(l4[o.CsumOffset:], check)
	return done
}

func pseudo(ip []byte, v6 bool, proto byte, n int) uint32 {
	addrs := ip[12:20]
	if v6 {
		addrs = ip[8:40]
	}
	return sum(addrs) + uint32(proto) + uint32(n)
}

// sum and fold are RFC 1071 in its plainest form: this is the oracle.
func sum(b []byte) (s uint32) {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 != 0 {
		s += uint32(b[len(b)-1]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
