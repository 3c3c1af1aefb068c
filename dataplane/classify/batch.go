package classify

import (
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// Header is what Decide is asked about a packet, beside its ends.
type Header struct {
	Sport, Dport uint16
	Proto        uint8
}

// Answer is what Decide says.
type Answer struct {
	Rule    policy.RuleID
	Verdict policy.Verdict
}

// lanes is how many questions are under way at once.
const lanes = 32

// DecideAll answers many questions, each as Decide would: from[i] to to[i] with
// headers[i]. All must be as long as from. A question is a chain of loads, each of
// which names the next, and in large tables each is a cache miss. Here all
// questions take one step before any takes the next, so that the misses overlap
// (BenchmarkDecide of bench/classbench). It allocates nothing.
//
// The first stage is asked so. Questions that it leaves open, because of a pass
// or of rules that speak at the other end alone, are asked again one by one.
func (e *Engine) DecideAll(from, to []identity.ID, headers []Header, answers []Answer) {
	to, headers, answers = to[:len(from)], headers[:len(from)], answers[:len(from)]
	for len(from) > 0 {
		n := min(lanes, len(from))
		e.decideLanes(from[:n], to[:n], headers[:n], answers[:n])
		from, to, headers, answers = from[n:], to[n:], headers[n:], answers[n:]
	}
}

func (e *Engine) decideLanes(from, to []identity.ID, headers []Header, answers []Answer) {
	var rules [lanes]uint32
	e.egress[0].decideLanes(&rules, from, to, headers)
	answers = answers[:len(from)]
	for i := range answers {
		rule := rules[uint32(i)%lanes]
		verdict := policy.Deny
		if rule != noRule {
			verdict = e.verdicts[rule]
		}
		answers[i].Rule, answers[i].Verdict = policy.RuleID(rule), verdict
		if verdict > e.settled || rule == noRule && len(e.egress) > 1 {
			h := &headers[i]
			answers[i].Rule, answers[i].Verdict = e.Decide(from[i], to[i], h.Proto, h.Sport, h.Dport)
		}
	}
}

// decideLanes is decide, in all lanes.
func (e *table) decideLanes(rules *[lanes]uint32, from, to []identity.ID, headers []Header) {
	if e.one {
		e.oneLanes(rules, from, to, headers)
		return
	}
	var l lookups
	came := uint32(0)
	to, headers = to[:len(from)], headers[:len(from)]
	for i := range from {
		k, h := uint32(i)%lanes, &headers[i]
		src, dst := &l.from[k], &l.to[k]
		if e.src.Has(uint32(from[i])) && e.dst.Has(uint32(to[i])) {
			*src, *dst = *e.src.At(uint32(from[i])), *e.dst.At(uint32(to[i]))
		}
		l.tables[k] = uint8(joined(src, dst))
		came |= src[broad] | src[narrow] | dst[broad] | dst[narrow]
		rules[k], l.class[k] = noRule, e.ports.class(h.Proto, h.Sport, h.Dport)
	}
	l.later = came&later != 0
	for s := range e.pairs {
		for d := range e.pairs[s] {
			e.pairLanes(rules, &l, uint32(len(from)), s, d)
			if e.single {
				return
			}
		}
	}
}

// oneLanes is decideLanes of a table that is one matrix of few enough shapes, as
// of most policies: all is near, and the steps of one lane at once are fewer than
// those of all by turns.
func (e *table) oneLanes(rules *[lanes]uint32, from, to []identity.ID, headers []Header) {
	to, headers = to[:len(from)], headers[:len(from)]
	t := &e.pairs[broad][broad]
	for i := range from {
		k, h := uint32(i)%lanes, &headers[i]
		rules[k] = noRule
		if !e.src.Has(uint32(from[i])) || !e.dst.Has(uint32(to[i])) {
			continue
		}
		src, dst := e.src.At(uint32(from[i]))[broad], e.dst.At(uint32(to[i]))[broad]
		class := e.ports.class(h.Proto, h.Sport, h.Dport)
		if (src|dst)&later != 0 {
			rules[k] = e.first(t.program(e.programs, src, dst), class)
			continue
		}
		p := e.programs[t.cell(src, dst)]
		rules[k] = e.rule(p.base(), uint32(e.pages[p.shape()+class]))
	}
}

// lookups is what the lanes have in hand.
type lookups struct {
	from, to [lanes]place
	class    [lanes]uint32 // of ports
	program  [lanes]program
	home     [lanes]bucketPair
	tables   [lanes]uint8 // that may have a pair, see joined
	on, left [lanes]uint8 // lanes in which a table has more to ask
	later    bool         // a class came after the link
}

// bucketPair is the two homes of a pair.
type bucketPair struct{ one, other uint32 }

// pairLanes asks one of the tables of pairs, in n lanes: those of them in which
// there may be a pair. Such lanes are counted and not jumped to, here and below:
// the processor could not foretell the jumps.
func (e *table) pairLanes(rules *[lanes]uint32, l *lookups, n uint32, s, d int) {
	t, on, bit := &e.pairs[s&1][d&1], uint32(0), tableOf(s, d)&3
	for i := range n {
		l.on[on%lanes] = uint8(i)
		on += uint32(l.tables[i%lanes] >> bit & 1)
	}
	if t.cells != nil {
		t.programLanes(l, e.programs, l.on[:on], s, d)
	} else {
		t.sparse.programLanes(l, l.on[:on], s, d)
	}
	e.firstLanes(rules, l, l.on[:on])
	if l.later {
		e.laterLanes(rules, l, n, s, d)
	}
}

// programLanes finds the programs of pairs in a matrix, in the lanes that are on.
func (t *pairTable) programLanes(l *lookups, programs []program, on []uint8, s, d int) {
	for _, i := range on {
		k := i % lanes
		l.program[k] = programs[t.cell(l.from[k][s&1], l.to[k][d&1])]
	}
}

// programLanes finds the programs of pairs, in the lanes that are on.
func (t *sparse) programLanes(l *lookups, on []uint8, s, d int) {
	for _, i := range on {
		k := i % lanes
		l.home[k].one, l.home[k].other = t.homes(keyOfPair(l.from[k][s&1]&classMask, l.to[k][d&1]&classMask))
	}
	left := uint32(0)
	for _, i := range on {
		k := i % lanes
		p, more := t.buckets[l.home[k].one].program(keyOfPair(l.from[k][s&1]&classMask, l.to[k][d&1]&classMask))
		l.program[k], l.left[left%lanes] = p, i
		left += uint32(more)
	}
	for _, i := range l.left[:left] {
		k := i % lanes
		l.program[k], _ = t.buckets[l.home[k].other].program(keyOfPair(l.from[k][s&1]&classMask, l.to[k][d&1]&classMask))
	}
}

// firstLanes is first, in the lanes that are on.
func (e *table) firstLanes(rules *[lanes]uint32, l *lookups, on []uint8) {
	for _, i := range on {
		k := i % lanes
		p := l.program[k]
		at := p.shape() + l.class[k]
		if e.paged {
			at = e.dirs[p.shape()+l.class[k]>>e.pageBits]<<e.pageBits + l.class[k]&(1<<e.pageBits-1)
		}
		rules[k] = min(rules[k], e.rule(p.base(), e.position(at)))
	}
}

// laterLanes asks for the pairs with a class that came later, which are few.
func (e *table) laterLanes(rules *[lanes]uint32, l *lookups, n uint32, s, d int) {
	for i := range n {
		k := i % lanes
		if src, dst := l.from[k][s&1], l.to[k][d&1]; (src|dst)&later != 0 {
			rules[k] = min(rules[k], e.first(e.pairs[s&1][d&1].program(e.programs, src, dst), l.class[k]))
		}
	}
}
