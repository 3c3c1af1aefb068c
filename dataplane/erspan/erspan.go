// Package erspan writes and reads the headers under which a mirrored frame goes to
// a collector elsewhere: GRE with a sequence number (RFC 2784, RFC 2890) and ERSPAN
// type II or III (draft-foschiano-erspan-03). The outer IP header is the host's.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|0|0|0|1|  zero           | ver 0 |  88be (II) or 22eb (III)      |
//	|                        sequence number                          |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	| ver 1 |         VLAN          | COS | En|T|     session         |  type II
//	|       reserved        |                index                    |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	| ver 2 |         VLAN          | COS |BSO|T|     session         |  type III
//	|                          timestamp                              |
//	|               SGT             |P|   FT    |   hw      |D|Gra|O|
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// T says that the frame was cut. Gra 0 is a clock of 100 microseconds.
//
// Nothing here allocates or keeps state; any goroutine may call it.
package erspan

import "encoding/binary"

// Type is which of the two headers is written.
type Type uint8

// Types.
const (
	II  Type = 2
	III Type = 3
)

// MaxSession is the highest number of a session.
const MaxSession = 1023

// MaxLen is the most bytes that Put writes.
const MaxLen = 8 + 12

// MaxIndex is the highest number of where a frame was seen, type II.
const MaxIndex = 1<<20 - 1

const (
	protocolII  = 0x88be
	protocolIII = 0x22eb
	sequenced   = 0x1000 // the GRE header's S bit
	tagged      = 3      // En: the frame has its tag
	tick        = 100_000
)

// Header is what is said of one frame.
type Header struct {
	Type     Type
	Session  uint16 // 0 to MaxSession
	Sequence uint32 // one more with each frame of the session
	VLAN     uint16 // TCI of the frame's outer tag, which it still has
	Tagged   bool   // there is one
	Cut      bool   // the frame was longer
	Out      bool   // type III: seen as it went out
	Index    uint32 // type II: the port, up to MaxIndex
	Time     int64  // type III: nanoseconds of a clock of the sender's
}

// Len returns how many bytes a header takes.
func (t Type) Len() int {
	if t == III {
		return 8 + 12
	}
	return 8 + 8
}

// Put writes h to the front of b, which has Type.Len bytes at least.
func Put(b []byte, h *Header) {
	_ = b[h.Type.Len()-1]
	protocol, version := uint16(protocolII), uint16(1)
	if h.Type == III {
		protocol, version = protocolIII, 2
	}
	binary.BigEndian.PutUint16(b, sequenced)
	binary.BigEndian.PutUint16(b[2:], protocol)
	binary.BigEndian.PutUint32(b[4:], h.Sequence)
	vlan, rest := uint16(0), h.Session&MaxSession
	if h.Tagged {
		vlan = h.VLAN & 0xfff
		rest |= h.VLAN >> 13 << 13
	}
	if h.Cut {
		rest |= 1 << 10
	}
	if h.Tagged && h.Type == II {
		rest |= tagged << 11
	}
	binary.BigEndian.PutUint16(b[8:], version<<12|vlan)
	binary.BigEndian.PutUint16(b[10:], rest)
	if h.Type == II {
		binary.BigEndian.PutUint32(b[12:], h.Index&MaxIndex)
		return
	}
	binary.BigEndian.PutUint32(b[12:], uint32(h.Time/tick))
	last := uint32(0) // no group, an Ethernet frame
	if h.Out {
		last |= 1 << 3
	}
	binary.BigEndian.PutUint32(b[16:], last)
}

// Get reads what Put writes, and returns the frame behind it; good is false for
// anything else. The time is rounded to a tick, as the header has it.
func Get(b []byte) (h Header, frame []byte, good bool) {
	if len(b) < 8 || binary.BigEndian.Uint16(b) != sequenced {
		return h, nil, false
	}
	version := uint16(1)
	switch binary.BigEndian.Uint16(b[2:]) {
	case protocolII:
		h.Type = II
	case protocolIII:
		h.Type, version = III, 2
	default:
		return h, nil, false
	}
	if len(b) < h.Type.Len() || binary.BigEndian.Uint16(b[8:])>>12 != version {
		return h, nil, false
	}
	h.Sequence = binary.BigEndian.Uint32(b[4:])
	vlan, rest := binary.BigEndian.Uint16(b[8:])&0xfff, binary.BigEndian.Uint16(b[10:])
	h.Session, h.Cut = rest&MaxSession, rest&(1<<10) != 0
	h.VLAN = vlan | rest>>13<<13
	h.Tagged = h.VLAN != 0
	if h.Type == II {
		h.Tagged = rest>>11&3 == tagged
		h.Index = binary.BigEndian.Uint32(b[12:]) & MaxIndex
	} else {
		h.Time = int64(binary.BigEndian.Uint32(b[12:])) * tick
		h.Out = binary.BigEndian.Uint32(b[16:])&(1<<3) != 0
	}
	return h, b[h.Type.Len():], true
}
