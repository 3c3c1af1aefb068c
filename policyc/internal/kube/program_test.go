package kube

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/diag"
)

// meant is a program read back by the language's own reader: package eval says
// what it means.
type meant struct {
	policy *compile.Policy
	labels map[*Pod]map[string]string // asked for before
}

func meaningOf(t testing.TB, p *Program) *meant {
	t.Helper()
	policy, findings := compile.Read([]compile.Source{{Name: "imported.toml", Text: Write(p)}})
	if findings.Failed() {
		var out strings.Builder
		_ = findings.Render(&out)
		t.Fatalf("what was imported is no policy:\n%s\n%s", out.String(), Write(p))
	}
	return &meant{policy, map[*Pod]map[string]string{}}
}

var protocols = map[corev1.Protocol]uint8{"TCP": 6, "UDP": 17, "SCTP": 132, "ICMP": 1}

func (m *meant) allows(c *Cluster, from, to End, f Flow) bool {
	allow, _ := eval.Decide(m.policy, m.subject(c, from, to), m.subject(c, to, from), eval.Flow{Proto: protocols[f.Proto], Dst: f.Port})
	return allow
}

// subject shows an end as the switch does: a Pod on the host's network is the
// host.
func (m *meant) subject(c *Cluster, e, other End) compile.Subject {
	s := compile.Subject{Addr: e.Addr}
	switch {
	case e.Node || isNode(e, other):
		s.Labels = map[string]string{policy.HostLabel: policy.HostValue}
	case isEndpoint(e):
		if m.labels[e.Pod] == nil {
			m.labels[e.Pod] = EndpointLabels(e.Pod, c.namespace(e.Pod.Namespace))
		}
		s.Labels = m.labels[e.Pod]
	}
	return s
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

// What the API's documentation says is what the translation says.
func TestStatementsTranslated(t *testing.T) {
	for _, s := range append(slices.Clone(statements), ties...) {
		t.Run(s.name, func(t *testing.T) {
			c := cluster(t, nine+s.yaml)
			p := translated(t, c)
			m := meaningOf(t, p)
			for _, text := range s.asked {
				q := ask(t, c, text)
				if q.from.Pod != nil && q.from.Pod == q.to.Pod {
					continue // never crosses a switch
				}
				if got := m.allows(c, q.from, q.to, q.flow); got != q.want {
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
		if diff := differs(c, meaningOf(t, p)); diff != "" {
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
func differs(c *Cluster, m *meant) string {
	ends := []End{{Addr: netip.MustParseAddr("203.0.113.5")}, {Addr: netip.MustParseAddr("203.0.113.64")}, {Addr: netip.MustParseAddr("192.168.0.9")}, {Node: true, Addr: netip.MustParseAddr("192.168.0.1")}, {Addr: netip.MustParseAddr("2001:db8::7")}}
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
				if want, got := c.Allowed(from, to, f), m.allows(c, from, to, f); want != got {
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
