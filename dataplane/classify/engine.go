package classify

import (
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// Engine is a policy linked to the identities there are.
type Engine struct {
	src, dst []place // by identity
	ports    portTable

	pairs  [2][2]pairTable // by part of the source, part of the destination
	single bool            // every set is broad: the first table is all

	programs []program
	dirs     []uint32 // of shapes: the pages of each
	pages    []uint32 // of 1<<pageBits port classes: position in the list, plus one
	pageBits uint32
	paged    bool     // a shape has more than one page
	rules    []uint32 // lists of rule ids
	verdicts []policy.Verdict
	stats    Stats
}

// Decide returns the rule that decides a connection, and what it says;
// policy.NoRule and Deny where none does. For ICMP sport is zero and dport is
// type and code, as in policy.Port. An identity that the engine was not linked
// with is allowed nothing.
func (e *Engine) Decide(from, to identity.ID, proto uint8, sport, dport uint16) (policy.RuleID, policy.Verdict) {
	if int(from) >= len(e.src) || int(to) >= len(e.dst) {
		return policy.NoRule, policy.Deny
	}
	s, d, class := &e.src[from], &e.dst[to], e.ports.class(proto, sport, dport)
	rule := e.first(e.pairs[broad][broad].program(s[broad], d[broad]), class)
	if !e.single {
		rule = min(rule,
			e.first(e.pairs[broad][narrow].program(s[broad], d[narrow]), class),
			e.first(e.pairs[narrow][broad].program(s[narrow], d[broad]), class),
			e.first(e.pairs[narrow][narrow].program(s[narrow], d[narrow]), class))
	}
	if rule == noRule {
		return policy.NoRule, policy.Deny
	}
	return policy.RuleID(rule), e.verdicts[rule]
}

// first returns the first rule of a program that names a port class, or noRule.
func (e *Engine) first(number, class uint32) uint32 {
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
