package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/worlds"
)

// listAt is how many questions the list is asked of a policy: what it takes
// grows with the rules.
const listAt = 10_000_000

// asTables holds list and tables against eval: verdict and rule.
func (m *meanings) asTables() string {
	every := 1 + len(m.probes)*len(m.p.Rules)/listAt
	for i, q := range m.probes {
		rule, verdict := m.tables.Decide(q.from, q.to, q.flow)
		if problem := m.differs(q, "tables", rule, verdict); problem != "" {
			return problem
		}
		if i%every == 0 {
			rule, verdict = m.tables.List(q.from, q.to, q.flow)
			if problem := m.differs(q, "list", rule, verdict); problem != "" {
				return problem
			}
		}
	}
	return ""
}

func (m *meanings) differs(q probe, who string, rule policy.RuleID, verdict policy.Verdict) string {
	if m.allow[q] == (verdict == policy.Allow) && m.tables.Name(rule) == m.rule[q] {
		return ""
	}
	return fmt.Sprintf("%s: meant %s, %s say %v by %q", m.say(q), m.word(q), who, verdict, m.tables.Name(rule))
}

// asSwitch holds the walk against eval: where a frame ends, why, by which rule,
// what the rules have counted, and what a trace says is nearest.
func (m *meanings) asSwitch() string {
	b, err := newBox(m.trial, m.tables)
	if err != nil {
		return err.Error()
	}
	defer b.close()
	asked, refused := m.packets()
	want := make([]uint64, len(m.tables.Rules.Rules)+1)
	problem := ""
	note := func(format string, args ...any) {
		if problem == "" {
			problem = fmt.Sprintf(format, args...)
		}
	}
	denied := 0
	err = b.run(asked, func(q probe, f *packet.Frame) {
		egress, reason, rule := b.expected(q, m.allow[q], m.rule[q])
		if got := m.named(f); f.Egress != egress || f.Reason != reason || got != rule {
			note("%s: meant %s, the switch says port %d, %s, by %q, not port %d, %s, by %q", m.say(q), m.word(q), f.Egress, f.Reason, got, egress, reason, rule)
		}
		if reason != drop.ICMPUnmatched {
			want[min(int(f.Rule-1), len(want)-1)]++ // 0 - 1 is beyond all: the default
		}
	})
	if err != nil {
		return err.Error()
	}
	if got := b.worker.Counters.Rules; problem == "" && !slices.Equal(got, want) {
		note("the rules' counters are %v, not %v", got, want)
	}
	for _, q := range asked {
		if _, reason, _ := b.expected(q, m.allow[q], m.rule[q]); reason == drop.NoRule && len(m.p.Rules) < 2000 {
			if denied++; denied%20 == 0 {
				near, err := b.explain(q)
				if want := m.tables.Nearest(q.from, q.to, q.flow); err != nil || near != want {
					note("%s: the nearest is %q, a trace says %q (%v)", m.say(q), want, near, err)
				}
			}
		}
	}
	err = b.run(refused, func(q probe, f *packet.Frame) {
		if f.Egress != packet.NoPort {
			note("%s: the switch sends it by port %d, and must not whatever the policy says", m.say(q), f.Egress)
		}
	})
	if err != nil {
		return err.Error()
	}
	return problem
}

func (m *meanings) named(f *packet.Frame) string {
	if f.Rule == 0 {
		return ""
	}
	return m.tables.Name(policy.RuleID(f.Rule - 1))
}

// inMemory holds all but the kernel against eval.
func inMemory(x *trial) string {
	m, err := x.meant()
	if err != nil {
		return err.Error()
	}
	if problem := m.asTables(); problem != "" {
		return problem
	}
	return m.asSwitch()
}

// scale is how much of everything a run has: a quick run's, or the long one's.
func scale(quick, thorough int) int {
	if long {
		return thorough
	}
	return quick / slower
}

// Everything says what eval says, in small worlds, where all rules meet.
func TestEverythingMeansTheSame(t *testing.T) {
	questions, allowed := 0, 0
	for _, seed := range seeds(t, scale(200, 2000)) {
		x := newTrial(t, seed, worlds.Small, 14, 300)
		x.hold(t, inMemory)
		questions += len(x.probes)
		allowed += x.allowed
	}
	t.Logf("%d questions, %d allowed", questions, allowed)
	if os.Getenv("BULKHEAD_SEED") == "" && (allowed < questions/20 || allowed > questions*19/20) {
		t.Errorf("%d of %d allowed: they prove little", allowed, questions)
	}
}

// Everything says what eval says, from one rule to 70,000.
func TestEverythingMeansTheSameAtEverySize(t *testing.T) {
	for _, rules := range []int{1, 10, 100, 1_000, 10_000, 70_000} {
		t.Run(fmt.Sprintf("rules=%d", rules), func(t *testing.T) {
			if rules > 10_000 && slower > 1 && !long {
				t.Skip("the race detector is on: BULKHEAD_LONG=1 asks all the same; without it make test-unit does")
			}
			for _, seed := range seeds(t, max(1, min(10, 1000/rules))) {
				x := newTrial(t, seed, func(*rand.Rand) worlds.Size { return worlds.Large(rules) }, scale(200, 1000), scale(4_000, 200_000))
				x.hold(t, inMemory)
				asked, refused := x.packets()
				t.Logf("%d questions, %d allowed; %d as packets, %d refused ones", len(x.probes), x.allowed, len(asked), len(refused))
			}
		})
	}
}
