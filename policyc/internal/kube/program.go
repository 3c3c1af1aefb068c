package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
)

// Program is a cluster's policies in the terms of the language.
type Program struct {
	Sets  []Set
	Rules []Rule
	// Endpoints are the Pods and nodes of the manifests.
	Endpoints []Endpoint
	// NoPolicy: the manifests have none, so everything is allowed.
	NoPolicy bool
}

// Set is a service, by conditions on labels, or a network, by blocks.
type Set struct {
	Name string
	hosts
}

// Rule is a rule of the language, of one direction. From and To name sets, any
// or host.
type Rule struct {
	Name      string
	Tier      string
	Priority  int
	Direction Direction
	Verdict   string
	From, To  []string
	Ports     []string
}

// Endpoint is a Pod, or a host: a node, or a Pod on its network.
type Endpoint struct {
	Name    string // pod:NAMESPACE/NAME, node:NAME
	Host    bool
	Several bool              // replicas of a workload
	Labels  map[string]string // none of a host
	Addrs   []string
}

// builder gives sets and rules their names.
type builder struct {
	p     Program
	sets  map[string]string // content to name
	names map[string]bool
	rules map[string]bool
}

// sort puts services before networks, each by name.
func (b *builder) sort() {
	slices.SortFunc(b.p.Sets, func(x, y Set) int {
		return cmp.Or(cmp.Compare(len(x.in), 0)-cmp.Compare(len(y.in), 0), cmp.Compare(x.Name, y.Name))
	})
}

// add writes a clause as rules: one, and one more for each number that a named
// port has.
func (b *builder) add(tier string, priority int, d Direction, c clause) {
	var kinds [][]policy.Requirement
	words := map[string][]string{}
	for _, p := range c.ports {
		key := content(hosts{need: p.need})
		if words[key] == nil {
			kinds = append(kinds, p.need)
		}
		words[key] = append(words[key], p.word())
	}
	for _, need := range kinds {
		self, peers := []hosts{c.self}, c.peers
		if d == Ingress {
			self = narrow(self, need)
		} else {
			peers = narrow(peers, need)
		}
		if len(self) == 0 || len(peers) == 0 {
			continue
		}
		r := Rule{Tier: tier, Priority: priority, Direction: d, Verdict: c.verdict, Ports: sorted(words[content(hosts{need: need})])}
		r.From, r.To = b.setNames(peers), b.setNames(self)
		if d == Egress {
			r.From, r.To = r.To, r.From
		}
		r.Name = unique(b.rules, cut(c.name, maxName))
		b.p.Rules = append(b.p.Rules, r)
	}
}

// narrow keeps those of whom conditions are met.
func narrow(list []hosts, need []policy.Requirement) []hosts {
	if len(need) == 0 {
		return list
	}
	both, _ := meetHosts(list, []hosts{pods(need...)})
	return both
}

// setNames names sets, each content once.
func (b *builder) setNames(list []hosts) []string {
	var out []string
	for _, h := range list {
		if h.any {
			return []string{"any"}
		}
		key := content(h)
		if b.sets[key] == "" {
			b.sets[key] = unique(b.names, cut(describe(h), maxName))
			b.p.Sets = append(b.p.Sets, Set{b.sets[key], h})
		}
		if !slices.Contains(out, b.sets[key]) {
			out = append(out, b.sets[key])
		}
	}
	return out
}

func content(h hosts) string { return fmt.Sprintf("%q %v %v", h.need, h.in, h.out) }

// maxName is what a name may have, less room for a number behind it.
const maxName = 120

func cut(s string, n int) string { return s[:min(len(s), n)] }

// unique numbers a name that is taken.
func unique(taken map[string]bool, name string) string {
	out := name
	for i := 2; taken[out]; i++ {
		out = fmt.Sprintf("%s-%d", name, i)
	}
	taken[out] = true
	return out
}

// describe makes a name of what a set holds: pods.x.tier-web.
func describe(h hosts) string {
	if h.in != nil {
		words := []string{"net"}
		for _, p := range h.in {
			words = append(words, p.String())
		}
		if h.out != nil {
			words = append(words, "but", fmt.Sprint(len(h.out)))
		}
		return plain(strings.Join(words, "-"))
	}
	words := []string{"pods"}
	for _, r := range h.need {
		key := strings.TrimSuffix(r.Key, "/"+nameLabel)
		switch {
		case r.Key == ownNamespace && r.Op == policy.OpExists:
		case r.Key == ownNamespace && r.Op == policy.OpIn:
			words = append(words, strings.Join(r.Values, "-"))
		default:
			of := map[policy.Op]string{policy.OpIn: "", policy.OpNotIn: "not-", policy.OpExists: "has-", policy.OpNotExists: "no-"}[r.Op]
			words = append(words, strings.Trim(of+key+"-"+strings.Join(r.Values, "-"), "-"))
		}
	}
	return plain(strings.Join(words, "."))
}

// plain replaces what a name cannot have.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, s)
}
