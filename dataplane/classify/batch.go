package classify

import (
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// Question is what Decide is asked.
type Question struct {
	From, To     identity.ID
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

// DecideAll answers many questions, each as Decide would; answers must be as
// long as questions. A question is a chain of loads, each of which names the
// next, and in large tables each is a cache miss. Here all questions take one
// step before any takes the next, so that the misses overlap
// (BenchmarkDecide of bench/classbench). It allocates nothing.
//
// The first stage is asked so. Questions that it leaves open, because of a pass
// or of rules that speak at the other end alone, are asked again one by one.
func (e *Engine) DecideAll(questions []Question, answers []Answer) {
	answers = answers[:len(questions)]
	for len(questions) > 0 {
		n := min(lanes, len(questions))
		e.decideLanes(questions[:n], answers[:n])
		questions, answers = questions[n:], answers[n:]
	}
}

func (e *Engine) decideLanes(questions []Question, answers []Answer) {
	var l lookups
	e.egress[0].decideLanes(&l, questions)
	for i := range questions {
		q, rule := &questions[i], l.rule[i%lanes]
		if rule != noRule && (e.verdicts[rule] == policy.Deny || e.verdicts[rule] == policy.Allow && e.ingress == nil) {
			answers[i] = Answer{policy.RuleID(rule), e.verdicts[rule]}
			continue
		}
		if rule == noRule && len(e.egress) == 1 {
			answers[i] = Answer{policy.NoRule, policy.Deny}
			continue
		}
		answers[i].Rule, answers[i].Verdict = e.Decide(q.From, q.To, q.Proto, q.Sport, q.Dport)
	}
}

// lookups is what the lanes have in hand.
type lookups struct {
	from, to [lanes]place
	class    [lanes]uint32 // of ports
	rule     [lanes]uint32
	program  [lanes]uint32 // its number; then where its shape's page begins
	base     [lanes]uint32 // of the list of rules
}

// decideLanes is decide, in all lanes.
func (e *table) decideLanes(l *lookups, questions []Question) {
	n := len(questions)
	for i := range n {
		l.rule[i%lanes] = noRule
		l.from[i%lanes], l.to[i%lanes] = place{}, place{} // nobody's
		if q := &questions[i]; e.src.Has(uint32(q.From)) && e.dst.Has(uint32(q.To)) {
			l.from[i%lanes], l.to[i%lanes] = *e.src.At(uint32(q.From)), *e.dst.At(uint32(q.To))
		}
	}
	for i := range n {
		q := &questions[i]
		l.class[i%lanes] = e.ports.class(q.Proto, q.Sport, q.Dport)
	}
	for s := range e.pairs {
		for d := range e.pairs[s] {
			e.pairLanes(l, n, &e.pairs[s][d], s, d)
			if e.single {
				return
			}
		}
	}
}

// pairLanes asks one of the tables of pairs, in n lanes.
func (e *table) pairLanes(l *lookups, n int, t *pairTable, s, d int) {
	for i := range n {
		k := i % lanes
		l.program[k] = t.program(l.from[k][s&1], l.to[k][d&1])
	}
	for i := range n {
		k := i % lanes
		p := &e.programs[l.program[k]]
		l.program[k], l.base[k] = p.shape, p.base
	}
	if e.paged {
		for i := range n {
			k := i % lanes
			l.program[k] = e.dirs[l.program[k]+l.class[k]>>e.pageBits] << e.pageBits
		}
	}
	for i := range n {
		k := i % lanes
		l.program[k] = e.pages[l.program[k]+l.class[k]&(1<<e.pageBits-1)]
	}
	for i := range n {
		k := i % lanes
		if position := l.program[k]; position != 0 {
			l.rule[k] = min(l.rule[k], e.rules[l.base[k]+position-1])
		}
	}
}
