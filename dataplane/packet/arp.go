package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// ARP over Ethernet for IPv4 (RFC 826):
//
//	| htype 1 | ptype 0800 | hlen 6 | plen 4 | op | sha 6 | spa 4 | tha 6 | tpa 4 |
const arpLen = 28

// Operations of ARP.
const (
	ARPRequest = 1
	ARPReply   = 2
)

// ARP is what an ARP packet says.
type ARP struct {
	Op                   uint16
	SenderMAC, TargetMAC MAC
	SenderIP, TargetIP   Addr
}

func parseARP(b []byte, h *Headers) drop.Reason {
	p := b[h.L3:]
	if len(p) < arpLen || binary.BigEndian.Uint64(p)>>16 != 0x0001_0800_0604 {
		return drop.BadARP
	}
	if op := binary.BigEndian.Uint16(p[6:]); op != ARPRequest && op != ARPReply {
		return drop.BadARP
	}
	h.Kind = KindARP
	h.PacketEnd = uint32(h.L3) + arpLen
	return drop.None
}

// ARPOf reads the ARP packet of a parsed frame of KindARP.
func ARPOf(f *Frame) ARP {
	p := f.Bytes()[f.Headers.L3:]
	return ARP{
		Op:        binary.BigEndian.Uint16(p[6:]),
		SenderMAC: MAC(p[8:14]), SenderIP: AddrFrom4([4]byte(p[14:18])),
		TargetMAC: MAC(p[18:24]), TargetIP: AddrFrom4([4]byte(p[24:28])),
	}
}

// AnswerARP turns a request of KindARP into the reply that says that mac holds
// the address asked for, addressed to who asked.
func AnswerARP(f *Frame, mac MAC) bool {
	h := &f.Headers
	p := f.Bytes()[h.L3:]
	var target [4]byte
	copy(target[:], p[24:28])
	binary.BigEndian.PutUint16(p[6:], ARPReply)
	copy(p[18:28], p[8:18])
	copy(p[8:14], mac[:])
	copy(p[14:18], target[:])
	SetMACs(f, h.Src, mac)
	return true
}

// Solicit makes f, which has headroom and room behind it, a question for the
// MAC of an address: ARP for IPv4, a neighbour solicitation for IPv6 (RFC 4861
// 7.2.2). It returns false if the memory is too small.
func Solicit(f *Frame, mac MAC, from, target *Addr) bool {
	if len(f.Buf)-int(f.Start) < 128 {
		return false
	}
	if from.Is4() {
		solicitARP(f, mac, from, target)
	} else {
		solicitND(f, mac, from, target)
	}
	f.Offload = Offload{}
	return Parse(f) == drop.None
}

func solicitARP(f *Frame, mac MAC, from, target *Addr) {
	f.End = f.Start + ethernetLen + arpLen
	b := f.Bytes()
	clear(b)
	copy(b, "\xff\xff\xff\xff\xff\xff")
	copy(b[6:], mac[:])
	binary.BigEndian.PutUint16(b[12:], EtherTypeARP)
	copy(b[14:], "\x00\x01\x08\x00\x06\x04\x00\x01")
	copy(b[22:], mac[:])
	copy(b[28:], from[12:])
	copy(b[38:], target[12:])
}
