package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// ProtoIGMP is the protocol of IPv4's group messages (IANA).
const ProtoIGMP = 2

// Types of IGMP (RFC 2236, RFC 3376 4) and MLD (RFC 2710, RFC 3810 5).
const (
	igmpQuery    = 0x11
	igmpReportV1 = 0x12
	igmpReportV2 = 0x16
	igmpLeave    = 0x17
	igmpReportV3 = 0x22
	mldQuery     = 130
	mldReportV1  = 131
	mldDone      = 132
	mldReportV2  = 143
)

// Lengths of the messages: the oldest of each family, a record of the newest,
// and its query.
const (
	igmpLen         = 8
	igmpQueryV3Len  = 12
	igmpRecordLen   = 8
	mldLen          = 24
	mldQueryV2Len   = 28
	mldRecordLen    = 20
	reportHeaderLen = 8
	routerAlert4Len = 4
	routerAlert6Len = 8
)

// MaxGroupRecords bounds the records of one report: more is no host's.
const MaxGroupRecords = 64

// Membership is what a group message is.
type Membership uint8

const (
	// NoMembership: it is no group message, or one of a kind that is not known.
	NoMembership Membership = iota
	// BadMembership: malformed, or not as its RFC has it sent.
	BadMembership
	// MembershipQuery asks who listens.
	MembershipQuery
	// MembershipReport says who does, or does no more.
	MembershipReport
)

// IsMembership tells whether a parsed packet is a group message by its protocol
// and type alone.
func IsMembership(f *Frame) bool {
	h := &f.Headers
	if h.Kind != KindIP {
		return false
	}
	switch h.Key.Proto {
	case ProtoIGMP:
		if uint32(h.L4) == h.PacketEnd {
			return false
		}
		switch f.Bytes()[h.L4] {
		case igmpQuery, igmpReportV1, igmpReportV2, igmpLeave, igmpReportV3:
			return true
		}
	case ProtoICMPv6:
		return isMLD(h.ICMPType)
	}
	return false
}

// IsQuery tells whether a parsed packet asks who listens, by its protocol and type
// alone: wherever it is sent to, a host may answer it.
func IsQuery(f *Frame) bool {
	h := &f.Headers
	if h.Kind != KindIP {
		return false
	}
	return h.Key.Proto == ProtoIGMP && uint32(h.L4) < h.PacketEnd && f.Bytes()[h.L4] == igmpQuery || h.Key.Proto == ProtoICMPv6 && h.ICMPType == mldQuery
}

// IsMembershipPart tells whether a parsed fragment may be a part of a group message.
// Of IGMP every part may; of MLD the first says so, and the others pass by its leave.
func IsMembershipPart(f *Frame) bool {
	h := &f.Headers
	if h.Kind != KindFragment {
		return false
	}
	return h.Key.Proto == ProtoIGMP || h.Fragment.First() && h.Key.Proto == ProtoICMPv6 && isMLD(h.ICMPType)
}

func isMLD(kind uint8) bool {
	switch kind {
	case mldQuery, mldReportV1, mldDone, mldReportV2:
		return true
	}
	return false
}

// MembershipOf reads a group message. What is not sent as its RFC says (with a TTL
// or hop limit of 1, to the address that goes with it, its checksum right) is bad:
// a router cannot have passed it on, so it is from this link.
func MembershipOf(f *Frame) Membership {
	h := &f.Headers
	if !IsMembership(f) {
		return NoMembership
	}
	p := f.Bytes()[h.L4:h.PacketEnd]
	if h.TTL != 1 {
		return BadMembership
	}
	if h.Key.Proto == ProtoIGMP {
		return igmpOf(h, p)
	}
	return mldOf(f, p)
}

var (
	allHosts4, allRouters4, allReports4 = AddrFrom4([4]byte{224, 0, 0, 1}), AddrFrom4([4]byte{224, 0, 0, 2}), AddrFrom4([4]byte{224, 0, 0, 22})
	allHosts6, allRouters6, allReports6 = Addr{0: 0xff, 1: 2, 15: 1}, Addr{0: 0xff, 1: 2, 15: 2}, Addr{0: 0xff, 1: 2, 15: 22}
)

func igmpOf(h *Headers, p []byte) Membership {
	if len(p) < igmpLen || !checksum.Verify(p, 0) {
		return BadMembership
	}
	group := AddrFrom4([4]byte(p[4:8]))
	switch p[0] {
	case igmpQuery:
		return asked(&group, &h.Key.Dst, &allHosts4, group == Addr{10: 0xff, 11: 0xff})
	case igmpReportV3:
		return records(p, igmpRecordLen, 4, h.Key.Dst == allReports4)
	case igmpLeave:
		return told(&group, h.Key.Dst == allRouters4)
	}
	return told(&group, h.Key.Dst == group)
}

func mldOf(f *Frame, p []byte) Membership {
	h := &f.Headers
	linkLocal := h.Key.Src[0] == 0xfe && h.Key.Src[1]&0xc0 == 0x80
	if len(p) < reportHeaderLen || !VerifyChecksum(f) || !linkLocal && (h.ICMPType != mldReportV2 || h.Key.Src != Addr{}) {
		return BadMembership
	}
	if h.ICMPType == mldReportV2 {
		return records(p, mldRecordLen, 16, h.Key.Dst == allReports6)
	}
	if len(p) < mldLen {
		return BadMembership
	}
	group := Addr(p[8:24])
	switch h.ICMPType {
	case mldQuery:
		return asked(&group, &h.Key.Dst, &allHosts6, group == Addr{})
	case mldDone:
		return told(&group, h.Key.Dst == allRouters6)
	}
	return told(&group, h.Key.Dst == group)
}

// asked judges a query: for all groups to all hosts, for one to its listeners.
func asked(group, dst, all *Addr, general bool) Membership {
	if general && *dst == *all || !general && isGroupAddr(group) && *dst == *group {
		return MembershipQuery
	}
	return BadMembership
}

func told(group *Addr, right bool) Membership {
	if !right || !isGroupAddr(group) {
		return BadMembership
	}
	return MembershipReport
}

// records judges a report with records: each is type, length of auxiliary data in
// words, number of sources, group, the sources.
func records(p []byte, least, source int, right bool) Membership {
	n := int(binary.BigEndian.Uint16(p[6:]))
	if !right || n > MaxGroupRecords {
		return BadMembership
	}
	for at := reportHeaderLen; n > 0; n-- {
		if len(p)-at < least {
			return BadMembership
		}
		group := groupAt(p[at+4:], source)
		if !isGroupAddr(&group) {
			return BadMembership
		}
		if at += least + source*int(binary.BigEndian.Uint16(p[at+2:])) + 4*int(p[at+1]); at > len(p) {
			return BadMembership
		}
	}
	return MembershipReport
}

func groupAt(p []byte, length int) Addr {
	if length == 4 {
		return AddrFrom4([4]byte(p[:4]))
	}
	return Addr(p[:16])
}

func isGroupAddr(a *Addr) bool {
	if a.Is4() {
		return a[12]>>4 == 14
	}
	return a[0] == 0xff
}

// GroupRecord is one group of a report: whether its sender listens from now on.
type GroupRecord struct {
	Group Addr
	Joins bool
	// Silent: it says nothing of whether the sender listens at all, only from whom.
	Silent bool
}

// NextGroup returns the record at a place of a report, from 0 on, and the next
// place, which is its number and its offset; found is false behind the last. The report must be one that MembershipOf
// has read.
//
// Who listens to a group from some sources only, listens: a switch gives it all.
func NextGroup(f *Frame, at int) (rec GroupRecord, next int, found bool) {
	h := &f.Headers
	p := f.Bytes()[h.L4:h.PacketEnd]
	least, source, only, old := igmpRecordLen, 4, igmpLen-4, p[0] != igmpReportV3
	if h.Key.Proto == ProtoICMPv6 {
		least, source, only, old = mldRecordLen, 16, mldLen-16, p[0] != mldReportV2
	}
	if old {
		if at != 0 {
			return rec, 0, false
		}
		return GroupRecord{Group: groupAt(p[only:], source), Joins: p[0] != igmpLeave && p[0] != mldDone}, 1, true
	}
	index, at := at>>16, max(at&0xffff, reportHeaderLen)
	if index >= int(binary.BigEndian.Uint16(p[6:])) {
		return rec, 0, false // what lies behind the last record is not looked at
	}
	kind, sources := p[at], binary.BigEndian.Uint16(p[at+2:])
	rec = GroupRecord{Group: groupAt(p[at+4:], source)}
	switch kind { // RFC 3376 4.2.12
	case 1, 3: // include these sources
		rec.Joins = sources > 0
	case 2, 4, 5: // exclude these sources, allow new ones
		rec.Joins = true
	default: // block old sources, or not known
		rec.Silent = true
	}
	return rec, (index+1)<<16 | (at + least + source*int(sources) + 4*int(p[at+1])), true
}

// queryTime is how long listeners may take to answer, in units of both families'
// fields: 10 s in general, 1 s for one group (RFC 3376 8.3, 8.8).
const (
	queryTime4, groupTime4 = 100, 10
	queryTime6, groupTime6 = 10000, 1000
)

// WriteQuery makes a frame a query for a group, or for all where group is the zero
// address of the family of from, from who asks. What the frame was before is
// forgotten but for where it is. It returns false if the memory is too small.
func WriteQuery(f *Frame, mac MAC, from, group *Addr) bool {
	if len(f.Buf)-int(f.Start) < queryRoom {
		return false
	}
	if from.Is4() {
		writeQuery4(f, mac, from, group)
	} else {
		writeQuery6(f, mac, from, group)
	}
	f.Offload = Offload{}
	return Parse(f) == drop.None
}

// queryRoom is the memory, in bytes from Frame.Start, that a query needs.
const queryRoom = ethernetLen + ipv6Len + routerAlert6Len + mldQueryV2Len

func writeQuery4(f *Frame, mac MAC, from, group *Addr) {
	const length = ethernetLen + 20 + routerAlert4Len + igmpQueryV3Len
	f.End = f.Start + length
	b := f.Bytes()
	clear(b)
	dst, limit := *group, byte(groupTime4)
	if !isGroupAddr(group) {
		dst, limit = allHosts4, queryTime4
	}
	writeEthernet(b, MAC{1, 0, 0x5e, dst[13] & 0x7f, dst[14], dst[15]}, mac, EtherTypeIPv4)
	p := b[ethernetLen:]
	p[0], p[1], p[8], p[9] = 0x46, 0xc0, 1, ProtoIGMP // header of six words, internetwork control
	binary.BigEndian.PutUint16(p[2:], length-ethernetLen)
	copy(p[12:16], from[12:])
	copy(p[16:20], dst[12:])
	p[20], p[21] = 0x94, 4 // router alert (RFC 2113)
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:24], 0))
	q := p[24:]
	q[0], q[1] = igmpQuery, limit
	if isGroupAddr(group) {
		copy(q[4:8], group[12:])
	}
	q[8], q[9] = 2, 125 // robustness, interval in seconds
	binary.BigEndian.PutUint16(q[2:], checksum.Of(q, 0))
}

func writeQuery6(f *Frame, mac MAC, from, group *Addr) {
	const payload = routerAlert6Len + mldQueryV2Len
	f.End = f.Start + ethernetLen + ipv6Len + payload
	b := f.Bytes()
	clear(b)
	dst, limit := *group, uint16(groupTime6)
	if !isGroupAddr(group) {
		dst, limit = allHosts6, queryTime6
	}
	writeEthernet(b, MAC{0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}, mac, EtherTypeIPv6)
	p := b[ethernetLen:]
	p[0], p[6], p[7] = 0x60, 0, 1 // hop-by-hop options next, one hop
	binary.BigEndian.PutUint16(p[4:], payload)
	copy(p[8:24], from[:])
	copy(p[24:40], dst[:])
	copy(p[40:48], []byte{ProtoICMPv6, 0, 5, 2, 0, 0, 1, 0}) // router alert for MLD (RFC 2711), padding
	q := p[48:]
	q[0] = mldQuery
	binary.BigEndian.PutUint16(q[4:], limit)
	if isGroupAddr(group) {
		copy(q[8:24], group[:])
	}
	q[24], q[25] = 2, 125
	binary.BigEndian.PutUint16(q[2:], checksum.Of(q, checksum.Pseudo(from[:], dst[:], ProtoICMPv6, mldQueryV2Len)))
}

func writeEthernet(b []byte, dst, src MAC, kind uint16) {
	copy(b, dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], kind)
}
