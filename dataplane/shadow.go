package dataplane

import (
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// Shadow is a policy that stands beside the one in force: each new decision is asked
// of both, and where they differ that is counted and noted. It decides nothing. It
// has a table of identities of its own, because who is in which service is the
// policy's word. Rules under audit, and audits, are the live policy's alone.
//
// A packet of an open session asks nobody, with a shadow or without; a packet that is
// to open one, or that nothing allows, asks whether there is a shadow, which is one
// look at the snapshot. What is open already is asked by who wants to know
// ([Shadow.Session]).
type Shadow struct {
	Identity *identity.Table
	Policy   *classify.Engine
	Rules    *policy.Ruleset
}

// Differences is what a worker has found out about a shadow: exact counts, and as
// many examples as there is room for until they are taken from it.
type Differences struct {
	Asked uint64
	// Denied counts, by the shadow's rule, what it would deny of what is allowed; the
	// last is the default deny. Allowed counts what it would allow of what is denied.
	Denied, Allowed []uint64
	Examples        []Difference // at most maxExamples
}

// maxExamples bounds the examples that a worker holds between two batches.
const maxExamples = 32

// NewDifferences makes counts for a shadow of so many rules.
func NewDifferences(rules int) *Differences {
	return &Differences{Denied: make([]uint64, rules+1), Allowed: make([]uint64, rules+1), Examples: make([]Difference, 0, maxExamples)}
}

// Difference is one connection of which the two say different things.
type Difference struct {
	Key                packet.Key
	ICMPType, ICMPCode uint8
	Allowed            bool   // the shadow allows it
	Live, Shadow       uint32 // the rules that decided, plus one; 0: none did
}

// askShadow asks the shadow about what has just been decided: reason says how.
func (x *walk) askShadow(f *packet.Frame, p *passage, reason drop.Reason) {
	sh, found := x.s.Shadow, x.Differences
	if x.rec != nil || found == nil || reason != drop.None && reason.Stage() != "decide" {
		return
	}
	h := &f.Headers
	from, _ := sh.Identity.Identify(p.seg.Zone, &h.Key.Src)
	if p.grouped {
		from = sh.Identity.InGroup(p.group, from)
	}
	sport, dport := portsOf(f, &h.Key, h.ICMPType)
	rule, verdict := sh.Policy.Decide(from, x.targetBy(sh.Identity, f, p), h.Key.Proto, sport, dport)
	found.Asked++
	allows := verdict == policy.Allow
	if allows == (reason == drop.None) {
		return
	}
	count := found.Denied
	if allows {
		count = found.Allowed
	}
	count[min(int64(rule), int64(len(count)-1))]++
	if len(found.Examples) < maxExamples {
		found.Examples = append(found.Examples, Difference{h.Key, h.ICMPType, h.ICMPCode, allows, f.Rule, numberOf(rule)})
	}
}

// numberOf is a rule's number plus one; 0 of none.
func numberOf(rule policy.RuleID) uint32 {
	if rule == policy.NoRule {
		return 0
	}
	return uint32(rule) + 1
}

// Session asks the shadow about an open session, in the direction in which it was
// opened. known is false if that cannot be told: one of its ends is a stranger whom
// only the tunnel's group tells who he is.
func (sh *Shadow) Session(s *conntrack.Session) (rule policy.RuleID, allowed, known bool) {
	return askSession(sh.Identity, sh.Policy, s)
}

// Session asks the policy in force about an open session, as Shadow.Session does: one
// that an earlier generation has judged may be closed by the next packet.
func (s *Snapshot) Session(session *conntrack.Session) (rule policy.RuleID, allowed, known bool) {
	if s.Policy == nil {
		return policy.NoRule, false, true
	}
	return askSession(s.Identity, s.Policy, session)
}

func askSession(who *identity.Table, engine *classify.Engine, s *conntrack.Session) (rule policy.RuleID, allowed, known bool) {
	k := &s.Key
	from, here := who.Identify(k.Zone, &k.Src)
	to, there := who.Identify(k.Zone, &k.Dst)
	if who.HasGroups() && !(here && there) {
		return policy.NoRule, false, false
	}
	sport, dport := k.SrcPort, k.DstPort
	if k.Proto == packet.ProtoICMP || k.Proto == packet.ProtoICMPv6 {
		sport, dport = 0, uint16(s.ICMPType())<<8
	}
	rule, verdict := engine.Decide(from, to, k.Proto, sport, dport)
	return rule, verdict == policy.Allow, true
}
