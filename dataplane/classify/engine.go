package classify

import (
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/internal/paged"
	"bulkhead/dataplane/policy"
)

// Engine is a policy linked to the identities there are.
type Engine struct {
	egress, ingress []*table // the stages of either end, see stages.go
	verdicts        []policy.Verdict
	settled         policy.Verdict // up to here the first stage has the last word: Deny, or Allow
	marks           []Mark         // nil: no rule has one
	audit           *Engine        // with the rules under audit enforced; nil: none is
}

// Decide returns the rule that decides a connection, and what it says, as
// policy.Ruleset.Decide does; policy.NoRule and Deny where none does. For ICMP
// sport is zero and dport is type and code, as in policy.Port. An identity that
// the engine was not linked with is allowed nothing.
func (e *Engine) Decide(from, to identity.ID, proto uint8, sport, dport uint16) (policy.RuleID, policy.Verdict) {
	rule, verdict := e.decideAt(e.egress, from, to, proto, sport, dport)
	if verdict == policy.Deny || e.ingress == nil {
		return rule, verdict
	}
	arrives, verdict := e.decideAt(e.ingress, from, to, proto, sport, dport)
	if verdict == policy.Allow && e.Marks(rule)&Stateless > e.Marks(arrives)&Stateless {
		return rule, verdict
	}
	return arrives, verdict
}

// decideAt asks stage by stage, until a rule decides that is no pass.
func (e *Engine) decideAt(stages []*table, from, to identity.ID, proto uint8, sport, dport uint16) (policy.RuleID, policy.Verdict) {
	for _, t := range stages {
		rule := t.decide(from, to, proto, sport, dport)
		if rule == noRule {
			continue
		}
		if verdict := e.verdicts[rule]; verdict != policy.Pass {
			return policy.RuleID(rule), verdict
		}
	}
	return policy.NoRule, policy.Deny
}

// table is one stage: rules of which the first that matches is the answer.
type table struct {
	src, dst   paged.Vector[place] // by identity
	identities int                 // numbers of identities are below
	ports      portTable

	pairs  [2][2]pairTable // by part of the source, part of the destination
	single bool            // every set is broad: the first table is all
	matrix bool            // and is a matrix
	one    bool            // and shapes are of one page: see oneLanes

	programs []program
	dirs     []uint32 // of shapes that have more than one page: the pages of each
	pages    []uint8  // of 1<<pageBits port classes: position in the list, plus one
	long     []uint32 // the pages, if a position needs more than a byte; else nil
	pageBits uint32
	paged    bool     // a shape has more than one page
	rules    []uint32 // lists of rule ids
	stats    Stats
}

// decide returns the first rule that matches, or noRule.
func (e *table) decide(from, to identity.ID, proto uint8, sport, dport uint16) uint32 {
	if !e.src.Has(uint32(from)) || !e.dst.Has(uint32(to)) {
		return noRule
	}
	s, d, class := e.src.At(uint32(from)), e.dst.At(uint32(to)), e.ports.class(proto, sport, dport)
	if src, dst := s[broad], d[broad]; e.matrix && (src|dst)&later == 0 {
		return e.first(e.programs[e.pairs[broad][broad].cell(src, dst)], class)
	}
	tables := joined(s, d)
	rule := e.first(e.program(tables, broad, broad, s, d), class)
	if e.single {
		return rule
	}
	return min(rule, e.first(e.program(tables, broad, narrow, s, d), class),
		e.first(e.program(tables, narrow, broad, s, d), class), e.first(e.program(tables, narrow, narrow, s, d), class))
}

// program asks one of the tables of pairs, if there may be an answer.
func (e *table) program(tables uint32, s, d int, from, to *place) program {
	src, dst := from[s], to[d]
	if tables>>tableOf(s, d)&1 == 0 && (src|dst)&later == 0 {
		return noProgram
	}
	return e.pairs[s][d].program(e.programs, src, dst)
}

// first returns the first rule of a program that names a port class, or noRule.
func (e *table) first(p program, class uint32) uint32 {
	if p == noProgram {
		return noRule // which one question alone need not wait for
	}
	at := p.shape() + class
	if e.paged {
		at = e.dirs[p.shape()+class>>e.pageBits]<<e.pageBits + class&(1<<e.pageBits-1)
	}
	return e.rule(p.base(), e.position(at))
}

// position is what a shape says of a port class.
func (e *table) position(at uint32) uint32 {
	if e.long != nil {
		return e.long[at]
	}
	return uint32(e.pages[at])
}

// rule is the rule at a position of a list, without a jump.
func (e *table) rule(base, position uint32) uint32 {
	at := base + position
	rule := at&^straight - 1
	if listed := e.rules[at&^uint32(int32(at)>>31)]; at&straight == 0 {
		rule = listed
	}
	if position == 0 {
		rule = noRule
	}
	return rule
}
