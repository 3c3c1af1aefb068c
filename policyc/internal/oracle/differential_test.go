package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/worlds"
)

// listAt is how many questions the list is asked of a policy: what it takes
// grows with the rules.
const listAt = 10_000_000

// asTables holds list and tables against eval: verdict, rule, and the rule under
// audit that would have denied.
func (m *meanings) asTables() string {
	every := 1 + len(m.probes)*len(m.about.p.Rules)/listAt
	for i, q := range m.probes {
		rule, verdict := m.tables.Decide(q.from, q.to, q.flow)
		audit, found := m.tables.Audit(q.from, q.to, q.flow)
		if problem := m.differs(q, "tables", rule, verdict, audit, found); problem != "" {
			return problem
		}
		if marks, v := m.tables.Engine.Marks(rule), m.said[q]; v.by != nil && (v.by.Log != (marks&classify.Logged != 0) || v.stateless() != (marks&classify.Stateless != 0)) {
			return fmt.Sprintf("%s: meant %s, with log %v and stateless %v; the tables have marks %b", m.say(q), v, v.by.Log, v.stateless(), marks)
		}
		if i%every == 0 {
			rule, verdict = m.tables.List(q.from, q.to, q.flow)
			audit, found = m.tables.ListAudit(q.from, q.to, q.flow)
			if problem := m.differs(q, "list", rule, verdict, audit, found); problem != "" {
				return problem
			}
		}
	}
	return ""
}

func (m *meanings) differs(q probe, who string, rule policy.RuleID, said policy.Verdict, audit policy.RuleID, found bool) string {
	if !found {
		audit = policy.NoRule
	}
	v := m.said[q]
	if v.allow == (said == policy.Allow) && m.tables.Name(rule) == nameOf(v.by) && m.tables.Name(audit) == nameOf(v.audit) {
		return ""
	}
	return fmt.Sprintf("%s: at %d meant %s, %s say %v by %q, %q would deny", m.say(q), m.now, v, who, said, m.tables.Name(rule), m.tables.Name(audit))
}

// inMemory holds all but the kernel against eval, at one time after the other:
// sessions that are open at the first meet the policy of the second.
func inMemory(x *trial) string {
	x.allowed = 0
	var b *box
	for i, now := range x.times {
		m, err := x.meant(now)
		if err != nil {
			return err.Error()
		}
		if problem := m.asTables(); problem != "" {
			return problem
		}
		if b == nil {
			if b, err = newBox(x); err != nil {
				return err.Error()
			}
			defer b.close()
		}
		if err = b.goBy(m.tables); err != nil {
			return err.Error()
		}
		if problem := m.asSwitch(b, i == len(x.times)-1); problem != "" {
			return problem
		}
	}
	return ""
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
		questions += len(x.probes) * len(x.times)
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
				t.Logf("%d questions, %d allowed; %d as packets, %d refused ones", len(x.probes)*len(x.times), x.allowed, len(asked), len(refused))
			}
		})
	}
}
