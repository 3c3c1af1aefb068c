package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// A router advertisement (RFC 4861 4.2):
//
//	| 134 | 0 | checksum | hop limit | M O | router lifetime | reachable | retrans |
//	| options: source link-layer address, MTU, prefix, name servers (RFC 8106)
const (
	raManaged    = 0x80 // addresses are to be had by DHCPv6
	raOther      = 0x40
	raOnLink     = 0x80
	raAutonomous = 0x40
	// raLifetime is the longest that a router may say it is one for, in seconds (RFC
	// 8319 4): what is never sent unasked should hold.
	raLifetime = 65535
	forever    = 0xffffffff

	ndPrefix = 3
	ndMTU    = 5
	ndRDNSS  = 25
)

// AnswerRA turns a parsed solicitation, of a router or of a neighbour, into the
// advertisement of the gateway for who asked. A prefix in which the workload makes
// its own address of its MAC, and has that one, it may configure itself by; else the
// address is to be had by DHCPv6. It returns false if the frame's memory is too
// small.
func AnswerRA(f *Frame, l *Lease) bool {
	h := &f.Headers
	if h.Kind != KindND || !f.leaseRoom() {
		return false
	}
	from, to, mac := LinkLocal(l.MAC), h.Key.Src, h.Src
	if to == (Addr{}) {
		to, mac = allNodes, allNodesMAC
	}
	self := LinkLocal(h.Src)
	ip := f.Buf[f.Start+uint32(h.L3):]
	w := writer{b: ip[ipv6Len:maxLeaseMessage]}
	w.u8(NDRouterAdvertisement, 0, 0, 0, answerTTL, raManaged|raOther)
	if l.NoRoute {
		w.u16(0) // no router, but all the rest holds (RFC 4861 4.2)
	} else {
		w.u16(raLifetime)
	}
	w.u32(0)
	w.u32(0)
	w.u8(ndSourceLink, 1)
	w.bytes(l.MAC[:])
	w.u8(ndMTU, 1, 0, 0)
	w.u32(l.MTU)
	writePrefix(&w, l, [8]byte(l.Addr[8:]) == [8]byte(self[8:]))
	if n := l.servers(false); n > 0 {
		w.u8(ndRDNSS, byte(1+2*n), 0, 0)
		w.u32(raLifetime)
		for i := range l.DNS {
			if !l.DNS[i].Is4() {
				w.bytes(l.DNS[i][:])
			}
		}
	}
	writeIPv6(ip, ProtoICMPv6, w.n, 255, &from, &to)
	p := ip[ipv6Len : ipv6Len+w.n]
	sum := checksum.Pseudo(from[:], to[:], ProtoICMPv6, uint32(len(p)))
	binary.BigEndian.PutUint16(p[icmpChecksum:], checksum.Of(p, sum))
	f.End = f.Start + uint32(h.L3) + ipv6Len + uint32(w.n)
	SetMACs(f, mac, l.MAC)
	f.Offload = Offload{}
	return Parse(f) == drop.None
}

// writePrefix writes the prefix around an address (RFC 4861 4.6.2).
func writePrefix(w *writer, l *Lease, makesIt bool) {
	flags := byte(raOnLink)
	if makesIt && l.Bits == 64 {
		flags |= raAutonomous
	}
	w.u8(ndPrefix, 4, l.Bits, flags)
	w.u32(forever)
	w.u32(forever)
	w.u32(0)
	prefix := l.Addr
	for bit := int(l.Bits); bit < 128; bit++ {
		prefix[bit/8] &^= 0x80 >> (bit % 8)
	}
	w.bytes(prefix[:])
}
