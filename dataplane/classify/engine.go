package classify

import (
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// Engine is a policy linked to the identities there are.
type Engine struct {
	src, dst       []uint32 // by identity: its class
	ports          portTable
	pairs          pairTable
	programs       []program
	shapes         []uint16 // rows of ports.classes entries: position in the list, plus one
	rules          []uint32 // lists of rule ids
	verdicts       []policy.Verdict
	shapeCount     int
	sources, dests int
}

// program is what a pair of classes is left with.
type program struct{ shape, base uint32 }

// Touches is how many loads a lookup makes, at the most and always.
const Touches = 11

// Decide returns the rule that decides a connection, and what it says;
// policy.NoRule and Deny where none does. For ICMP sport is zero and dport is
// type and code, as in policy.Port. An identity that the engine was not linked
// with is allowed nothing.
func (e *Engine) Decide(from, to identity.ID, proto uint8, sport, dport uint16) (policy.RuleID, policy.Verdict) {
	if int(from) >= len(e.src) || int(to) >= len(e.dst) {
		return policy.NoRule, policy.Deny
	}
	p := e.programs[e.pairs.program(e.src[from], e.dst[to])]
	position := e.shapes[p.shape+e.ports.class(proto, sport, dport)]
	if position == 0 {
		return policy.NoRule, policy.Deny
	}
	rule := e.rules[p.base+uint32(position)-1]
	return policy.RuleID(rule), e.verdicts[rule]
}

// Stats is how large an engine is.
type Stats struct {
	Rules         int
	Identities    int
	SourceClasses int
	DestClasses   int
	PortClasses   int
	Programs      int
	Shapes        int
	Bytes         int // of all tables
	Touches       int // loads a lookup, at the most
}

// Stats measures the engine.
func (e *Engine) Stats() Stats {
	return Stats{
		Rules: len(e.verdicts), Identities: len(e.src) - 1,
		SourceClasses: e.sources, DestClasses: e.dests, PortClasses: int(e.ports.classes),
		Programs: len(e.programs), Shapes: e.shapeCount,
		Bytes: 4*(len(e.src)+len(e.dst)) + e.ports.bytes() + 4*len(e.pairs.cells) + 8*len(e.programs) +
			2*len(e.shapes) + 4*len(e.rules) + len(e.verdicts),
		Touches: Touches,
	}
}
