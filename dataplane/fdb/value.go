package fdb

import "bulkhead/dataplane/packet"

// value is the second word of an entry:
//
//	 63      48 47      32 31     30                    0
//	┌──────────┬──────────┬──────┬───────────────────────┐
//	│   port   │   peer   │static│  tick last seen       │
//	└──────────┴──────────┴──────┴───────────────────────┘
//
// Of a MAC behind a peer the group is where the port is: it has none.
type value uint64

const (
	static    = 1 << 31
	tickMask  = static - 1
	tickShift = 30      // a tick is 2^30 ns, 1.07 s; 31 bits of them are 73 years
	maxAge    = 1 << 30 // in ticks
)

func tickOf(now Time) uint32 { return uint32(now>>tickShift) & tickMask }

func valueOf(d Dest, tick uint32) value {
	first := uint16(d.Port)
	if d.Peer != NoPeer {
		first = d.Group
	}
	return value(first)<<48 | value(d.Peer)<<32 | value(tick)
}

func (v value) dest() Dest {
	first, peer := uint16(v>>48), uint16(v>>32)
	if peer == NoPeer {
		return AtPort(packet.PortID(first))
	}
	return AtPeer(peer, first)
}

func (v value) isStatic() bool { return v&static != 0 }
func (v value) tick() uint32   { return uint32(v & tickMask) }

// idle returns for how many ticks the MAC has been silent. A clock read by one
// worker just before another wrote may be a tick behind: that is none.
func (v value) idle(tick uint32) uint32 {
	if idle := (tick - v.tick()) & tickMask; idle < tickMask/2 {
		return idle
	}
	return 0
}
