package analyze

import (
	"encoding/binary"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/lower"
)

// A difference is where a changed rule is: of two policies of 100,000 rules that
// differ in one, what that rule matches is all that can be decided differently.
// So a comparison takes from both policies the rules alone that a connection of
// a changed rule can meet, and compares these two small ones:
//
//   - A connection that a changed rule matches meets in the small policies all
//     rules that it meets in the whole ones. They say the same of it.
//   - Any other meets rules that both policies have, in whole and in part: the
//     small ones say the same of it, as the whole ones do.
//
// Which rules can meet is asked set by set, and may be answered too kindly: that
// costs time and nothing else (overlap.go).

// maxApart bounds the changed rules that all others are held against; where more
// have changed the whole policies are compared.
const maxApart = 64

// affected takes from two policies the rules that matter to what changed; changed
// is false if they state the same.
func affected(old, new *check.Policy) (parts []*check.Policy, changed bool) {
	c := &comparison{policies: [2]*check.Policy{old, new}, sets: map[check.Set]*policy.Set{}, touching: map[regionEnd]map[check.Set]bool{}}
	differ := c.differ()
	if len(differ) == 0 {
		return nil, false
	}
	if len(differ) > maxApart {
		return c.policies[:], true
	}
	for _, p := range c.policies {
		part := *p
		part.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r *check.Rule) bool {
			return !slices.ContainsFunc(differ, func(region *check.Rule) bool { return c.meet(r, region) })
		})
		parts = append(parts, &part)
	}
	return parts, true
}

// comparison is of two policies.
type comparison struct {
	policies [2]*check.Policy
	sets     map[check.Set]*policy.Set // as they are lowered
	touching map[regionEnd]map[check.Set]bool
}

// differ are the rules that one policy has and the other has not, whatever they
// are called; the defaults of tiers among them.
func (c *comparison) differ() []*check.Rule {
	count := map[string]int{}
	twofold := c.twofold()
	var out []*check.Rule
	for _, r := range rulesOf(c.policies[0]) {
		count[ruleKey(r, 0, twofold)]++
	}
	for _, r := range rulesOf(c.policies[1]) {
		if k := ruleKey(r, 1, twofold); count[k] > 0 {
			count[k]--
		} else {
			out = append(out, r)
		}
	}
	for _, r := range rulesOf(c.policies[0]) {
		if k := ruleKey(r, 0, twofold); count[k] > 0 {
			count[k]--
			out = append(out, r)
		}
	}
	return out
}

func rulesOf(p *check.Policy) []*check.Rule {
	return slices.DeleteFunc(slices.Concat(p.Rules, p.Defaults[:]), func(r *check.Rule) bool { return r == nil })
}

// twofold are the names by which the two policies mean two things.
func (c *comparison) twofold() map[string]bool {
	out := map[string]bool{}
	for _, name := range c.policies[0].Names() {
		a, _ := c.policies[0].Lookup(name)
		b, known := c.policies[1].Lookup(name)
		if known && definition(*c.lowered(a)) != definition(*c.lowered(b)) {
			out[name] = true
		}
	}
	return out
}

// marks are what a rule says beside its verdict that changes what passes, and
// how. Its time does not: a view of one time knows who is dormant in it.
func marks(r *check.Rule) (out byte) {
	for i, mark := range []bool{r.Audit, r.Stateless, r.Dormant} {
		if mark {
			out |= 1 << i
		}
	}
	return out
}

// ruleKey is all that a rule means, and not what it is called or where it is.
// TestRuleKeyHasAllThatARuleMeans knows its fields.
func ruleKey(r *check.Rule, number byte, twofold map[string]bool) string {
	out := make([]byte, 0, 96)
	out = append(out, byte(r.Verdict()), byte(r.Tier), byte(r.Direction), marks(r))
	out = binary.LittleEndian.AppendUint32(out, r.Priority)
	word := func(name string) {
		out = append(append(out, name...), 0)
		if twofold[name] {
			out = append(out, number, 0)
		}
	}
	if r.Scope != nil {
		word(r.Scope.Name)
	}
	for _, side := range [][]check.Set{r.From, r.To} {
		names := make([]string, len(side))
		for i, s := range side {
			names[i] = s.Name()
		}
		slices.Sort(names)
		out = append(out, 1)
		for _, name := range names {
			word(name)
		}
	}
	list := func(ports []policy.Port) {
		for _, p := range ports {
			for _, n := range []uint16{p.Proto, p.SrcLo, p.SrcHi, p.DstLo, p.DstHi} {
				out = binary.LittleEndian.AppendUint16(out, n)
			}
		}
	}
	list(r.Ports)
	for _, n := range r.Named {
		out = append(out, 2)
		word(n.Via.Name())
		word(n.To.Name)
		list(n.Ports)
	}
	return string(out)
}

// lowered is a set as the switch would have it.
func (c *comparison) lowered(s check.Set) *policy.Set {
	out := c.sets[s]
	if out == nil {
		out = lower.Set(s)
		c.sets[s] = out
	}
	return out
}

// meet tells whether a connection may be of both a rule and a region.
func (c *comparison) meet(r, region *check.Rule) bool {
	return portsOverlap(r.AllPorts(), region.AllPorts()) && c.touch(r.From, regionEnd{region, false}) && c.touch(r.To, regionEnd{region, true})
}

// regionEnd is one end of a changed rule.
type regionEnd struct {
	rule *check.Rule
	to   bool
}

func (e regionEnd) sets() []check.Set {
	if e.to {
		return e.rule.To
	}
	return e.rule.From
}

// touch tells whether somebody may be in one of some sets and at an end. Each
// set is held against an end once.
func (c *comparison) touch(sets []check.Set, end regionEnd) bool {
	known := c.touching[end]
	if known == nil {
		known = map[check.Set]bool{}
		c.touching[end] = known
	}
	return slices.ContainsFunc(sets, func(x check.Set) bool {
		touches, asked := known[x]
		if !asked {
			touches = x.Any || slices.ContainsFunc(end.sets(), func(y check.Set) bool { return y.Any || overlapping(c.lowered(x), c.lowered(y)) })
			known[x] = touches
		}
		return touches
	})
}
