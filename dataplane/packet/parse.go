package packet

import "bulkhead/dataplane/drop"

// Parse reads the headers of a frame into f.Headers, once. It is total: any
// bytes give either None, and then every offset in Headers lies in the frame
// and every length that the headers announce has been checked, or a reason.
// Doubt is a reason. What lies behind the IP packet is never read: padding has
// no effect. It allocates nothing.
//
// f.Offload is what the port said, and is held against the headers. Where the
// port could not say whether a checksum is partial, it is found out here.
func Parse(f *Frame) drop.Reason {
	h := &f.Headers
	*h = Headers{}
	b := f.Bytes()
	if parsePlain(b, h) {
		return parseOffload(f, h)
	}
	return parseAny(f, b, h)
}

// parseAny reads header after header.
func parseAny(f *Frame, b []byte, h *Headers) drop.Reason {
	if reason := parseEthernet(b, h); reason != drop.None {
		return reason
	}
	switch h.EtherType {
	case EtherTypeIPv4:
		return parseIPv4(f, b, h)
	case EtherTypeIPv6:
		return parseIPv6(f, b, h)
	case EtherTypeARP:
		return parseARP(f, b, h)
	}
	return drop.EtherType
}

// parseTransport reads the header behind IP. h.L4 and h.PacketEnd are set.
func parseTransport(f *Frame, b []byte, h *Headers, proto uint8) drop.Reason {
	h.Key.Proto = proto
	p := b[h.L4:h.PacketEnd:h.PacketEnd]
	reason := drop.None
	switch proto {
	case ProtoTCP:
		reason = parseTCP(p, h)
	case ProtoUDP:
		reason = parseUDP(p, h, f.Offload.GSO)
	case ProtoSCTP:
		reason = parseSCTP(p, h)
	case ProtoICMP:
		reason = parseICMP(p, h)
	case ProtoICMPv6:
		reason = parseICMPv6(p, h)
	default:
		h.Payload = h.L4
	}
	if reason != drop.None {
		return reason
	}
	return parseOffload(f, h)
}

// parseOffload finds out what was left to others to do, and holds it against the
// headers.
func parseOffload(f *Frame, h *Headers) drop.Reason {
	if f.MaybePartial {
		PartialChecksum(f)
	}
	if f.Offload.Checksum == ChecksumPartial || f.Offload.GSO != GSONone {
		return checkOffload(f, h)
	}
	return drop.None
}
