package kept

import (
	"fmt"
	"slices"

	"bulkhead/dataplane/policy"
)

// answers tells whether a test could be answered otherwise: one whose two ends a
// rule holds that has come or gone. Most of the rules of a changed part are in it
// before and after, and matter to nobody.
func (m *merger) answers() bool {
	if len(m.b.Tests) == 0 {
		return false
	}
	count := map[string]int{}
	for _, i := range m.gone {
		count[meaning(m.old, i)]++
	}
	for _, i := range m.came {
		count[meaning(m.fresh.Rules, i)]--
	}
	for _, side := range []struct {
		rs   *policy.Ruleset
		list []int32
	}{{m.old, m.gone}, {m.fresh.Rules, m.came}} {
		for _, i := range side.list {
			if count[meaning(side.rs, i)] != 0 && slices.ContainsFunc(m.b.Tests, func(t test) bool { return t.heldBy(side.rs, i) }) {
				return true
			}
		}
	}
	return false
}

// meaning is all that a rule says, and not where: its sets by name, since the two
// rulesets number them each in its own way. Heads are as they were, so a name means
// what it meant.
func meaning(rs *policy.Ruleset, i int32) string {
	r := rs.Rules[i]
	from, to := namesOf(rs, r.From), namesOf(rs, r.To)
	r.From, r.To, r.File, r.Line = nil, nil, "", 0
	return fmt.Sprintf("%+v %q %q", r, from, to)
}

func namesOf(rs *policy.Ruleset, list []policy.SetID) []string {
	var out []string
	for _, s := range list {
		out = append(out, rs.Sets[s].Name)
	}
	return out
}

// heldBy tells whether a rule holds both ends of a test.
func (t *test) heldBy(rs *policy.Ruleset, i int32) bool {
	r := &rs.Rules[i]
	from := func(s policy.SetID) bool { return t.From.in(&rs.Sets[s]) }
	to := func(s policy.SetID) bool { return t.To.in(&rs.Sets[s]) }
	return slices.ContainsFunc(r.From, from) && slices.ContainsFunc(r.To, to)
}

// in tells whether somebody is in a set, as policy.Index does: an address of no
// endpoint is in no service, and an endpoint is not outside.
func (e *end) in(s *policy.Set) bool {
	switch s.Kind {
	case policy.KindService:
		return e.Endpoint && s.Selector.Selects(e.Labels)
	case policy.KindNetwork:
		return e.Addr.IsValid() && s.Contains(e.Addr)
	case policy.KindOutside:
		return !e.Endpoint && policy.CanBeOutside(e.Addr)
	}
	return true
}
