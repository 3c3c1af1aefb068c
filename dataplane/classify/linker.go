package classify

import (
	"errors"
	"fmt"
	"slices"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// Linker links a policy to identities that come and go. Its engines are
// immutable, each as if it had been linked of the identities that there were
// then; what is made for one identity more is the pairs of that one.
//
// # How
//
// An identity is a class at either end of a table. One of a class that there is
// costs its place. Another one makes a class, and a program for each class of
// the other end that a bundle of its rules names, too: found by the bundles, so
// that what no rule joins costs nothing. Those pairs do not go into the tables
// of the link, which other engines read, but into more, which has versions.
// Programs, shapes and lists are appended to arrays whose earlier part engines
// read; nothing that is read is ever written.
//
// The last identity of such a class takes its pairs along. What stays is the
// programs, and places that others may take. When there is more of what came
// later than of what was linked, [Linker.Worn] says so: to link anew costs what
// it cost at first, once in as many changes as the link was large.
//
// A Linker keeps what the link worked out: with 70,000 rules and 100,000
// identities 33 MiB beside the 75 MiB of the engine.
//
// A Linker belongs to one goroutine at a time, its engines to anybody.
type Linker struct {
	egress, ingress []*linking // as in Engine
	each            []*linking // every one of them once
	verdicts        []policy.Verdict
	marks           []Mark
	audit           *Linker // with the rules under audit enforced; nil: none is
	identities      int     // numbers of identities are below
	broken          error
}

// NewLinker links a valid policy as Link does, and goes on from there.
func NewLinker(rs *policy.Ruleset, sets [][]uint32) (*Linker, error) {
	d, err := NewDraft(rs)
	if err != nil {
		return nil, err
	}
	return d.Link(sets)
}

// Draft is what of a link the rules alone say. It is a third of the work, and can be
// done while it is found out who there is.
type Draft struct{ l *Linker }

// NewDraft begins to link a valid policy.
func NewDraft(rs *policy.Ruleset) (*Draft, error) {
	l, err := draftRules(rs, false)
	if err != nil || !slices.ContainsFunc(rs.Rules, func(r policy.Rule) bool { return r.Audit && !r.Dormant }) {
		return &Draft{l}, err
	}
	l.audit, err = draftRules(rs, true)
	return &Draft{l}, err
}

// draftRules begins to link the rules that speak, those under audit only if they
// are to be enforced.
func draftRules(rs *policy.Ruleset, enforced bool) (*Linker, error) {
	l := &Linker{marks: marksOf(rs)}
	for i := range rs.Rules {
		l.verdicts = append(l.verdicts, rs.Rules[i].Verdict)
	}
	return l, l.linkStages(rs, enforced, func(stage []uint32) (*linking, error) {
		t, err := newLinking(rs, stage)
		l.each = append(l.each, t)
		return t, err
	})
}

// Link goes on with the identities there are, as for Link. A draft is linked once.
func (d *Draft) Link(sets [][]uint32) (*Linker, error) { return d.link(sets, newPlan) }

// choice makes the plan of a table.
type choice func(*bundles, *side, *side) (plan, error)

// link is Link under plans that choose makes: tests choose others.
func (d *Draft) link(sets [][]uint32, choose choice) (*Linker, error) {
	if len(sets) == 0 {
		sets = [][]uint32{nil} // nobody, at least
	}
	for l := d.l; l != nil; l = l.audit {
		l.identities = len(sets)
		for _, t := range l.each {
			if err := t.link(sets, choose); err != nil {
				return nil, err
			}
		}
	}
	return d.l, nil
}

// Engine returns the policy linked to the identities there are now. Verdicts,
// marks and what did not change are shared with the engine before.
func (l *Linker) Engine() *Engine {
	made := make(map[*linking]*table, len(l.each))
	for _, t := range l.each {
		made[t] = t.table(l.identities)
	}
	e := &Engine{verdicts: l.verdicts, marks: l.marks}
	for _, t := range l.egress {
		e.egress = append(e.egress, made[t])
	}
	for _, t := range l.ingress {
		e.ingress = append(e.ingress, made[t])
	}
	if e.ingress == nil {
		e.settled = policy.Allow
	}
	if l.audit != nil {
		e.audit = l.audit.Engine()
	}
	return e
}

// Add links an identity that came up. A number may be used again once it was
// removed. After an error, which the bounds of the package comment may cause,
// the Linker is of no use any more: link anew.
func (l *Linker) Add(id identity.ID, sets []uint32) error {
	if l.broken != nil {
		return l.broken
	}
	if id == identity.None {
		return errors.New("link identity 0: it is nobody's")
	}
	l.identities = max(l.identities, int(id)+1)
	for _, t := range l.each {
		if err := t.add(uint32(id), sets); err != nil {
			l.broken = fmt.Errorf("link identity %d: %w", id, err)
			return l.broken
		}
	}
	if l.audit != nil {
		l.broken = l.audit.Add(id, sets)
	}
	return l.broken
}

// Remove forgets an identity that nobody has any more: it is allowed nothing.
func (l *Linker) Remove(id identity.ID) {
	for _, t := range l.each {
		t.remove(uint32(id))
	}
	if l.audit != nil {
		l.audit.Remove(id)
	}
}

// Worn tells whether it is time to link anew: a table has as much that came
// later as it had at first, or no room for more.
func (l *Linker) Worn() bool {
	return l.broken != nil || slices.ContainsFunc(l.each, (*linking).worn) || l.audit != nil && l.audit.Worn()
}

// add places an identity at both ends.
func (l *linking) add(id uint32, sets []uint32) error {
	src, dst := l.src.partsOf(sets), l.dst.partsOf(sets)
	var at, to place
	for part := range src {
		var err error
		if at[part], err = l.enter(part, src[part]); err != nil {
			return err
		}
		if to[part], err = l.enterDest(part, dst[part]); err != nil {
			return err
		}
	}
	*l.src.at.Edit(id), *l.dst.at.Edit(id) = at, to
	return nil
}

// enter has a source in the class of a list of bundles.
func (l *linking) enter(part int, list []uint32) (uint32, error) {
	c := &l.src.parts[part]
	n, fresh := c.number(list)
	if fresh {
		for d := range l.dst.parts {
			if err := l.pairWith(&l.more[part][d], &l.dst.parts[d], list, func(dst, program uint32) pair { return pair{n, dst, program} }); err != nil {
				return 0, err
			}
		}
		c.add(n, list)
	}
	if later := c.isLater(n); later != nil {
		later.uses++
	}
	return c.placed(n), nil
}

// enterDest is enter for a destination.
func (l *linking) enterDest(part int, list []uint32) (uint32, error) {
	c := &l.dst.parts[part]
	n, fresh := c.number(list)
	if fresh {
		for s := range l.src.parts {
			if err := l.pairWith(&l.more[s][part], &l.src.parts[s], list, func(src, program uint32) pair { return pair{src, n, program} }); err != nil {
				return 0, err
			}
		}
		c.add(n, list)
	}
	if later := c.isLater(n); later != nil {
		later.uses++
	}
	return c.placed(n), nil
}

// pairWith makes the programs of a new class and every class of the other end
// that shares a bundle with it.
func (l *linking) pairWith(m *moreEditor, others *classes, list []uint32, pairOf func(other, program uint32) pair) error {
	if m.index == nil {
		return nil // one table is all, and this is not it
	}
	found := others.sharing(l.found[:0], list)
	l.found = found
	for len(found) > 0 {
		other := uint32(found[0] >> 32)
		l.both = l.both[:0]
		for len(found) > 0 && uint32(found[0]>>32) == other {
			l.both = append(l.both, uint32(found[0]))
			found = found[1:]
		}
		program := l.programs.of(l.both)
		if err := l.programs.fits(); err != nil {
			return err
		}
		if err := m.put(pairOf(other, program)); err != nil {
			return err
		}
		if m.len() > maxPairs {
			return errTooMany
		}
	}
	return nil
}

// remove takes an identity out at both ends, and classes that nobody has then.
func (l *linking) remove(id uint32) {
	if !l.src.at.Has(id) {
		return
	}
	at, to := *l.src.at.At(id), *l.dst.at.At(id)
	*l.src.at.Edit(id), *l.dst.at.Edit(id) = place{}, place{}
	for part := range at {
		n := at[part] & classMask
		l.leave(&l.src.parts[part], n, func(list []uint32) {
			for d := range l.dst.parts {
				l.unpair(&l.more[part][d], &l.dst.parts[d], list, func(other uint32) (uint32, uint32) { return n, other })
			}
		})
		m := to[part] & classMask
		l.leave(&l.dst.parts[part], m, func(list []uint32) {
			for s := range l.src.parts {
				l.unpair(&l.more[s][part], &l.src.parts[s], list, func(other uint32) (uint32, uint32) { return other, m })
			}
		})
	}
}

// leave has an identity out of a class; if it was the last of a later one, the
// class goes.
func (l *linking) leave(c *classes, n uint32, unpair func(list []uint32)) {
	later := c.isLater(n)
	if later == nil {
		return
	}
	if later.uses--; later.uses > 0 {
		return
	}
	unpair(later.list)
	c.remove(n)
}

// unpair takes out the pairs of a class that goes.
func (l *linking) unpair(m *moreEditor, others *classes, list []uint32, pairOf func(other uint32) (src, dst uint32)) {
	if m.index == nil {
		return
	}
	l.found = others.sharing(l.found[:0], list)
	for i, f := range l.found {
		if other := uint32(f >> 32); i == 0 || other != uint32(l.found[i-1]>>32) {
			m.remove(pairOf(other))
		}
	}
}
