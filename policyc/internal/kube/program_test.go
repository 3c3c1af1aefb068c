package kube

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
)

// allows reads a program as the language means it: a connection needs both
// directions; in each the tiers are asked in order, in a tier the lowest
// priority first, where a deny counts before an allow and that before a pass.
func (p *Program) allows(c *Cluster, from, to End, f Flow) bool {
	return p.chain(c, Egress, from, to, f) && p.chain(c, Ingress, from, to, f)
}

func (p *Program) chain(c *Cluster, d Direction, from, to End, f Flow) bool {
	for _, tier := range []string{"platform", "security", "application", "baseline"} {
		verdict, at := "", 0
		for _, r := range p.Rules {
			if r.Tier != tier || r.Direction != d || !p.in(c, r.From, from) || !p.in(c, r.To, to) || !onPort(r.Ports, f) {
				continue
			}
			if verdict == "" || r.Priority < at || r.Priority == at && r.Verdict == stricter(verdict, r.Verdict) {
				verdict, at = r.Verdict, r.Priority
			}
		}
		if verdict == "allow" || verdict == "deny" {
			return verdict == "allow"
		}
	}
	return false
}

func (p *Program) in(c *Cluster, names []string, e End) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		switch name {
		case "any":
			return true
		case "host":
			return e.Node
		}
		s := p.Sets[slices.IndexFunc(p.Sets, func(s Set) bool { return s.Name == name })]
		if s.in != nil {
			holds := func(b netip.Prefix) bool { return b.Contains(e.Addr) }
			return slices.ContainsFunc(s.in, holds) && !slices.ContainsFunc(s.out, holds)
		}
		return isEndpoint(e) && meets(s.need, labelsOf(c, e.Pod))
	})
}

// made are the labels of Pods that were asked for before.
var made = map[*Pod]map[string]string{}

func labelsOf(c *Cluster, p *Pod) map[string]string {
	if made[p] == nil {
		made[p] = EndpointLabels(p, c.namespace(p.Namespace))
	}
	return made[p]
}

func meets(need []policy.Requirement, labels map[string]string) bool {
	for _, r := range need {
		value, has := labels[r.Key]
		listed := has && slices.Contains(r.Values, value)
		if met := [...]bool{policy.OpIn: listed, policy.OpNotIn: !listed, policy.OpExists: has, policy.OpNotExists: !has}; !met[r.Op] {
			return false
		}
	}
	return len(need) > 0
}

func onPort(words []string, f Flow) bool {
	return slices.ContainsFunc(words, func(word string) bool {
		proto, numbers, some := strings.Cut(word, "/")
		if proto != "any" && proto != strings.ToLower(string(f.Proto)) {
			return false
		}
		low, high, isRange := strings.Cut(numbers, "-")
		if !isRange {
			high = low
		}
		lo, _ := strconv.Atoi(low)
		hi, _ := strconv.Atoi(high)
		return !some || lo <= int(f.Port) && int(f.Port) <= hi
	})
}

func translated(t testing.TB, c *Cluster) *Program {
	t.Helper()
	var list diag.List
	p := Translate(c, Options{}, &list)
	if list.Failed() {
		var out strings.Builder
		_ = list.Render(&out)
		t.Fatalf("it cannot be said:\n%s", out.String())
	}
	return p
}

// asNode shows an end as the switch does: a Pod on the host's network is the
// host.
func asNode(e, other End) End {
	if isNode(e, other) {
		e.Node = true
	}
	return e
}

// What the API's documentation says is what the translation says.
func TestStatementsTranslated(t *testing.T) {
	for _, s := range append(slices.Clone(statements), ties...) {
		t.Run(s.name, func(t *testing.T) {
			c := cluster(t, nine+s.yaml)
			p := translated(t, c)
			for _, text := range s.asked {
				q := ask(t, c, text)
				if q.from.Pod != nil && q.from.Pod == q.to.Pod {
					continue // never crosses a switch
				}
				if got := p.allows(c, asNode(q.from, q.to), asNode(q.to, q.from), q.flow); got != q.want {
					t.Errorf("%s, got %v in\n%s", text, got, Write(p))
				}
			}
		})
	}
}

// Random policies mean after the translation what they meant before.
func TestTranslationKeepsTheMeaning(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := &generator{rand.New(rand.NewPCG(seed, 1))}
	const rounds = 40
	refused := 0
	for range rounds {
		text := g.policies()
		c := cluster(t, nine+mixed+node+text)
		var list diag.List
		p := Translate(c, Options{}, &list)
		if list.Failed() {
			refused++ // a tie over Pods by address: it says so, and that is right
			onlyTies(t, &list)
			continue
		}
		if diff := differs(c, p); diff != "" {
			t.Fatalf("%s\n%s\n%s", diff, text, Write(p))
		}
	}
	if refused > rounds/2 {
		t.Errorf("%d of %d were refused", refused, rounds)
	}
}

func onlyTies(t *testing.T, list *diag.List) {
	t.Helper()
	for i := range list.All {
		if d := &list.All[i]; d.Severity == diag.Error && !strings.Contains(d.Message, "are of one priority, and what they share are Pods by address") {
			t.Errorf("refused: %s", d.Line())
		}
	}
}

// differs compares both meanings over all Pods and a few addresses.
func differs(c *Cluster, p *Program) string {
	ends := []End{{Addr: netip.MustParseAddr("203.0.113.5")}, {Addr: netip.MustParseAddr("203.0.113.64")}, {Addr: netip.MustParseAddr("192.168.0.9")}, {Addr: netip.MustParseAddr("2001:db8::7")}}
	for _, pod := range c.Pods {
		for _, a := range pod.Addrs {
			ends = append(ends, End{Pod: pod, Addr: a})
		}
	}
	flows := []Flow{{"TCP", 80}, {"TCP", 81}, {"UDP", 80}, {"UDP", 81}, {"SCTP", 80}, {"SCTP", 81}, {"TCP", 8080}, {"ICMP", 0}}
	for _, from := range ends {
		for _, to := range ends {
			if from.Addr.Is4() != to.Addr.Is4() || from.Pod != nil && from.Pod == to.Pod {
				continue
			}
			for _, f := range flows {
				if want, got := c.Allowed(from, to, f), p.allows(c, from, to, f); want != got {
					return fmt.Sprintf("%v -> %v %v: Kubernetes says %v, the translation %v", who(from), who(to), f, want, got)
				}
			}
		}
	}
	return ""
}

func who(e End) string {
	if e.Pod != nil {
		return e.Pod.Namespace + "/" + e.Pod.Name + " " + e.Addr.String()
	}
	return e.Addr.String()
}
