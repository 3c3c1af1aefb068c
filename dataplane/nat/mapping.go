package nat

import (
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// Mapping ties an inside end to an outside end.
type Mapping struct {
	Inside, Outside End
	Zone            uint16
	Proto           uint8
	Query           packet.Query // of ICMP

	fixed            uint8  // not 0: of a destination rule, charged to nobody
	owner            uint16 // the account that is charged
	refs             uint32 // sessions that have it as their tag
	inPlace, atPlace hashtab.Place
	until            Time // lingering: when it goes

	// The mapping's neighbours, by number, in two lists of lingering ones, oldest
	// first: of all, and of its account. In free rows older is the next free one.
	older, younger   uint32
	ownOlder, ownNew uint32

	seal uint32 // a keyed sum of what does not change, once it is whole (keep.go)
}

// static tells whether the mapping is of a destination rule.
func (m *Mapping) static() bool { return m.fixed != 0 }

// Is tells whether the mapping is for flows of that protocol at that inside end.
func (m *Mapping) is(zone uint16, proto uint8, query packet.Query, inside *End) bool {
	return m.Zone == zone && m.Proto == proto && m.Query == query && m.Inside == *inside
}

// Role is which end of a session, as it was opened, is the one translated.
type Role uint8

const (
	// Opener: who opened the session is inside, and leaves from a pool.
	Opener Role = iota
	// Opened: whom the session was opened to is inside, and published.
	Opened
)

// Tag is what a session keeps of its translation: the mapping's number and the
// role of the inside end. Zero: it is not translated.
type Tag uint32

func makeTag(row uint32, role Role) Tag { return Tag(row<<1 | uint32(role)) }

func (t Tag) row() uint32 { return uint32(t >> 1) }

// Role returns which end of the session is inside.
func (t Tag) Role() Role { return Role(t & 1) }

// Translates tells whether a protocol, and of ICMP a kind of message, can be
// translated at all.
func Translates(proto uint8, query packet.Query) bool {
	switch proto {
	case packet.ProtoTCP, packet.ProtoUDP:
		return true
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return query != packet.QueryNone
	}
	return false
}
