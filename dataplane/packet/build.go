package packet

import (
	"encoding/binary"
	"fmt"

	"bulkhead/dataplane/checksum"
)

// Spec describes a frame for Build: what an operator traces and a script
// sends. Zero fields are left at what is usual.
type Spec struct {
	SrcMAC, DstMAC   MAC
	Src, Dst         Addr // both of one family
	Proto            uint8
	SrcPort, DstPort uint16
	TCPFlags         uint8 // zero: SYN
	Seq, Ack         uint32
	ICMPType         uint8
	ICMPCode         uint8
	ICMPID           uint16
	TTL              uint8 // zero: 64, or 255 for neighbour discovery
	Payload          []byte
	VLANs            []uint16 // tags, outermost first
	ARP              uint16   // ARPRequest or ARPReply: an ARP packet, Src and Dst its addresses
}

// Build makes the bytes of a frame, with right lengths and checksums.
func Build(s Spec) ([]byte, error) {
	if s.Src.Is4() != s.Dst.Is4() {
		return nil, fmt.Errorf("source %s and destination %s are of two families", s.Src, s.Dst)
	}
	b := make([]byte, 0, 128+len(s.Payload))
	b = append(b, s.DstMAC[:]...)
	b = append(b, s.SrcMAC[:]...)
	for _, tag := range s.VLANs {
		b = binary.BigEndian.AppendUint16(b, EtherTypeVLAN)
		b = binary.BigEndian.AppendUint16(b, tag)
	}
	if s.ARP != 0 {
		return buildARP(b, &s), nil
	}
	return buildIP(b, &s), nil
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
	v6 := !s.Src.Is4()
	ttl := s.TTL
	if ttl == 0 {
		ttl = 64
		if v6 && s.Proto == ProtoICMPv6 && s.ICMPType >= NDRouterSolicitation && s.ICMPType <= NDRedirect {
			ttl = 255
		}
	}
	var ip [ipv6Len]byte
	size := ipv4Len
	if v6 {
		b = binary.BigEndian.AppendUint16(b, EtherTypeIPv6)
		size = ipv6Len
		writeIPv6(ip[:], s.Proto, len(t), ttl, &s.Src, &s.Dst)
	} else {
		b = binary.BigEndian.AppendUint16(b, EtherTypeIPv4)
		writeIPv4(ip[:], s.Proto, len(t), ttl, &s.Src, &s.Dst)
	}
	setTransportSum(t, s, v6)
	return append(append(b, ip[:size]...), t...)
}

func buildTransport(s *Spec) []byte {
	var t []byte
	switch s.Proto {
	case ProtoTCP:
		flags := s.TCPFlags
		if flags == 0 {
			flags = TCPSyn
		}
		t = make([]byte, tcpLen, tcpLen+len(s.Payload))
		binary.BigEndian.PutUint16(t, s.SrcPort)
		binary.BigEndian.PutUint16(t[2:], s.DstPort)
		binary.BigEndian.PutUint32(t[4:], s.Seq)
		binary.BigEndian.PutUint32(t[8:], s.Ack)
		t[12], t[13] = 5<<4, flags
		binary.BigEndian.PutUint16(t[14:], 65535)
	case ProtoUDP:
		t = make([]byte, udpLen, udpLen+len(s.Payload))
		binary.BigEndian.PutUint16(t, s.SrcPort)
		binary.BigEndian.PutUint16(t[2:], s.DstPort)
		binary.BigEndian.PutUint16(t[4:], uint16(udpLen+len(s.Payload)))
	case ProtoSCTP:
		t = make([]byte, sctpLen, sctpLen+len(s.Payload))
		binary.BigEndian.PutUint16(t, s.SrcPort)
		binary.BigEndian.PutUint16(t[2:], s.DstPort)
	case ProtoICMP, ProtoICMPv6:
		t = make([]byte, icmpLen, icmpLen+len(s.Payload))
		t[0], t[1] = s.ICMPType, s.ICMPCode
		binary.BigEndian.PutUint16(t[4:], s.ICMPID)
		if nd := s.ICMPType >= NDRouterSolicitation && s.ICMPType <= NDRedirect; nd && s.Proto == ProtoICMPv6 {
			clear(t[4:])
		}
	}
	return append(t, s.Payload...)
}

// setTransportSum writes the checksum of the transport t.
func setTransportSum(t []byte, s *Spec, v6 bool) {
	at, pseudo := 0, true
	switch s.Proto {
	case ProtoTCP:
		at = 16
	case ProtoUDP:
		at = 6
	case ProtoICMPv6:
		at = 2
	case ProtoICMP:
		at, pseudo = 2, false
	default:
		return
	}
	sum := uint64(0)
	if pseudo && v6 {
		sum = checksum.Pseudo(s.Src[:], s.Dst[:], s.Proto, uint32(len(t)))
	} else if pseudo {
		sum = checksum.Pseudo(s.Src[12:], s.Dst[12:], s.Proto, uint32(len(t)))
	}
	c := checksum.Of(t, sum)
	if c == 0 && s.Proto == ProtoUDP {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(t[at:], c)
}

// NewFrame makes a frame of the bytes b, with headroom, as if it had come in
// by port: for traces and tests. It allocates.
func NewFrame(b []byte, port PortID) *Frame {
	f := new(Frame)
	buf := make([]byte, Headroom+len(b), Headroom+len(b)+128)
	copy(buf[Headroom:], b)
	f.Begin(buf[:cap(buf)], Headroom, uint32(Headroom+len(b)), port)
	return f
}
