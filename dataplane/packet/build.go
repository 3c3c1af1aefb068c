package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"bulkhead/dataplane/checksum"
)

// Spec describes a frame for Build: what an operator traces and a script
// sends. Zero fields are left at what is usual.
type Spec struct {
	SrcMAC, DstMAC   MAC
	Src, Dst         Addr // both of one family
	Proto            uint8
	SrcPort, DstPort uint16
	TCPFlags         uint8  // zero: SYN
	TCPOptions       []byte // a multiple of 4, at most 40
	Seq, Ack         uint32
	ICMPType         uint8
	ICMPCode         uint8
	ICMPID           uint16
	ICMPSeq          uint16
	Target           Addr  // of a neighbour solicitation, advertisement or redirect
	TTL              uint8 // zero: 64, or 255 for neighbour discovery
	TOS              uint8 // type of service or traffic class
	Payload          []byte
	VLANs            []uint16 // TCIs, outermost first; at most 2
	ARP              uint16   // ARPRequest or ARPReply: an ARP packet, Src and Dst its addresses
}

// Build makes the bytes of a frame, with right lengths and checksums. Neighbour
// discovery without a payload gets its target and, where the source is not ::,
// a link-layer option with SrcMAC. It refuses what no frame can hold.
func Build(s Spec) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 128+len(s.Payload))
	b = append(b, s.DstMAC[:]...)
	b = append(b, s.SrcMAC[:]...)
	for i, tci := range s.VLANs {
		kind := uint16(EtherTypeVLAN)
		if i == 0 && len(s.VLANs) == 2 {
			kind = EtherTypeQinQ // the service tag (IEEE 802.1Q 9.5)
		}
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, tci)
	}
	if s.ARP != 0 {
		return buildARP(b, &s), nil
	}
	return buildIP(b, &s), nil
}

// check returns every contradiction in a Spec.
func (s *Spec) check() error {
	var errs []error
	if s.Src.Is4() != s.Dst.Is4() {
		errs = append(errs, fmt.Errorf("source %s and destination %s are of two families", s.Src, s.Dst))
	}
	if s.ARP != 0 && !s.Src.Is4() {
		errs = append(errs, fmt.Errorf("ARP is for IPv4, and %s is not", s.Src))
	}
	if s.ARP > ARPReply {
		errs = append(errs, fmt.Errorf("ARP operation %d is neither request (1) nor reply (2)", s.ARP))
	}
	if s.Proto == ProtoICMP && !s.Src.Is4() || s.Proto == ProtoICMPv6 && s.Src.Is4() {
		errs = append(errs, fmt.Errorf("%s from %s: the protocol is of the other family", ProtoName(s.Proto), s.Src))
	}
	if len(s.VLANs) > 2 {
		errs = append(errs, fmt.Errorf("%d VLAN tags; at most 2 fit", len(s.VLANs)))
	}
	if most := 0xffff - ipv4Len - tcpLen; len(s.Payload) > most {
		errs = append(errs, fmt.Errorf("payload of %d bytes; at most %d fit", len(s.Payload), most))
	}
	return errors.Join(errs...)
}

func buildARP(b []byte, s *Spec) []byte {
	b = binary.BigEndian.AppendUint16(b, EtherTypeARP)
	b = append(b, 0, 1, 8, 0, 6, 4)
	b = binary.BigEndian.AppendUint16(b, s.ARP)
	b = append(b, s.SrcMAC[:]...)
	b = append(b, s.Src[12:]...)
	if s.ARP == ARPReply {
		b = append(b, s.DstMAC[:]...)
	} else {
		b = append(b, 0, 0, 0, 0, 0, 0)
	}
	return append(b, s.Dst[12:]...)
}

func buildIP(b []byte, s *Spec) []byte {
	t := buildTransport(s)
	ttl := s.TTL
	if ttl == 0 {
		ttl = answerTTL
		if s.isND() {
			ttl = 255
		}
	}
	setTransportSum(t, s)
	var ip [ipv6Len]byte
	if s.Src.Is4() {
		b = binary.BigEndian.AppendUint16(b, EtherTypeIPv4)
		writeIPv4(ip[:], s.Proto, len(t), ttl, &s.Src, &s.Dst)
		ip[1], ip[10], ip[11] = s.TOS, 0, 0
		binary.BigEndian.PutUint16(ip[10:], checksum.Of(ip[:ipv4Len], 0))
		return append(append(b, ip[:ipv4Len]...), t...)
	}
	b = binary.BigEndian.AppendUint16(b, EtherTypeIPv6)
	writeIPv6(ip[:], s.Proto, len(t), ttl, &s.Src, &s.Dst)
	ip[0] |= s.TOS >> 4
	ip[1] |= s.TOS << 4
	return append(append(b, ip[:]...), t...)
}

// isND tells whether the Spec is of neighbour discovery.
func (s *Spec) isND() bool {
	return s.Proto == ProtoICMPv6 && s.ICMPType >= NDRouterSolicitation && s.ICMPType <= NDRedirect
}

// buildTransport makes the transport header and payload, without checksum.
func buildTransport(s *Spec) []byte {
	var t []byte
	switch s.Proto {
	case ProtoTCP:
		t = make([]byte, tcpLen, tcpLen+len(s.TCPOptions)+len(s.Payload))
		binary.BigEndian.PutUint32(t[4:], s.Seq)
		binary.BigEndian.PutUint32(t[8:], s.Ack)
		t[12], t[13] = byte(tcpLen+len(s.TCPOptions))/4<<4, s.TCPFlags
		if s.TCPFlags == 0 {
			t[13] = TCPSyn
		}
		binary.BigEndian.PutUint16(t[14:], 65535)
		t = append(t, s.TCPOptions...)
	case ProtoUDP:
		t = make([]byte, udpLen, udpLen+len(s.Payload))
		binary.BigEndian.PutUint16(t[4:], uint16(udpLen+len(s.Payload)))
	case ProtoSCTP:
		t = make([]byte, sctpLen, sctpLen+len(s.Payload))
	case ProtoICMP, ProtoICMPv6:
		return buildICMP(s)
	default:
		return append(t, s.Payload...)
	}
	binary.BigEndian.PutUint16(t, s.SrcPort)
	binary.BigEndian.PutUint16(t[2:], s.DstPort)
	return append(t, s.Payload...)
}

func buildICMP(s *Spec) []byte {
	t := make([]byte, icmpLen, icmpLen+len(s.Payload)+ndTargetEnd)
	t[0], t[1] = s.ICMPType, s.ICMPCode
	if !s.isND() {
		binary.BigEndian.PutUint16(t[4:], s.ICMPID)
		binary.BigEndian.PutUint16(t[6:], s.ICMPSeq)
		return append(t, s.Payload...)
	}
	if s.Payload != nil {
		return append(t, s.Payload...)
	}
	option := byte(ndSourceLink)
	switch s.ICMPType {
	case NDRouterAdvertisement:
		t = append(t, make([]byte, 8)...)
	case NDNeighbourSolicitation:
		t = append(t, s.Target[:]...)
	case NDNeighbourAdvertisement:
		t[4] = ndFlagOverride
		if !isGroup(&s.Dst) {
			t[4] |= ndFlagSolicit
		}
		t = append(t, s.Target[:]...)
		option = ndTargetLink
	case NDRedirect:
		t = append(append(t, s.Target[:]...), s.Dst[:]...)
		option = ndTargetLink
	}
	if s.Src == (Addr{}) {
		return t
	}
	return append(append(t, option, 1), s.SrcMAC[:]...)
}

// setTransportSum writes the checksum of the transport t.
func setTransportSum(t []byte, s *Spec) {
	if s.Proto == ProtoSCTP {
		// CRC32c, least significant byte first (RFC 9260 6.8, appendix A).
		binary.LittleEndian.PutUint32(t[8:], crc32.Checksum(t, crc32.MakeTable(crc32.Castagnoli)))
		return
	}
	at, known := checksumOffset(s.Proto)
	sum := uint64(0)
	switch {
	case s.Proto == ProtoICMP:
		at = icmpChecksum
	case !known:
		return
	case s.Src.Is4():
		sum = checksum.Pseudo(s.Src[12:], s.Dst[12:], s.Proto, uint32(len(t)))
	default:
		sum = checksum.Pseudo(s.Src[:], s.Dst[:], s.Proto, uint32(len(t)))
	}
	c := checksum.Of(t, sum)
	if c == 0 && s.Proto == ProtoUDP {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(t[at:], c)
}

// NewFrame makes a frame of the bytes b, with headroom, and as much room
// behind, as if it had come in by port: for traces and tests. It allocates.
func NewFrame(b []byte, port PortID) *Frame {
	f := new(Frame)
	buf := make([]byte, Headroom+len(b)+Headroom)
	copy(buf[Headroom:], b)
	f.Begin(buf, Headroom, uint32(Headroom+len(b)), port)
	return f
}
