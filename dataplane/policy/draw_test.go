package policy

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"pgregory.net/rapid"
)

// names are of characters that print.
var names = rapid.StringOf(rapid.RuneFrom(nil, unicode.L, unicode.N, unicode.P, unicode.S))

// drawRuleset draws a valid ruleset.
func drawRuleset(t *rapid.T) *Ruleset {
	rs := &Ruleset{Generation: rapid.Uint64Range(0, MaxGeneration).Draw(t, "generation"), SourceHash: [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))}
	rs.Sets = []Set{{Kind: KindAny, Name: names.Draw(t, "name")}}
	for range rapid.IntRange(0, 4).Draw(t, "sets") {
		rs.Sets = append(rs.Sets, drawSet(t))
	}
	if rapid.Bool().Draw(t, "outside") {
		rs.Sets = append(rs.Sets, Set{Kind: KindOutside, Name: "outside", Prefixes: Everywhere(), Except: OnTheLink()})
	}
	slices.SortFunc(rs.Sets[1:], compareSet)
	rs.Sets = slices.CompactFunc(rs.Sets, func(a, b Set) bool { return compareSet(a, b) == 0 })
	for range rapid.IntRange(0, 5).Draw(t, "rules") {
		rs.Rules = append(rs.Rules, drawRule(t, len(rs.Sets)))
	}
	slices.SortStableFunc(rs.Rules, func(a, b Rule) int { return compareRank(&a, &b) })
	return rs
}

// some draws a few values, sorted, each once.
func some[T any](t *rapid.T, label string, least int, draw func() T, compare func(a, b T) int) []T {
	var out []T
	for range rapid.IntRange(least, 3).Draw(t, label) {
		out = append(out, draw())
	}
	slices.SortFunc(out, compare)
	return slices.CompactFunc(out, func(a, b T) bool { return compare(a, b) == 0 })
}

func drawSet(t *rapid.T) Set {
	s := Set{Kind: SetKind(rapid.IntRange(1, 2).Draw(t, "kind")), Name: names.Draw(t, "name")}
	if s.Kind == KindService {
		for range rapid.IntRange(0, 2).Draw(t, "alternatives") {
			var alternative Requirements
			for range rapid.IntRange(0, 2).Draw(t, "requirements") {
				alternative = append(alternative, drawRequirement(t))
			}
			s.Selector = append(s.Selector, alternative)
		}
		return s
	}
	s.Prefixes = some(t, "prefixes", 1, func() netip.Prefix { return drawPrefix(t) }, comparePrefix)
	s.Except = some(t, "except", 0, func() netip.Prefix {
		p := rapid.SampledFrom(s.Prefixes).Draw(t, "within")
		return netip.PrefixFrom(p.Addr(), rapid.IntRange(p.Bits(), p.Addr().BitLen()).Draw(t, "bits")).Masked()
	}, comparePrefix)
	return s
}

func drawRequirement(t *rapid.T) Requirement {
	r := Requirement{Key: rapid.StringN(1, 8, -1).Draw(t, "key"), Op: Op(rapid.IntRange(0, 3).Draw(t, "op"))}
	if r.Op <= OpNotIn {
		values := rapid.SliceOfNDistinct(rapid.String(), 1, 3, rapid.ID[string]).Draw(t, "values")
		slices.Sort(values)
		r.Values = values
	}
	return r
}

func drawPrefix(t *rapid.T) netip.Prefix {
	if rapid.Bool().Draw(t, "v6") {
		a := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "addr"))
		a[0] |= 0x20 // never v4-mapped
		return netip.PrefixFrom(netip.AddrFrom16(a), rapid.IntRange(8, 128).Draw(t, "bits")).Masked()
	}
	a := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr"))
	return netip.PrefixFrom(netip.AddrFrom4(a), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
}

func drawRule(t *rapid.T, sets int) Rule {
	side := func(label string) []SetID {
		return some(t, label, 1, func() SetID { return SetID(rapid.IntRange(0, sets-1).Draw(t, label)) }, func(a, b SetID) int { return int(a) - int(b) })
	}
	r := Rule{
		Name: names.Draw(t, "name"), Verdict: Verdict(rapid.IntRange(0, 2).Draw(t, "verdict")),
		Tier: rapid.Uint32Range(0, Tiers-1).Draw(t, "tier"), Direction: Direction(rapid.IntRange(0, 2).Draw(t, "direction")),
		Precedence: rapid.OneOf(rapid.Uint32Range(0, 2), rapid.Uint32()).Draw(t, "precedence"),
		From:       side("from"), To: side("to"),
		Ports: some(t, "ports", 1, func() Port { return drawPort(t) }, comparePort),
		File:  names.Draw(t, "file"), Line: rapid.Uint32().Draw(t, "line"),
	}
	drawMarks(t, &r)
	return r
}

// drawMarks draws what a rule says beside its verdict.
func drawMarks(t *rapid.T, r *Rule) {
	r.Log = r.Verdict != Pass && rapid.Bool().Draw(t, "log")
	r.Audit = r.Verdict == Deny && rapid.Bool().Draw(t, "audit")
	r.Stateless = r.Verdict == Allow && rapid.Bool().Draw(t, "stateless")
	time := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 9), rapid.Int64Range(MaxTime-9, MaxTime))
	if r.Valid = (Period{time.Draw(t, "from"), time.Draw(t, "until")}); r.Valid.validate() != nil {
		r.Valid = Period{}
	}
	remark := rapid.SampledFrom([]string{"", "team-shop", "PCI 1.2.1", "Ä ö", strings.Repeat("x", MaxRemark)})
	r.Owner, r.Reason = remark.Draw(t, "owner"), remark.Draw(t, "reason")
}

func drawPort(t *rapid.T) Port {
	p := Port{Proto: uint16(rapid.IntRange(0, AnyProto).Draw(t, "proto")), SrcHi: 65535, DstHi: 65535}
	span := func(label string) (uint16, uint16) {
		a, b := rapid.Uint16().Draw(t, label), rapid.Uint16().Draw(t, label)
		return min(a, b), max(a, b)
	}
	switch p.Proto {
	case tcp, udp, sctp:
		p.SrcLo, p.SrcHi = span("sport")
		p.DstLo, p.DstHi = span("dport")
	case icmp, icmpv6:
		p.DstLo, p.DstHi = span("type")
	}
	return p
}
