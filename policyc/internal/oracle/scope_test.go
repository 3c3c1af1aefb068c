package oracle

import (
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

// inOneScope are the statements of a world that a scope can make as well, put
// into a scope of everybody: services and rules between services or any. A
// rule that names networks or who is outside speaks for one end only where
// it is of a scope, and the early tiers are not a scope's. A host can be of no scope: the service of a label that nobody
// has stands for it.
func inOneScope(list []worlds.Statement) (without, within []worlds.Statement) {
	ends := regexp.MustCompile(`(from|to) = \[[^]]*"(n\d+|outside|east/x\d+|west/x\d+)"`)
	for _, s := range append(slices.Clone(list), worlds.Statement{Text: "[services.none]\nlabels = { none = \"1\" }\n"}) {
		switch {
		case s.Scope != "", strings.HasPrefix(s.Text, "[tiers."):
			continue
		case s.Rule && (ends.MatchString(s.Text) || strings.Contains(s.Text, `"platform"`) || strings.Contains(s.Text, `"security"`)):
			continue
		}
		s.Text = strings.ReplaceAll(s.Text, `"host"`, `"none"`)
		without = append(without, s)
		s.Scope = worlds.Everybody
		within = append(within, s)
	}
	return without, within
}

// A policy that is put into a scope of everybody, whole, says what it has said,
// by the rules of that scope.
func TestAScopeOfEverybodySaysWhatNoneSays(t *testing.T) {
	n, asked := changes{}, 0
	metamorphic(t, 14, 400, func(_ *rand.Rand, x *trial) string {
		without, within := inOneScope(x.statements)
		everybody := x.saying(within)
		everybody.people = slices.Clone(x.people)
		for i, s := range everybody.people {
			if s.Labels != nil {
				everybody.people[i].Labels = maps.Clone(s.Labels)
				everybody.people[i].Labels[worlds.EverybodyLabel] = "1"
			}
		}
		n.asked++
		if slices.ContainsFunc(without, func(s worlds.Statement) bool { return s.Rule }) {
			n.made++
		}
		plain, err := x.saying(without).about()
		if err != nil {
			return err.Error()
		}
		scoped, err := everybody.about()
		if err != nil {
			return err.Error()
		}
		for _, q := range x.probes {
			if x.people[q.from].Labels == nil || x.people[q.to].Labels == nil {
				continue // not of the scope
			}
			asked++
			was, is := plain.decide(q), scoped.decide(q)
			if was.allow != is.allow || inScope(was.by) != nameOf(is.by) || inScope(was.audit) != nameOf(is.audit) {
				return x.say(q) + ": was " + was.String() + ", is " + is.String() + " in a scope:\n" + strings.Join(worlds.Files(within), "")
			}
		}
		return ""
	})
	n.prove(t)
	t.Logf("%d questions between endpoints of the scope", asked)
}

// inScope is the name that a rule has in the scope; the default deny has none.
func inScope(r *check.Rule) string {
	if r == nil {
		return ""
	}
	return worlds.Everybody + "/" + r.Name
}
