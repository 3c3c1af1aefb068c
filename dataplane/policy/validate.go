package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Validate holds a ruleset against what the comments on its types promise, so
// that who uses one need not. Encode and Decode ask it.
func (rs *Ruleset) Validate() error {
	if rs.Generation > MaxGeneration {
		return fmt.Errorf("generation %d, above %d", rs.Generation, uint64(MaxGeneration))
	}
	if len(rs.Sets) == 0 || rs.Sets[Any].Kind != KindAny {
		return errors.New("set 0 is not Any")
	}
	for i := range rs.Sets {
		if err := rs.Sets[i].validate(i == 0); err != nil {
			return fmt.Errorf("set %d (%q): %w", i, rs.Sets[i].Name, err)
		}
	}
	if !ascending(rs.Sets[1:], compareSet) {
		return errors.New("sets not in order, or one twice")
	}
	if n := len(rs.Sets); n > 1 && rs.Sets[n-2].Kind == KindOutside {
		return errors.New("two sets are outside")
	}
	for i := range rs.Rules {
		if err := rs.Rules[i].validate(len(rs.Sets)); err != nil {
			return fmt.Errorf("rule %d (%q): %w", i, rs.Rules[i].Name, err)
		}
		if i > 0 && compareRank(&rs.Rules[i-1], &rs.Rules[i]) > 0 {
			return fmt.Errorf("rule %d (%q) stands after one that it precedes", i, rs.Rules[i].Name)
		}
	}
	return nil
}

// CompareSet orders sets as a Ruleset has them.
func CompareSet(a, b *Set) int { return compareSet(*a, *b) }

func compareSet(a, b Set) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// compareRank orders rules by tier and precedence, and denies before allows
// before passes of one.
func compareRank(a, b *Rule) int {
	return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Precedence, b.Precedence), cmp.Compare(a.Verdict, b.Verdict))
}

func (s *Set) validate(first bool) error {
	switch {
	case !prints(s.Name):
		return errors.New("its name does not print")
	case s.Kind > KindOutside || (s.Kind == KindAny) != first:
		return fmt.Errorf("kind %d", s.Kind)
	case s.Kind == KindOutside && (!slices.Equal(s.Prefixes, Everywhere()) || !slices.Equal(s.Except, OnTheLink())):
		return errors.New("outside is not every address but those on the link")
	case s.Kind != KindService && len(s.Selector) > 0, s.Kind < KindNetwork && len(s.Prefixes)+len(s.Except) > 0:
		return errors.New("members of another kind")
	}
	for _, alternative := range s.Selector {
		for _, r := range alternative {
			if r.Op > OpNotExists || r.Key == "" || !ascending(r.Values, cmp.Compare[string]) || (r.Op <= OpNotIn) != (len(r.Values) > 0) {
				return fmt.Errorf("requirement on label %q", r.Key)
			}
		}
	}
	for _, list := range [2][]netip.Prefix{s.Prefixes, s.Except} {
		if !ascending(list, comparePrefix) || slices.ContainsFunc(list, func(p netip.Prefix) bool { return !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() }) {
			return errors.New("prefixes not masked and in order")
		}
	}
	for _, e := range s.Except {
		inside := func(p netip.Prefix) bool { return p.Bits() <= e.Bits() && p.Contains(e.Addr()) }
		if !slices.ContainsFunc(s.Prefixes, inside) {
			return fmt.Errorf("exception %s lies in no prefix", e)
		}
	}
	return nil
}

// plain tells whether a text is of printing characters of ASCII alone, as nearly all
// are: that is seen at a glance.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// prints tells whether a name can stand in a line of a table or a log, and moves
// no terminal's cursor.
func prints(name string) bool {
	if plain(name) {
		return true
	}
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

func (r *Rule) validate(sets int) error {
	if !prints(r.Name) || !prints(r.File) {
		return errors.New("its name, or its file's, does not print")
	}
	if r.Verdict > Pass || r.Direction > Ingress || r.Tier >= Tiers {
		return fmt.Errorf("verdict %d, direction %d, tier %d", uint8(r.Verdict), uint8(r.Direction), r.Tier)
	}
	if err := r.validateMarks(); err != nil {
		return err
	}
	for _, list := range [2][]SetID{r.From, r.To} {
		if len(list) == 0 || !ascending(list, cmp.Compare[SetID]) || int(list[len(list)-1]) >= sets {
			return errors.New("its sets are not known, or not in order")
		}
	}
	if len(r.Ports) == 0 || !ascending(r.Ports, comparePort) {
		return errors.New("its ports are none, or not in order")
	}
	for _, p := range r.Ports {
		if err := p.validate(); err != nil {
			return err
		}
	}
	return nil
}

// MaxRemark bounds the owner and the reason of a rule, in bytes.
const MaxRemark = 256

// validateMarks holds what a rule says beside its verdict against the verdict
// that it can stand beside.
func (r *Rule) validateMarks() error {
	switch {
	case r.Audit && r.Verdict != Deny:
		return errors.New("an audit that is no deny")
	case r.Stateless && r.Verdict != Allow:
		return errors.New("stateless, and no allow")
	case r.Log && r.Verdict == Pass:
		return errors.New("a pass that is logged, and decides nothing")
	case r.Dormant:
		return errors.New("of a view at one time, not of the policy")
	case !GoodRemark(r.Owner) || !GoodRemark(r.Reason):
		return errors.New("its owner or reason does not print in a line")
	}
	return r.Valid.validate()
}

// GoodRemark tells whether a text can be the owner or the reason of a rule: it
// stands in a line of a table, a log or a trace.
func GoodRemark(s string) bool {
	if s == "" {
		return true
	}
	notPrinted := func(r rune) bool { return !unicode.IsPrint(r) }
	return len(s) <= MaxRemark && utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, notPrinted)
}

// Protocols that have ports, or a type and a code in their place.
const tcp, udp, sctp, icmp, icmpv6 = 6, 17, 132, 1, 58

func (p *Port) validate() error {
	anySrc, anyDst := p.SrcLo == 0 && p.SrcHi == 65535, p.DstLo == 0 && p.DstHi == 65535
	switch {
	case p.Proto > AnyProto:
		return fmt.Errorf("protocol %d", p.Proto)
	case p.SrcLo > p.SrcHi || p.DstLo > p.DstHi:
		return errors.New("a range of ports runs backwards")
	case p.Proto == tcp || p.Proto == udp || p.Proto == sctp:
		return nil
	case p.Proto == icmp || p.Proto == icmpv6:
		if !anySrc {
			return errors.New("ICMP has no source port")
		}
		return nil
	case !anySrc || !anyDst:
		return fmt.Errorf("ports of protocol %d, which has none", p.Proto)
	}
	return nil
}

func comparePort(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.DstLo, b.DstLo), cmp.Compare(a.DstHi, b.DstHi),
		cmp.Compare(a.SrcLo, b.SrcLo), cmp.Compare(a.SrcHi, b.SrcHi))
}

// ComparePort orders ports as a Rule has them.
func ComparePort(a, b Port) int { return comparePort(a, b) }

// ComparePrefix orders prefixes as a Set has them.
func ComparePrefix(a, b netip.Prefix) int { return comparePrefix(a, b) }

// ascending tells whether a list is sorted, each value once.
func ascending[T any](list []T, compare func(a, b T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}
