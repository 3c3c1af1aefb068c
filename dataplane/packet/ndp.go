package packet

import "bulkhead/dataplane/drop"

// Neighbour discovery (RFC 4861 4). Solicitation and advertisement:
//
//	| type | code 0 | checksum |  R S O reserved  |  target (16)  | options ... |
//
// An option is type, length in units of 8 bytes, value.
const (
	ndTargetEnd    = 24
	ndSourceLink   = 1 // source link-layer address
	ndTargetLink   = 2
	ndMaxOptions   = 16
	ndFlagRouter   = 0x80
	ndFlagSolicit  = 0x40
	ndFlagOverride = 0x20
)

// ND is what a neighbour discovery packet says.
type ND struct {
	Target      Addr // solicitations, advertisements, redirects
	LinkAddr    MAC  // of the source or target link-layer option
	HasLinkAddr bool
}

// parseND checks what RFC 4861 has a receiver check first: the hop limit that
// no router can have passed on, the code, the lengths. It is why an off-link
// host cannot speak ND.
func parseND(p []byte, h *Headers) drop.Reason {
	if h.TTL != 255 || h.ICMPCode != 0 {
		return drop.BadNDP
	}
	at := ndOptionsAt(h.ICMPType)
	if len(p) < at {
		return drop.BadNDP
	}
	_, linked, fits := ndLinkAddr(p[at:])
	if !fits || !ndConsistent(p, h, linked) {
		return drop.BadNDP
	}
	h.Kind = KindND
	return drop.None
}

// ndConsistent holds the message against its IP header, as RFC 4861 6.1.1,
// 7.1.1 and 7.1.2 say: linked tells of a link-layer option.
func ndConsistent(p []byte, h *Headers, linked bool) bool {
	unspecified := h.Key.Src == Addr{}
	switch h.ICMPType {
	case NDRouterSolicitation:
		return !(unspecified && linked)
	case NDNeighbourSolicitation:
		if unspecified && (linked || !isSolicitedNode(&h.Key.Dst)) {
			return false
		}
		return p[8] != 0xff
	case NDNeighbourAdvertisement:
		return p[8] != 0xff && !(h.Key.Dst[0] == 0xff && p[4]&ndFlagSolicit != 0)
	}
	return true
}

// isSolicitedNode tells of ff02::1:ff00:0/104 (RFC 4291 2.7.1).
func isSolicitedNode(a *Addr) bool {
	return [13]byte(a[:13]) == [13]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff}
}

// ndOptionsAt is where a message's options begin.
func ndOptionsAt(kind uint8) int {
	switch kind {
	case NDRouterSolicitation:
		return 8
	case NDRouterAdvertisement:
		return 16
	case NDRedirect:
		return 40
	}
	return ndTargetEnd
}

// ndLinkAddr finds the link-layer address among the options; fits is false if
// they do not parse, or if two of them disagree.
func ndLinkAddr(o []byte) (mac MAC, found, fits bool) {
	for n := 0; len(o) > 0; n++ {
		if n == ndMaxOptions || len(o) < 8 || o[1] == 0 || int(o[1])*8 > len(o) {
			return mac, found, false
		}
		if o[0] == ndSourceLink || o[0] == ndTargetLink {
			if o[1] != 1 || found && mac != MAC(o[2:8]) {
				return mac, found, false
			}
			mac, found = MAC(o[2:8]), true
		}
		o = o[int(o[1])*8:]
	}
	return mac, found, true
}

// NDOf reads the ND packet of a parsed frame of KindND.
func NDOf(f *Frame) ND {
	h := &f.Headers
	p := f.Bytes()[h.L4:h.PacketEnd]
	var n ND
	if h.ICMPType != NDRouterSolicitation && h.ICMPType != NDRouterAdvertisement {
		n.Target = Addr(p[8:24])
	}
	n.LinkAddr, n.HasLinkAddr, _ = ndLinkAddr(p[ndOptionsAt(h.ICMPType):])
	return n
}
