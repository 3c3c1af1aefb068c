package kept

import (
	"encoding/binary"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/lower"
)

// Fresh is what was compiled of changes: the checked policy, its rules and which
// source states each, and what there was to say.
type Fresh struct {
	Policy  *check.Policy
	Rules   *policy.Ruleset
	Of      []*diag.Source
	Sources []*diag.Source // of the changes, in their order
	Found   *diag.List
}

// Merge puts a kept build and what was compiled of the changes since together: the
// ruleset that a whole build would make, but for its hash, and how many of its rules
// were kept. nil: everything is to be compiled anew.
func (b *Build) Merge(changes []Change, fresh *Fresh) (rs *policy.Ruleset, keptRules int) {
	if fresh.Found.Failed() || len(fresh.Policy.Tests) > 0 || !eachInTable(fresh.Policy, fresh.Rules) {
		return nil, 0
	}
	old, err := b.old()
	if err != nil || b.Of != nil && len(b.Of) != 4*len(old.Rules) {
		return nil, 0
	}
	m := &merger{b: b, old: old, fresh: fresh, changes: changes}
	m.split()
	if m.namedTwice() || m.unused() || m.answers() || m.tooManySources() {
		return nil, 0
	}
	m.sets()
	return m.rules(), len(m.stay)
}

// merger is a merge in hand.
type merger struct {
	b       *Build
	old     *policy.Ruleset
	fresh   *Fresh
	changes []Change

	stay, gone []int32 // rules of old
	came       []int32 // rules of fresh: not those that heads state, as tiers do
	files      map[*diag.Source]int
	out        policy.Ruleset
}

// split finds which rules of the kept table stay, by where they stand, and moves
// those behind what has changed to their lines.
func (m *merger) split() {
	of := make([]*Change, len(m.b.Files))
	for i := range m.changes {
		of[m.changes[i].file] = &m.changes[i]
	}
	for i := range m.old.Rules {
		r, c := &m.old.Rules[i], of[m.b.numberOf(i)]
		switch line := int(r.Line) - c.head; {
		case line <= 0: // a tier's: it is compiled anew with the head
		case line <= c.before:
			m.stay = append(m.stay, int32(i))
		case line <= c.before+c.gone:
			m.gone = append(m.gone, int32(i))
		default:
			r.Line += uint32(c.came - c.gone)
			m.stay = append(m.stay, int32(i))
		}
	}
	m.files = map[*diag.Source]int{}
	for i, src := range m.fresh.Sources {
		m.files[src] = i
	}
	for i := range m.fresh.Rules.Rules {
		if c := &m.changes[m.files[m.fresh.Of[i]]]; int(m.fresh.Rules.Rules[i].Line) > c.head {
			m.fresh.Rules.Rules[i].Line += uint32(c.before)
			m.came = append(m.came, int32(i))
		}
	}
}

// namedTwice tells whether a rule that came has the name of one that stays.
func (m *merger) namedTwice() bool {
	names := map[string]bool{}
	for i := range m.fresh.Rules.Rules {
		names[m.fresh.Rules.Rules[i].Name] = true
	}
	return slices.ContainsFunc(m.stay, func(i int32) bool { return names[m.old.Rules[i].Name] })
}

// unused tells whether a finding may be right: of those that nothing uses a name, one
// is not that what stays uses.
func (m *merger) unused() bool {
	if len(m.fresh.Found.All) == 0 {
		return false
	}
	used := map[string]bool{}
	for s, named := range m.named() {
		used[m.old.Sets[s].Name] = named
	}
	for _, name := range m.b.Asked {
		used[name] = true
	}
	vars := slices.ContainsFunc(m.changes, func(c Change) bool { return c.vars })
	return slices.ContainsFunc(m.fresh.Found.All, func(d diag.Diagnostic) bool {
		if d.Unused != "" && d.Unused[0] == '$' {
			return vars // else what used all of them then does so now
		}
		return d.Unused == "" || !used[d.Unused]
	})
}

// tooManySources tells whether there may be more ranges of source ports than a policy
// can have; for who adds none there are not.
func (m *merger) tooManySources() bool {
	ranges := map[[2]uint16]bool{}
	note := func(r *policy.Rule) {
		for _, p := range r.Ports {
			if p.SrcLo > 0 || p.SrcHi < 65535 {
				ranges[[2]uint16{p.SrcLo, p.SrcHi}] = true
			}
		}
	}
	for _, i := range m.came {
		note(&m.fresh.Rules.Rules[i])
	}
	if len(ranges) == 0 {
		return false
	}
	for _, i := range m.stay {
		note(&m.old.Rules[i])
	}
	return len(ranges) >= check.MaxSources // the whole range is one, too, where it is written
}

// named tells which sets of the kept table the rules that stay name.
func (m *merger) named() []bool {
	named := make([]bool, len(m.old.Sets))
	named[policy.Any] = true
	for _, i := range m.stay {
		r := &m.old.Rules[i]
		for _, list := range [2][]policy.SetID{r.From, r.To} {
			for _, s := range list {
				named[s] = true
			}
		}
	}
	beside := map[string]bool{}
	for i := range m.changes {
		for _, name := range m.changes[i].beside {
			beside[name] = true
		}
	}
	for i := range m.old.Sets {
		named[i] = named[i] || beside[m.old.Sets[i].Name]
	}
	return named
}

// sets numbers the sets that rules name now, as package lower does, and the rules
// with them.
func (m *merger) sets() {
	named := m.named()
	olds, news := make([]policy.SetID, len(m.old.Sets)), make([]policy.SetID, len(m.fresh.Rules.Sets))
	for i, k := 0, 0; i < len(m.old.Sets) || k < len(news); {
		order := -1
		if i == len(m.old.Sets) {
			order = 1
		} else if k < len(news) {
			order = policy.CompareSet(&m.old.Sets[i], &m.fresh.Rules.Sets[k])
		}
		id := policy.SetID(len(m.out.Sets))
		switch {
		case order < 0 && !named[i]:
			i++
			continue
		case order < 0:
			m.out.Sets = append(m.out.Sets, m.old.Sets[i])
			olds[i] = id
			i++
			continue
		case order == 0:
			olds[i] = id
			i++
		}
		m.out.Sets = append(m.out.Sets, m.fresh.Rules.Sets[k])
		news[k] = id
		k++
	}
	for _, i := range m.stay {
		renumber(&m.old.Rules[i], olds)
	}
	for i := range m.fresh.Rules.Rules {
		r := &m.fresh.Rules.Rules[i]
		r.From, r.To = slices.Clone(r.From), slices.Clone(r.To) // others have them, too
		renumber(r, news)
	}
}

func renumber(r *policy.Rule, to []policy.SetID) {
	for _, list := range [2][]policy.SetID{r.From, r.To} {
		for i, s := range list {
			list[i] = to[s]
		}
	}
}

// rules merges the two orders, in the memory of the kept table, and notes which file
// states each rule.
func (m *merger) rules() *policy.Ruleset {
	rules, fresh := m.old.Rules, m.fresh.Rules.Rules
	of := make([]uint32, 0, len(m.stay)+len(fresh))
	for at, i := range m.stay { // at most as many stand before as did
		rules[at] = rules[i]
		of = append(of, m.b.numberOf(int(i)))
	}
	rules = slices.Grow(rules[:len(m.stay)], len(fresh))[:len(m.stay)+len(fresh)]
	of = of[:len(rules)]
	stays := len(m.stay)
	for k := len(fresh); k > 0; { // from the end, where there is room
		if at := stays + k - 1; stays > 0 && lower.Compare(&rules[stays-1], &fresh[k-1]) > 0 {
			stays--
			rules[at], of[at] = rules[stays], of[stays]
		} else {
			k--
			rules[at], of[at] = fresh[k], uint32(m.changes[m.files[m.fresh.Of[k]]].file)
		}
	}
	m.out.Rules = rules
	m.renew(of)
	return &m.out
}

// renew makes the build that of the merge, but for its table.
func (m *merger) renew(of []uint32) {
	if m.b.Of != nil {
		m.b.Of = m.b.Of[:0]
		for _, file := range of {
			m.b.Of = binary.LittleEndian.AppendUint32(m.b.Of, file)
		}
	}
	for _, r := range m.fresh.Policy.Rules {
		c := &m.changes[m.files[r.At.Src]]
		c.now.beside(r, c.moved)
	}
	for _, c := range m.changes {
		m.b.Files[c.file] = c.now
	}
}

// Renew makes the build that of its merge, whose table this is.
func (b *Build) Renew(table []byte) { b.table = table }
