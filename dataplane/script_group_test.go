package dataplane_test

import (
	"encoding/binary"
	"strings"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/packet"
)

// group reads what a host says of multicast groups, by IGMP or MLD as the
// addresses are:
//
//	group query SRC [GROUP]
//	group join|leave SRC GROUP[,GROUP]   a report of the newest version
//	group old-join|old-leave SRC GROUP   of IGMPv2 or MLDv1
//	group include SRC GROUP              from no source: it leaves
//
// ttl=, records=N (as the report says) and sum=bad are as they should not be.
func (x *writing) group(s *packet.Spec) {
	kind := x.word()
	if x.opts["ttl"] == "" {
		x.opts["ttl"] = "1"
	}
	s.Src, _ = x.socket(x.word())
	var groups []packet.Addr
	if len(x.words) > 0 && !strings.Contains(x.words[0], "=") {
		for _, g := range strings.Split(x.word(), ",") {
			a, _ := x.socket(g)
			groups = append(groups, a)
		}
	}
	v4 := s.Src.Is4()
	all := func(four byte, six byte) packet.Addr {
		if v4 {
			return packet.AddrFrom4([4]byte{224, 0, 0, four})
		}
		return packet.Addr{0: 0xff, 1: 2, 15: six}
	}
	types := map[string][3]uint8{"query": {0x11, 130}, "join": {0x22, 143, 4}, "leave": {0x22, 143, 3}, "include": {0x22, 143, 1}, "old-join": {0x16, 131}, "old-leave": {0x17, 132}}
	t, known := types[kind]
	if !known {
		x.fail("%q is no group message", kind)
	}
	switch kind {
	case "query":
		if s.Dst = all(1, 1); len(groups) > 0 {
			s.Dst = groups[0]
		} else {
			groups = []packet.Addr{{}}
		}
	case "old-join":
		s.Dst = groups[0]
	case "old-leave":
		s.Dst = all(2, 2)
	default:
		s.Dst = all(22, 22)
	}
	body := make([]byte, 4)
	if t[2] != 0 {
		binary.BigEndian.PutUint16(body[2:], uint16(x.number("records", uint64(len(groups)))))
	}
	for _, g := range groups {
		if t[2] != 0 {
			body = append(body, t[2], 0, 0, 0)
		}
		if v4 {
			body = append(body, g[12:]...)
		} else {
			body = append(body, g[:]...)
		}
	}
	if v4 && t[2] == 0 {
		body = body[4:]
	}
	s.Proto, s.Payload = packet.ProtoIGMP, append([]byte{t[0], 0, 0, 0}, body...)
	if !v4 {
		s.Proto, s.ICMPType, s.ICMPSeq, s.Payload = packet.ProtoICMPv6, t[1], binary.BigEndian.Uint16(body[2:]), body[4:]
		return
	}
	binary.BigEndian.PutUint16(s.Payload[2:], checksum.Of(s.Payload, 0))
	if x.flag("spoiled") {
		s.Payload[2] ^= 1
	}
}
