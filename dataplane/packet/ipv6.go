package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// IPv6 (RFC 8200 3):
//
//	|Version| Traffic Class |           Flow Label                  |
//	|         Payload Length        |  Next Header  |   Hop Limit   |
//	|                    Source Address (16)                        |
//	|                  Destination Address (16)                     |
const (
	ipv6Len = 40
	// The walk over extension headers is bounded twice.
	maxExtensions     = 8
	maxExtensionBytes = 256
)

// Extension headers (IANA).
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extNoNext      = 59
	extDestination = 60
	extMobility    = 135
	extHIP         = 139
	extShim6       = 140
)

// Options of hop-by-hop and destination headers (IANA).
const (
	optionPad1        = 0x00
	optionJumbo       = 0xc2
	optionHomeAddress = 0xc9
)

func parseIPv6(f *Frame, b []byte, h *Headers) drop.Reason {
	p := b[h.L3:]
	if len(p) < ipv6Len || p[0]>>4 != 6 {
		return drop.BadIPv6
	}
	payload := int(binary.BigEndian.Uint16(p[4:]))
	if payload > len(p)-ipv6Len {
		return drop.BadIPv6
	}
	h.V6 = true
	h.PacketEnd = uint32(h.L3) + ipv6Len + uint32(payload)
	h.TTL = p[7]
	h.Key.Src, h.Key.Dst = Addr(p[8:24]), Addr(p[24:40])
	if embedsIPv4(&h.Key.Src) || embedsIPv4(&h.Key.Dst) {
		return drop.Martian
	}
	proto, size, reason := walkExtensions(p[ipv6Len:ipv6Len+payload], p[6])
	if reason == drop.Fragment {
		return parseFragment6(f, b, h, p[ipv6Len:ipv6Len+payload], size)
	}
	if reason != drop.None {
		return reason
	}
	if proto == ProtoICMP {
		return drop.BadTransport // it exists over IPv4 only
	}
	h.L4 = h.L3 + ipv6Len + uint16(size)
	return parseTransport(f, b, h, proto)
}

// embedsIPv4 tells of the addresses that stand for IPv4 ones, mapped
// (::ffff:0:0/96) or compatible (::/96 but for :: and ::1): on the wire they
// are forged (RFC 4291 2.5.5, RFC 4942 2.2), and here a mapped one is how an
// IPv4 address is written.
func embedsIPv4(a *Addr) bool {
	if binary.BigEndian.Uint64(a[0:8]) != 0 {
		return false
	}
	high, low := binary.BigEndian.Uint32(a[8:12]), binary.BigEndian.Uint32(a[12:16])
	return high == 0xffff || high == 0 && low > 1
}

// walkExtensions walks the chain of extension headers in p, which begins with
// one of type next, and returns the transport's protocol and where it begins.
// Options of hop-by-hop and destination headers must parse; what they mean is
// left to the receiver. A routing header is refused, whatever its type: it
// changes where the packet goes after it has been judged (RFC 5095, RFC 8754
// domains end at the host), and so are mobility, HIP, Shim6, experiments and what
// has no next header. At a fragment header the walk ends with drop.Fragment, and
// size says where that is: see parseFragment6.
//
// ESP (RFC 4303) and AH (RFC 4302) end the chain: what they protect is for their
// receiver alone, so that the policy judges them as protocols, as over IPv4, and
// a rule for tcp never speaks of a segment in AH.
func walkExtensions(p []byte, next uint8) (proto uint8, size int, reason drop.Reason) {
	for n := 0; ; n++ {
		switch next {
		case extHopByHop:
			if n != 0 {
				return 0, 0, drop.IPv6Extension
			}
		case extDestination:
		case extFragment:
			return 0, size, drop.Fragment
		case extRouting, extNoNext, extMobility, extHIP, extShim6, 253, 254, 255:
			return 0, 0, drop.IPv6Extension
		default: // a transport, ESP or AH
			return next, size, drop.None
		}
		if n == maxExtensions || len(p)-size < 8 {
			return 0, 0, drop.IPv6Extension
		}
		end := size + (int(p[size+1])+1)*8
		if end > len(p) || end > maxExtensionBytes || !ipv6OptionsHarmless(p[size+2:end]) {
			return 0, 0, drop.IPv6Extension
		}
		next, size = p[size], end
	}
}

// ipv6OptionsHarmless tells whether the options parse (RFC 8200 4.2) and none
// is a Home Address (RFC 6275 6.3), with which the receiver would replace the
// source that has been judged, or a Jumbo Payload (RFC 2675 2), which would
// replace the length.
func ipv6OptionsHarmless(o []byte) bool {
	for len(o) > 0 {
		if o[0] == optionPad1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || int(o[1])+2 > len(o) || o[0] == optionHomeAddress || o[0] == optionJumbo {
			return false
		}
		o = o[int(o[1])+2:]
	}
	return true
}

// writeIPv6 writes an IPv6 header without extensions.
func writeIPv6(p []byte, proto uint8, payload int, hops uint8, src, dst *Addr) {
	binary.BigEndian.PutUint32(p, 6<<28)
	binary.BigEndian.PutUint16(p[4:], uint16(payload))
	p[6], p[7] = proto, hops
	copy(p[8:24], src[:])
	copy(p[24:40], dst[:])
}
