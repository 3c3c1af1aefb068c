package vswitch

import (
	"fmt"
	"net/netip"
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// expectation is what is to become of a probe.
type expectation uint8

const (
	dropped expectation = iota // by the policy
	passes
	spoofed // dropped before the policy is asked
)

// probe is one connection that the canary tries to open, and what is to become of it.
type probe struct {
	segment          string
	port             packet.PortID // that it comes in by
	from, to         endpoint
	src, dst         netip.Addr
	fromSets, toSets []policy.SetID
	proto            uint8
	sport, dport     uint16 // dport of ICMP is type and code, as in policy.Port
	expect           expectation
	rule             uint32 // that is to decide, plus one; 0: none
}

// ask asks the list of rules what is to become of the probe.
func (p *probe) ask(rs *policy.Ruleset) {
	sport := p.sport
	rule, verdict := rs.Decide(p.fromSets, p.toSets, p.proto, sport, p.dport)
	p.expect, p.rule = dropped, 0
	if verdict == policy.Allow {
		p.expect = passes
	}
	if rule != policy.NoRule {
		p.rule = uint32(rule) + 1
	}
}

// frame makes the probe's bytes. A host sends to a neighbour itself, and to all
// others by way of its gateway.
func (p *probe) frame(l *live) []byte {
	s := packet.Spec{
		SrcMAC: p.from.MAC, DstMAC: p.to.MAC, Src: packet.AddrFrom(p.src), Dst: packet.AddrFrom(p.dst),
		Proto: p.proto, SrcPort: p.sport, DstPort: p.dport,
	}
	if p.proto == packet.ProtoICMP || p.proto == packet.ProtoICMPv6 {
		s.ICMPType, s.SrcPort, s.DstPort = uint8(p.dport>>8), 0, 0
	}
	segment := slices.Index(l.snapshot.Names.Segments, p.segment)
	if segment >= 0 && p.to.Segment != p.segment {
		s.DstMAC = l.snapshot.Segments[segment].GatewayMAC
	}
	raw, err := packet.Build(s)
	if err != nil || segment < 0 {
		return nil // which ends as a runt, and is then said to
	}
	return tagged(l, p.port, raw, uint16(segment))
}

// judge holds the end of a probe against what it should be; it returns what is
// wrong, or "".
func (p *probe) judge(l *live, end *dataplane.End) string {
	wrong := ""
	switch p.expect {
	case passes:
		wrong = p.judgeAllowed(l, end)
	case dropped:
		wrong = p.judgeDenied(l, end)
	case spoofed:
		if stage := end.Reason.Stage(); stage != "identify" && stage != "parse" {
			wrong = "must be dropped as spoofed, and " + ended(l, end)
		}
	}
	if wrong == "" {
		return ""
	}
	return fmt.Sprintf("%s from %s of %s to %s of %s %s", p.header(), p.src, p.from.Name, p.dst, p.to.Name, wrong)
}

// header names what the probe asks for.
func (p *probe) header() string {
	if p.proto == packet.ProtoICMP || p.proto == packet.ProtoICMPv6 {
		return packet.ProtoName(p.proto)
	}
	return fmt.Sprintf("%s/%d", packet.ProtoName(p.proto), p.dport)
}

// judgeAllowed wants the rule that allows it. Behind the decision what depends on
// neighbours, routes and translations is the network's, but within the segment and
// this host there is one way.
func (p *probe) judgeAllowed(l *live, end *dataplane.End) string {
	must := "must be allowed by rule " + ruleNamed(l, p.rule)
	stage := end.Reason.Stage()
	behind := stage == "forward" || stage == "encap" || stage == "known" && l.snapshot.NAT != nil
	if end.Rule != p.rule || end.Reason != drop.None && !behind {
		return must + ", and " + ended(l, end)
	}
	if p.to.Segment != p.segment || p.to.Port == "" || l.snapshot.NAT != nil {
		return ""
	}
	id, found := l.portID(p.to.Port)
	if found && (end.Reason != drop.None || end.Egress != id || end.Dst != p.to.MAC) {
		return must + fmt.Sprintf(" and sent by port %s, and ", p.to.Port) + ended(l, end)
	}
	return ""
}

// judgeDenied wants the rule that denies it, or the default's word.
func (p *probe) judgeDenied(l *live, end *dataplane.End) string {
	want := drop.NoRule
	switch {
	case l.snapshot.Rules == nil:
		want = drop.NoPolicy
	case p.rule != 0:
		want = drop.Denied
	}
	if end.Reason == want && end.Rule == p.rule {
		return ""
	}
	if want == drop.Denied {
		return "must be denied by rule " + ruleNamed(l, p.rule) + ", and " + ended(l, end)
	}
	return "must be dropped by " + want.String() + ", and " + ended(l, end)
}

// ended says how a frame ended.
func ended(l *live, end *dataplane.End) string {
	by := ""
	if end.Rule != 0 {
		by = ", by rule " + ruleNamed(l, end.Rule)
	}
	switch {
	case end.Reason != drop.None:
		return "is dropped as " + end.Reason.String() + by
	case end.Egress == packet.NoPort:
		return "is taken in by the switch" + by
	}
	return "is sent by port " + portAt(l, end.Egress) + by
}

// ruleNamed is the name of a rule, given as its number plus one.
func ruleNamed(l *live, rule uint32) string {
	if rs := l.snapshot.Rules; rs != nil && rule > 0 && int(rule) <= len(rs.Rules) {
		return rs.Rules[rule-1].Name
	}
	return "(none)"
}

// portID is the number of the port that goes by a name now.
func (l *live) portID(name string) (packet.PortID, bool) {
	for i := range l.ports {
		if l.ports[i].name == name && l.snapshot.Ports[i].Role != dataplane.RoleNone {
			return packet.PortID(i), true
		}
	}
	return 0, false
}
