package analyze_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
)

// Each cell says what the whole policy says to its witness, verdict and rule.
func TestCellsSayWhatEvalSays(t *testing.T) {
	cells := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := must(t, drawPolicy(t)), must(t, drawPolicy(t))
		s, err := analyze.New(a, b)
		if err != nil {
			t.Fatal(err)
		}
		s.Cells(func(w analyze.Packet, said [2]analyze.Said) {
			cells++
			for i, p := range []*check.Policy{a, b} {
				if allow, by := eval.Decide(p, w.From, w.To, w.Flow); allow != said[i].Allow || by != said[i].By {
					t.Fatalf("%v: the cell says %v, eval %v", w, said[i], allow)
				}
			}
		})
	})
	if cells < 10000 {
		t.Errorf("only %d cells: they prove little", cells)
	}
}

func diff(t interface{ Fatal(...any) }, a, b *check.Policy) *analyze.Difference {
	d, err := analyze.Diff(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What diff prints, read back word by word, is exactly what differs: for
// connections of people that it has not heard of.
func TestDiffIsWhatDiffers(t *testing.T) {
	differ := 0
	rapid.Check(t, func(t *rapid.T) {
		texts := []string{drawPolicy(t), drawPolicy(t)}
		a, b := must(t, texts[0]), must(t, texts[1])
		d := diff(t, a, b)
		words := reader{a, b}
		for _, p := range probes(t, a, b) {
			was, is := p.allowed(a), p.allowed(b)
			if was != is {
				differ++
			}
			for _, c := range []struct {
				changes []analyze.Change
				want    bool
			}{{d.Allowed, is && !was}, {d.Denied, was && !is}, {d.Sessions, was && is && p.stateless(a) != p.stateless(b)}} {
				told := slices.ContainsFunc(c.changes, func(c analyze.Change) bool {
					return c.Holds(p.flow, namedBy(a, b)) && words.in(c.From, p.from) && words.in(c.To, p.to)
				})
				if told != c.want {
					t.Fatalf("%+v: was %v, is %v, told %v\n%+v\n%s\n%s", p, was, is, told, c.changes, texts[0], texts[1])
				}
			}
		}
	})
	if differ < 100 {
		t.Errorf("only %d connections differed: they prove little", differ)
	}
}

// namedBy tells whether a rule names a protocol, other than beside any.
func namedBy(policies ...*check.Policy) func(uint16) bool {
	return func(proto uint16) bool {
		for _, p := range policies {
			for _, r := range p.Rules {
				is := func(n uint16) bool {
					return slices.ContainsFunc(r.AllPorts(), func(q policy.Port) bool { return q.Proto == n })
				}
				if is(proto) && !is(policy.AnyProto) {
					return true
				}
			}
		}
		return proto == 1 || proto == 58
	}
}

// Each witness differs as its change says.
func TestDiffWitnesses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := must(t, drawPolicy(t)), must(t, drawPolicy(t))
		d := diff(t, a, b)
		for i, changes := range [][]analyze.Change{d.Allowed, d.Denied} {
			for _, c := range changes {
				w := packet{c.Witness.From, c.Witness.To, c.Witness.Flow}
				if was, is := w.allowed(a), w.allowed(b); was == is || is != (i == 0) {
					t.Fatalf("%v: was %v, is %v", c.Witness, was, is)
				}
			}
		}
	})
}

func TestAPolicyIsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		if d := diff(t, must(t, text), must(t, text)); !d.Empty() {
			t.Fatalf("differs from itself: %+v\n%s", d, text)
		}
	})
}

func TestADenyAllowsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		more := text + "[[rules]]\nname = \"extra\"\ndeny = { from = [\"s0\"], to = [\"any\"], ports = [\"tcp/80-90\"] }\n"
		if d := diff(t, must(t, text), must(t, more)); len(d.Allowed) > 0 {
			t.Fatalf("a deny allowed %+v\n%s", d.Allowed, more)
		}
	})
}
