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
	marks           []Mark  // nil: no rule has one
	audit           *Engine // with the rules under audit enforced; nil: none is
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

	programs []program
	dirs     []uint32 // of shapes: the pages of each
	pages    []uint32 // of 1<<pageBits port classes: position in the list, plus one
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
	rule := e.first(e.pairs[broad][broad].program(s[broad], d[broad]), class)
	if e.single {
		return rule
	}
	return min(rule,
		e.first(e.pairs[broad][narrow].program(s[broad], d[narrow]), class),
		e.first(e.pairs[narrow][broad].program(s[narrow], d[broad]), class),
		e.first(e.pairs[narrow][narrow].program(s[narrow], d[narrow]), class))
}

// first returns the first rule of a program that names a port class, or noRule.
func (e *table) first(number, class uint32) uint32 {
	if number == 0 {
		return noRule
	}
	p := e.programs[number]
	at := p.shape
	if e.paged {
		at = e.dirs[p.shape+class>>e.pageBits] << e.pageBits
	}
	position := e.pages[at+class&(1<<e.pageBits-1)]
	if position == 0 {
		return noRule
	}
	return e.rules[p.base+position-1]
}
