package lower

import (
	"fmt"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// halves writes a rule as rules without a scope: one where it speaks alike for
// both ends, else one for each end that it speaks for.
func halves(r *check.Rule) []*check.Rule {
	if r.Scope == nil {
		return []*check.Rule{r}
	}
	egress, ingress := *r, *r
	egress.Scope, egress.Direction, egress.From = nil, policy.Egress, within(r.Scope, r.From)
	ingress.Scope, ingress.Direction, ingress.To = nil, policy.Ingress, within(r.Scope, r.To)
	ingress.Named = slices.DeleteFunc(slices.Clone(r.Named), func(n check.NamedPorts) bool { return !slices.Contains(ingress.To, n.Via) })
	if r.Direction == policy.BothEnds && slices.Equal(egress.From, r.From) && slices.Equal(ingress.To, r.To) {
		egress.Direction = policy.BothEnds
		return []*check.Rule{&egress}
	}
	var out []*check.Rule
	if r.Direction.SpeaksAt(policy.Egress) && len(egress.From) > 0 {
		out = append(out, &egress)
	}
	if r.Direction.SpeaksAt(policy.Ingress) && len(ingress.To) > 0 {
		out = append(out, &ingress)
	}
	return out
}

// within leaves the sets of a scope; any becomes the scope, which is all that
// is left then: the others are in it.
func within(scope *check.Service, sets []check.Set) []check.Set {
	if slices.ContainsFunc(sets, func(s check.Set) bool { return s.Any }) {
		return []check.Set{{Service: scope}}
	}
	return slices.DeleteFunc(slices.Clone(sets), func(s check.Set) bool { return s.Service == nil || s.Service.Scope != scope })
}

// parts writes a rule as rules without named ports: one for the ports that hold
// at every destination, and one more for each list of ports that some of them
// have under the rule's names.
func parts(r *check.Rule) []*check.Rule {
	if len(r.Named) == 0 {
		return []*check.Rule{r}
	}
	var out []*check.Rule
	if len(r.Ports) > 0 {
		whole := *r
		whole.Named = nil
		out = append(out, &whole)
	}
	ports := map[*check.Service][]policy.Port{} // of all the names together
	for _, n := range r.Named {
		ports[n.To] = append(ports[n.To], n.Ports...)
	}
	at := map[string]*check.Rule{}
	for _, n := range r.Named {
		list := merge(ports[n.To])
		key := fmt.Sprint(list)
		if at[key] == nil {
			part := *r
			part.Named, part.To, part.Ports = nil, nil, list
			at[key] = &part
			out = append(out, &part)
		}
		if to := (check.Set{Service: n.To}); !slices.Contains(at[key].To, to) {
			at[key].To = append(at[key].To, to)
		}
	}
	return out
}

// eachPlain calls f with each rule of a policy, those of its tiers among them,
// written as rules without a scope and without names of ports.
func eachPlain(p *check.Policy, f func(*check.Rule)) {
	for _, r := range slices.Concat(p.Rules, p.Defaults[:]) {
		if r != nil {
			plain(r, f)
		}
	}
}

// plain calls f with what a rule is written as.
func plain(r *check.Rule, f func(*check.Rule)) {
	if r.Scope == nil && len(r.Named) == 0 {
		f(r) // most are
		return
	}
	for _, half := range halves(r) {
		for _, part := range parts(half) {
			f(part)
		}
	}
}

// Beside are the names of the sets that a rule names beside any: they are among the
// sets of a table, though no rule of it has them.
func Beside(r *check.Rule) (names []string) {
	plain(r, func(r *check.Rule) {
		for _, side := range [2][]check.Set{r.From, r.To} {
			if len(side) < 2 || !slices.ContainsFunc(side, func(s check.Set) bool { return s.Any }) {
				continue
			}
			for _, s := range side {
				if !s.Any {
					names = append(names, s.Name())
				}
			}
		}
	})
	return names
}
