package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// validate holds a ruleset against what the comments on its types promise, so
// that who uses one need not.
func (rs *Ruleset) validate() error {
	if len(rs.Sets) == 0 || rs.Sets[Any].Kind != KindAny {
		return errors.New("set 0 is not Any")
	}
	for i := range rs.Sets {
		if err := rs.Sets[i].validate(i == 0); err != nil {
			return fmt.Errorf("set %d (%q): %w", i, rs.Sets[i].Name, err)
		}
	}
	for i := range rs.Rules {
		if err := rs.Rules[i].validate(len(rs.Sets)); err != nil {
			return fmt.Errorf("rule %d (%q): %w", i, rs.Rules[i].Name, err)
		}
	}
	return nil
}

func (s *Set) validate(first bool) error {
	switch {
	case s.Kind > KindNetwork || (s.Kind == KindAny) != first:
		return fmt.Errorf("kind %d", s.Kind)
	case s.Kind != KindService && len(s.Selector) > 0, s.Kind != KindNetwork && len(s.Prefixes)+len(s.Except) > 0:
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
	return nil
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

func (r *Rule) validate(sets int) error {
	if r.Verdict > Allow {
		return fmt.Errorf("verdict %d", r.Verdict)
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
		if p.Proto > AnyProto || p.SrcLo > p.SrcHi || p.DstLo > p.DstHi {
			return errors.New("a range of ports runs backwards")
		}
		if p.Proto == AnyProto && (p.SrcLo != 0 || p.SrcHi != 65535 || p.DstLo != 0 || p.DstHi != 65535) {
			return errors.New("every protocol, but not every port")
		}
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
