package vswitch

import (
	"errors"
	"fmt"
	"slices"
)

// An endpoint comes, goes or moves far more often than anything else changes,
// and is one of perhaps a million. So it is linked by itself: the linker that
// made the snapshot in force makes the next one of it, which shares all that is
// the same (identity.Builder, classify.Linker).
//
// # When sessions are asked again
//
// A session's verdict depends on the policy and on the identities of its two
// addresses, in its VRF. Where an endpoint is, and what MAC it has, each frame is
// asked anyway, session or not. So the generation is a new one exactly if an
// address means another identity than before:
//
//	an endpoint comes, goes, gets or loses an address    asked again: what was outside
//	                                                     is not, or the other way round
//	its services are others: a label that a rule knows   asked again
//	it moves within its VRF, or its MAC is another       not asked: nothing of
//	                                                     what they said has changed
//
// A session that is asked again costs one decision at its next packet. But a
// thousand moves a second would cost one for nearly every packet.
//
// # When all is linked anew
//
// A linker takes in as much as it had at first, then it is worn (classify), and
// one change pays for a whole link: one in as many. So does the one after a
// change that a bound was in the way of. A reload, a policy, a time at which other
// rules speak (clock.go) and a port that is opened again link the whole, too: there
// numbers change that everything goes by, or other rules are in the tables.

// maxStep is how many changes at once are linked one by one: with more, linking
// the whole is as fast.
const maxStep = 64

// relinkEndpoints makes changes of endpoints live, all of them with one snapshot.
// The caller holds mu. If it fails nothing has happened.
func (sw *Switch) relinkEndpoints(edits []edit) error {
	switch {
	case sw.closed:
		return errStopping
	case len(edits) == 0:
		return nil
	case len(edits) > maxStep, !sw.live.Load().around.Has(sw.wall().Unix()):
		return sw.relinkWhole(edits) // other rules speak now: no snapshot more of those before
	}
	generation, before := sw.generation, sw.linked.s
	for i, e := range edits {
		asked, err := sw.linked.change(e)
		if err != nil && i == 0 && len(edits) == 1 && !errors.Is(err, errWhole) {
			return err
		}
		if err != nil { // several may contradict each other on the way and not in the end
			sw.linked.s, sw.linked.broken = before, true // with none of them, should the whole be refused
			return sw.relinkWhole(edits)
		}
		if asked {
			generation = sw.generation + 1
		}
	}
	for _, e := range edits {
		sw.roster.apply(e)
	}
	sw.changeShadow(edits)
	sw.replaceSnapshot(generation)
	return nil
}

// relinkWhole links everything, with changes.
func (sw *Switch) relinkWhole(edits []edit) error {
	for _, e := range edits {
		sw.roster.apply(e)
	}
	err := sw.relink(sw.roster, sw.rules)
	if err != nil {
		for _, e := range slices.Backward(edits) {
			sw.roster.apply(e.undo())
		}
	}
	return err
}

// replaceSnapshot puts the linker's snapshot in force, over the same ports. Rules
// are the same, so their hits are counted on.
func (sw *Switch) replaceSnapshot(generation uint32) {
	before := sw.live.Load()
	s := *sw.linked.s
	s.Generation = generation
	sw.linked.s = &s
	next := *before
	next.snapshot = &s
	sw.shadowIn(&next)
	sw.live.Store(&next)
	sw.generation = generation
	sw.settle()
}

// errWhole says that a linker is worn, or broken: all is to be linked anew.
var errWhole = errors.New("link the whole anew")

// change makes the linker's snapshot one with a change, and tells whether an
// address is of another identity than before. A change that contradicts other
// endpoints is refused, and nothing has happened.
func (l *linker) change(e edit) (asked bool, err error) {
	if l.broken || l.policy != nil && l.policy.Worn() {
		return false, errWhole
	}
	if err := l.changeWho(e); err != nil {
		return false, err
	}
	l.broken = true // unless what follows works: half of it cannot be taken back
	table, changes, err := l.who.Next()
	if err != nil {
		return false, errWhole
	}
	s := *l.s
	s.Identity = table
	if l.policy != nil {
		for _, id := range changes.Gone {
			l.policy.Remove(id)
		}
		for _, id := range changes.Fresh {
			if err := l.policy.Add(id, table.Sets(id)); err != nil {
				return false, errWhole
			}
		}
		if len(changes.Gone)+len(changes.Fresh) > 0 {
			s.Policy = l.policy.Engine()
		}
	}
	l.s, l.broken = &s, false
	return changes.Answers, nil
}

// changeWho tells the table of endpoints.
func (l *linker) changeWho(e edit) error {
	var segment uint16
	if e.was != nil {
		segment = l.segments[e.was.Segment]
	}
	if e.now == nil {
		return l.who.Remove(segment, e.was.MAC)
	}
	place, addrs, err := l.placed(e.now)
	if err != nil {
		return err
	}
	if e.was == nil {
		err = l.who.Add(place, addrs, e.now.Prefixes)
	} else {
		err = l.who.Replace(segment, e.was.MAC, place, addrs, e.now.Prefixes)
	}
	if err != nil {
		return fmt.Errorf("link endpoints: %w", err)
	}
	return nil
}
