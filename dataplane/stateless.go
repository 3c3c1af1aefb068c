package dataplane

import (
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// A stateless rule opens no session. Each packet that it allows is judged by
// the policy alone: no state or sequence of TCP is asked for, no reply passes
// because of it, and its checksum is its receiver's to verify, since nothing is
// learned from it here. Nothing of it stays behind, so there is nothing to bound
// but what it costs: a lookup a packet.

// passStateless lets a packet of a stateless rule pass. A session that has
// finished and that the packet would have opened anew goes, or it would judge
// the next packet.
func (x *walk) passStateless(table *conntrack.Table, over *conntrack.Session, marks classify.Mark, f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	if x.rec != nil {
		return drop.None
	}
	if over != nil {
		table.Remove(over)
	}
	rule := policy.RuleID(f.Rule - 1)
	x.hit(rule)
	if marks&classify.Logged != 0 {
		x.report(PacketPassed, rule, f, p, &h.Key, h.ICMPType)
	}
	return drop.None
}

// statelessError judges an ICMP error that is about no open session: about a
// packet of a stateless rule, perhaps, of which there is none. It passes only if
// a stateless rule allows the message itself; one that is not, allows no message
// without a session.
func (x *walk) statelessError(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	if x.s.Policy == nil {
		return drop.ICMPUnmatched
	}
	p.dst = x.target(f, p)
	rule, verdict := x.s.Policy.Decide(p.src, p.dst, h.Key.Proto, 0, uint16(h.ICMPType)<<8|uint16(h.ICMPCode))
	if verdict != policy.Allow || x.s.Policy.Marks(rule)&classify.Stateless == 0 {
		return drop.ICMPUnmatched
	}
	if x.s.NAT != nil && x.translates(f, p) {
		return drop.NATStateless
	}
	f.Rule = uint32(rule) + 1
	if x.rec != nil {
		x.rec.note("known", "ICMP error about no open session, allowed by stateless rule %s", x.ruleName(f.Rule))
	}
	return x.passStateless(nil, nil, x.s.Policy.Marks(rule), f, p)
}
