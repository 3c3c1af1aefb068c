package evpn

import (
	"math"
	"net/netip"
	"time"
)

// A MAC that moves is said by its new VTEP with a higher sequence number than by the
// old one (RFC 7432 7.7, 15). So of several VTEPs that say a MAC the highest number
// has it, and at a tie the lowest address (15.1). A sticky MAC does not move: whoever
// says that it does, without being sticky too, is refused (15.2).
//
// Two VTEPs that see the same MAC raise each other for ever: a loop, a clone, an attack.
// A MAC that has moved five times within 180 s is frozen where it is, until the first of
// these is 180 s ago (15.1 leaves the cure open; an operator sees the alarm).
//
// What is on a port of this host is ours: it is said as sticky, and with a number above
// any that others say, so that the fabric believes it, too. That number is raised five
// times in 180 s at the most.

const (
	mostMoves  = 5
	moveWindow = 180 * time.Second
)

// at is a MAC of a segment.
type at struct {
	vni uint32
	mac MAC
}

// claim is what one VTEP says of a MAC: its routes of it together.
type claim struct {
	vtep        netip.Addr
	sequence    uint32
	sticky      bool
	stale       bool // its neighbours are lost
	ips         []netip.Addr
	communities []uint32
}

// beats tells whether a claim is to be believed rather than another. What a neighbour
// says now counts more than what a lost one has said, with the same number.
func (c *claim) beats(o *claim) bool {
	switch {
	case c.sticky != o.sticky:
		return c.sticky
	case c.sequence != o.sequence:
		return c.sequence > o.sequence
	case c.stale != o.stale:
		return o.stale
	}
	return c.vtep.Less(o.vtep)
}

// past is where a MAC was, and when it moved.
type past struct {
	vtep  netip.Addr
	moves []time.Time // within the window, at most mostMoves
	seen  time.Time
}

// recent forgets moves that are out of the window.
func recent(moves []time.Time, now time.Time) []time.Time {
	for len(moves) > 0 && now.Sub(moves[0]) >= moveWindow {
		moves = moves[1:]
	}
	return moves
}

// elect finds whom of a MAC's claims to believe; frozen: it stays though it should
// move. No claim is an error.
func (w *World) elect(now time.Time, mac at, claims []claim) (best *claim, frozen, contested bool) {
	best = &claims[0]
	for i := range claims {
		if claims[i].beats(best) {
			best = &claims[i]
		}
	}
	for i := range claims {
		contested = contested || best.sticky && &claims[i] != best && !claims[i].stale
	}
	p := w.past[mac]
	if p == nil {
		p = &past{vtep: best.vtep}
		w.past[mac] = p
	}
	p.seen, p.moves = now, recent(p.moves, now)
	if p.vtep == best.vtep {
		return best, len(p.moves) >= mostMoves, contested
	}
	if len(p.moves) >= mostMoves {
		for i := range claims {
			if claims[i].vtep == p.vtep {
				return &claims[i], true, contested
			}
		}
		return nil, true, contested // where it was nobody says that it is
	}
	p.vtep, p.moves = best.vtep, append(p.moves, now)
	return best, false, contested
}

// ours is the number of a MAC of this host, above those of others' claims.
type ours struct {
	sequence uint32
	raised   []time.Time
	seen     time.Time
}

// number is the sequence number that a MAC of this host is said with.
func (w *World) number(now time.Time, mac at, claims []claim) (sequence uint32, contested bool) {
	o := w.ours[mac]
	if o == nil {
		o = &ours{}
		w.ours[mac] = o
	}
	o.seen, o.raised = now, recent(o.raised, now)
	for i := range claims {
		c := &claims[i]
		if c.stale {
			continue
		}
		contested = true
		if c.sequence >= o.sequence && c.sequence < math.MaxUint32 && len(o.raised) < mostMoves {
			o.sequence, o.raised = c.sequence+1, append(o.raised, now)
		}
	}
	return o.sequence, contested
}

// maxPast bounds what is remembered of MACs of which nobody speaks any more.
const maxPast = 1 << 16

// forget drops what is remembered of MACs that nobody has spoken of for a window; and
// if these are too many, as when somebody makes them up, of all that nobody speaks of.
func (w *World) forget(now time.Time) {
	many := len(w.past) > maxPast
	for mac, p := range w.past {
		if now.Sub(p.seen) > moveWindow || many && p.seen != now {
			delete(w.past, mac)
		}
	}
	for mac, o := range w.ours {
		if now.Sub(o.seen) > moveWindow {
			delete(w.ours, mac)
		}
	}
}
