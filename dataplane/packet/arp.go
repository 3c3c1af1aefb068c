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

func parseARP(f *Frame, b []byte, h *Headers) drop.Reason {
	p := b[h.L3:]
	if len(p) < arpLen || binary.BigEndian.Uint64(p)>>16 != 0x0001_0800_0604 {
		return drop.BadARP
	}
	if op := binary.BigEndian.Uint16(p[6:]); op != ARPRequest && op != ARPReply {
		return drop.BadARP
	}
	if f.Offload.Checksum == ChecksumPartial || f.Offload.GSO != GSONone {
		return drop.BadOffload // ARP has nothing to finish or to cut
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
