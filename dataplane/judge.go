package dataplane

import (
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// judge asks the open sessions first, and the policy where they have no
// answer of this generation. A reply passes because its session is known; a
// revoked rule acts on the next packet because the session's generation is
// then an old one.
func (x *walk) judge(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	if h.ICMPError {
		return x.judgeError(f, p)
	}
	sessions := x.State.Sessions
	shard := sessions.of(p.hash)
	reason := x.judgeIn(shard.table, p.hash, f, p)
	sessions.done(shard)
	return reason
}

// judgeIn is judge, with the session's shard in hand.
func (x *walk) judgeIn(table *conntrack.Table, hash uint64, f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	s, dir := table.FindNear(p.row, &h.Key, hash, x.now)
	if s == nil {
		return x.judgeNew(table, hash, nil, f, p)
	}
	if table.Renews(s, dir, f) {
		return x.judgeNew(table, hash, s, f, p)
	}
	if s.Generation != x.s.Generation {
		if reason, gone := x.judgeAgain(table, hash, s, dir, f, p); gone {
			return reason
		}
	}
	if s.Generation == x.s.Generation {
		f.Rule = s.Rule
	}
	if x.s.NAT != nil {
		if reason := x.translateKnown(table, s, dir, f); reason != drop.None {
			return reason
		}
	}
	if x.rec != nil {
		x.rec.note("known", "open session, %s, allowed by rule %s", dir, x.ruleName(f.Rule))
	}
	// Only a packet whose checksum is right may change what is known of a
	// connection: its receiver will drop it otherwise, and we would differ.
	if h.Key.Proto == packet.ProtoTCP {
		if !packet.VerifyChecksum(f) {
			return drop.BadChecksum
		}
		if f.Offload.Checksum == packet.ChecksumUnknown {
			f.Offload.Checksum = packet.ChecksumGood // so that nobody reads it again
		}
	}
	if x.rec != nil {
		return table.Foretell(s, dir, f)
	}
	return table.Advance(s, dir, f, x.now)
}

// judgeNew asks the policy about a packet that belongs to no session, and
// opens one if it may pass: in the place of over, where there is one, which has
// finished and whose addresses and ports the packet has.
func (x *walk) judgeNew(table *conntrack.Table, hash uint64, over *conntrack.Session, f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	if x.rec != nil {
		x.rec.note("known", "no open session")
	}
	p.dst = x.target(f, p)
	if x.s.Arrivals != nil {
		if reason, taken := x.pickUp(table, hash, f, p); taken {
			return reason
		}
	}
	reason := x.decide(f, p, p.src, p.dst, &h.Key, h.ICMPType)
	x.askAudits(f, p, p.src, p.dst, &h.Key, h.ICMPType)
	if x.s.Shadow != nil {
		x.askShadow(f, p, reason)
	}
	if reason != drop.None {
		return reason
	}
	marks := x.s.Policy.Marks(policy.RuleID(f.Rule - 1))
	if marks&classify.Stateless != 0 {
		if x.s.NAT != nil && x.translates(f, p) {
			return drop.NATStateless
		}
		return x.passStateless(table, over, marks, f, p)
	}
	if !packet.VerifyChecksum(f) {
		return drop.BadChecksum
	}
	if reason := conntrack.Opens(f); reason != drop.None || x.rec != nil && x.s.NAT == nil {
		return reason
	}
	var tag nat.Tag
	if x.s.NAT != nil {
		if tag, reason = x.translateNew(f, p); reason != drop.None || x.rec != nil {
			return reason
		}
	}
	if over != nil {
		table.Remove(over)
	}
	s, reason := table.Open(f, hash, x.now)
	if reason == drop.None && tag != 0 && !table.SetTag(s, uint32(tag)) {
		table.Remove(s) // a table that takes no tags is none to translate by
		reason = drop.NATFull
	}
	if reason != drop.None {
		if tag != 0 {
			x.State.NAT.Release(uint32(tag))
		}
		return reason
	}
	s.Generation, s.Rule = x.s.Generation, f.Rule
	x.hit(policy.RuleID(f.Rule - 1))
	if marks&classify.Logged != 0 {
		x.report(SessionOpened, policy.RuleID(f.Rule-1), f, p, &h.Key, h.ICMPType)
	}
	return drop.None
}

// judgeAgain asks the policy about a session that an older generation judged,
// in the direction in which it was opened. Where the answer has become no the
// session is gone; and so it is where the rule has become stateless or its
// address is not translated as it was, and then the packet is judged by itself.
func (x *walk) judgeAgain(table *conntrack.Table, hash uint64, s *conntrack.Session, dir conntrack.Direction, f *packet.Frame, p *passage) (reason drop.Reason, gone bool) {
	key, icmp, from := f.Headers.Key, f.Headers.ICMPType, p.src
	to := x.target(f, p)
	if dir == conntrack.Reply {
		key, from, to = key.Reverse(), to, from
		icmp = requestFor(icmp)
	}
	if x.rec != nil {
		x.rec.note("known", "open session of generation %d: judged again by %d", s.Generation, x.s.Generation)
	}
	reason = x.decide(f, p, from, to, &key, icmp)
	free := reason == drop.None && x.s.Policy.Marks(policy.RuleID(f.Rule-1))&classify.Stateless != 0
	renamed := reason == drop.None && (x.s.NAT != nil || table.Tag(s) != 0) && !x.sameNames(table, s, dir, f, p)
	gone = reason != drop.None || free || renamed
	if !free && !renamed { // else the packet is asked about by itself
		x.askAudits(f, p, from, to, &key, icmp)
	}
	switch {
	case x.rec != nil:
	case gone:
		table.Remove(s)
	default:
		s.Generation, s.Rule = x.s.Generation, f.Rule
		x.hit(policy.RuleID(f.Rule - 1))
	}
	if free || renamed {
		f.Rule = 0 // it is of the other direction, perhaps
		return x.judgeNew(table, hash, nil, f, p), true
	}
	return reason, gone
}

// requestFor returns the type of the ICMP message that a reply answers.
func requestFor(reply uint8) uint8 {
	switch reply {
	case packet.ICMPEchoReply:
		return packet.ICMPEchoRequest
	case packet.ICMPTimestampReply:
		return packet.ICMPTimestamp
	case packet.ICMPv6EchoReply:
		return packet.ICMPv6EchoRequest
	}
	return reply
}

// decide asks the compiled policy about a connection and keeps the rule that
// answered with the frame. A denial is counted here, an allowance by who opens
// a session on it.
func (x *walk) decide(f *packet.Frame, p *passage, from, to identity.ID, key *packet.Key, icmp uint8) drop.Reason {
	if x.s.Policy == nil {
		if x.rec != nil {
			x.rec.note("decide", "no policy is loaded: everything is denied")
		}
		return drop.NoPolicy
	}
	sport, dport := portsOf(f, key, icmp)
	rule, verdict := x.s.Policy.Decide(from, to, key.Proto, sport, dport)
	if verdict == policy.Deny {
		x.hit(rule)
		if x.s.Policy.Marks(rule)&classify.Logged != 0 {
			x.report(Denied, rule, f, p, key, icmp)
		}
	}
	if x.rec != nil {
		x.noteDecision(from, to, rule, verdict, key.Proto, sport, dport)
	}
	if rule == policy.NoRule {
		return drop.NoRule
	}
	f.Rule = uint32(rule) + 1
	if verdict == policy.Deny {
		return drop.Denied
	}
	return drop.None
}

// askAudits asks the rules under audit about what has been decided.
func (x *walk) askAudits(f *packet.Frame, p *passage, from, to identity.ID, key *packet.Key, icmp uint8) {
	if x.s.Policy == nil {
		return
	}
	sport, dport := portsOf(f, key, icmp)
	if rule, found := x.s.Policy.WouldDeny(from, to, key.Proto, sport, dport); found {
		x.audit(rule, f, p, key, icmp)
	}
}

// portsOf is what the policy takes for ports: of ICMP the type and code.
func portsOf(f *packet.Frame, key *packet.Key, icmp uint8) (sport, dport uint16) {
	if key.Proto == packet.ProtoICMP || key.Proto == packet.ProtoICMPv6 {
		return 0, uint16(icmp)<<8 | uint16(f.Headers.ICMPCode)
	}
	return key.SrcPort, key.DstPort
}

// hit counts a decision of a rule, or of the default deny.
func (x *walk) hit(rule policy.RuleID) {
	if x.rec != nil || len(x.Counters.Rules) == 0 {
		return
	}
	i := min(int(rule), len(x.Counters.Rules)-1)
	x.Counters.Rules[i]++
}

// judgeError lets an ICMP error pass if it is about a packet of an open
// session, and goes to who sent that packet. It neither opens nor refreshes
// one (RFC 5927).
func (x *walk) judgeError(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	if h.Inner.Src != h.Key.Dst {
		return drop.ICMPUnmatched
	}
	sessions := x.State.Sessions
	shard := sessions.of(p.hash)
	defer sessions.done(shard)
	s := shard.table.ICMPError(f, p.hash, x.now)
	if s == nil || s.Generation != x.s.Generation {
		return x.statelessError(f, p)
	}
	f.Rule = s.Rule
	if x.s.NAT != nil {
		if reason := x.translateError(shard.table, s, f); reason != drop.None {
			return reason
		}
	}
	if x.rec != nil {
		x.rec.note("known", "ICMP error about an open session, allowed by rule %s", x.ruleName(s.Rule))
	}
	return drop.None
}
