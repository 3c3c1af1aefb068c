package analyze_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/analyze"
)

// What is said to be reachable, by each form of the question, read back word by
// word, is what eval allows, by the rule that eval names.
func TestReachIsWhatIsAllowed(t *testing.T) {
	allowed := 0
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		p := must(t, text)
		reach := func(q analyze.Question) []analyze.Route {
			routes, err := analyze.Reach(p, q)
			if err != nil {
				t.Fatal(err)
			}
			return routes
		}
		words := reader{p, p}
		all := reach(analyze.Question{})
		for _, x := range probes(t, p) {
			x.from.Text, x.to.Text = "subject", "subject"
			allow, by := eval.Decide(p, x.from, x.to, x.flow)
			if allow {
				allowed++
			}
			for form, routes := range map[string][]analyze.Route{
				"all": all, "from": reach(analyze.Question{From: &x.from}), "to": reach(analyze.Question{To: &x.to}),
				"on":   reach(analyze.Question{Ports: []policy.Port{{Proto: uint16(x.flow.Proto), SrcLo: x.flow.Src, SrcHi: x.flow.Src, DstLo: x.flow.Dst, DstHi: x.flow.Dst}}}),
				"both": reach(analyze.Question{From: &x.from, To: &x.to}),
			} {
				told := slices.ContainsFunc(routes, func(r analyze.Route) bool {
					if w, _ := eval.Decide(p, r.Witness.From, r.Witness.To, r.Witness.Flow); !w {
						t.Fatalf("%s: %v is a witness and denied\n%s", form, r.Witness, text)
					}
					from := form == "from" || form == "both" || words.in(r.From, x.from)
					to := form == "to" || form == "both" || words.in(r.To, x.to)
					return r.Holds(x.flow, namedBy(p)) && from && to && r.Rule == by
				})
				if told != allow {
					t.Fatalf("%s: %+v is %v, told %v: %+v\n%s", form, x, allow, told, routes, text)
				}
			}
		}
	})
	if allowed < 100 {
		t.Errorf("only %d connections were allowed: they prove little", allowed)
	}
}
