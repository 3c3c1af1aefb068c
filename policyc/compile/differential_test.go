package compile

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/relevant"
)

// long asks for more of what is drawn, and for larger policies: an hour's
// thought instead of seconds'. BULKHEAD_LONG=1 go test ./policyc/compile
var long = os.Getenv("BULKHEAD_LONG") != ""

// many draws a hundred policies, or many more.
func many(t *testing.T, property func(*rapid.T)) {
	rounds := 1
	if long {
		rounds = 100
	}
	for range rounds {
		rapid.Check(t, property)
	}
}

func mustCompile(t interface{ Fatal(...any) }, text string) (*Policy, *policy.Ruleset) {
	var sources []Source
	for i, file := range strings.Split(text, nextFile) {
		sources = append(sources, Source{Name: fmt.Sprintf("p%d.toml", i), Text: []byte(file)})
	}
	p, findings := Check(sources)
	if findings.Failed() {
		var out strings.Builder
		_ = findings.Render(&out)
		t.Fatal(out.String() + text)
	}
	rs, _ := Compile(sources, Options{})
	return p, rs
}

// throughFile is a ruleset after it has been written and read.
func throughFile(t interface{ Fatal(...any) }, rs *policy.Ruleset) *policy.Ruleset {
	data, err := policy.Encode(rs)
	if err != nil {
		t.Fatal(err)
	}
	back, err := policy.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// The meaning (eval), the list (classify.Linear over what was written and read
// back) and the tables (identity and classify.Engine) say the same, verdict and
// rule.
func TestCompiledMeansWhatTheSourceMeans(t *testing.T) {
	asked := 0
	many(t, func(t *rapid.T) {
		w := drawWorld(t)
		text := w.text + strings.Join(w.drawRules(t), "")
		p, rs := mustCompile(t, text)
		people := drawSubjects(t)
		now := rapid.SampledFrom(seconds).Draw(t, "now")
		p = p.At(now)
		x := link(t, throughFile(t, rs).At(now), people)
		edges := flows(p)
		for from := range people {
			for to := range people {
				for _, f := range edges {
					asked++
					if problem := x.differs(p, people, from, to, f); problem != "" {
						t.Fatal(problem + "\n" + text)
					}
				}
			}
		}
	})
	t.Logf("%d questions", asked)
	if asked < 100000 {
		t.Errorf("only %d questions: they prove little", asked)
	}
}

// differs asks all three, and says where they differ.
func (x *tables) differs(p *Policy, people []Subject, from, to int, f eval.Flow) string {
	allow, by := eval.Decide(p, people[from], people[to], f)
	name := ""
	if by != nil {
		name = by.Name
	}
	lr, lv := classify.Linear{Rules: x.rules}.Decide(x.sets[from], x.sets[to], f.Proto, f.Src, f.Dst)
	if problem := x.auditsDiffer(p, people, from, to, f); problem != "" {
		return problem
	}
	er, ev := x.engine.Decide(x.ids[from], x.ids[to], f.Proto, f.Src, f.Dst)
	if allow == (lv == policy.Allow) && ruleName(x.rules, lr) == name && er == lr && ev == lv {
		return ""
	}
	return fmt.Sprintf("%+v -> %+v %v: meant %v by %q, list %v by %q, tables %v by %q", people[from], people[to], f,
		allow, name, lv, ruleName(x.rules, lr), ev, ruleName(x.rules, er))
}

// auditsDiffer asks all three who would have denied.
func (x *tables) auditsDiffer(p *Policy, people []Subject, from, to int, f eval.Flow) string {
	name := ""
	if by := eval.WouldDeny(p, people[from], people[to], f); by != nil {
		name = by.Name
	}
	lr, lfound := classify.Linear{Rules: x.rules}.WouldDeny(x.sets[from], x.sets[to], f.Proto, f.Src, f.Dst)
	er, efound := x.engine.WouldDeny(x.ids[from], x.ids[to], f.Proto, f.Src, f.Dst)
	if lfound == (name != "") && efound == lfound && (!lfound || er == lr && ruleName(x.rules, lr) == name) {
		return ""
	}
	return fmt.Sprintf("%+v -> %+v %v: %q is meant to have denied it, list %v, tables %v", people[from], people[to], f, name, lfound, efound)
}

// A view of a time says of both ends the same throughout the stretch that Times
// cuts time into: a test that states no time is asked of all.
func TestTimesCutWhereAnAnswerChanges(t *testing.T) {
	changed := 0
	many(t, func(t *rapid.T) {
		w := drawWorld(t)
		text := w.text + strings.Join(w.drawRules(t), "")
		p, _ := mustCompile(t, text)
		people := drawSubjects(t)
		from, to := rapid.SampledFrom(people).Draw(t, "from"), rapid.SampledFrom(people).Draw(t, "to")
		times := eval.Times(p, from, to)
		for _, f := range flows(p) {
			for _, now := range seconds {
				at, _ := slices.BinarySearch(times, now+1)
				allow, _ := eval.Decide(p.At(now), from, to, f)
				if same, _ := eval.Decide(p.At(times[at-1]), from, to, f); same != allow {
					t.Fatalf("%v -> %v %v: at %d another answer than at %d, of %v\n%s", from, to, f, now, times[at-1], times, text)
				}
				if always, _ := eval.Decide(p, from, to, f); always != allow {
					changed++
				}
			}
		}
	})
	if changed == 0 {
		t.Error("no answer depended on the time")
	}
}

func ruleName(rs *policy.Ruleset, id policy.RuleID) string {
	if id == policy.NoRule {
		return ""
	}
	return rs.Rules[id].Name
}

// A deny added allows nothing; the order of statements says nothing; a range
// cut in two says the same.
func TestWhatMustNotChangeTheMeaning(t *testing.T) {
	many(t, func(t *rapid.T) {
		w := drawWorld(t)
		rules := w.drawRules(t)
		p, rs := mustCompile(t, w.text+strings.Join(rules, ""))
		denied, _ := mustCompile(t, w.text+strings.Join(rules, "")+"[[rules]]\nname = \"extra\"\n"+drawRank(t)+"deny = { from = [\"s0\"], to = [\"any\"], ports = [\"tcp/80-90\"] }\n")
		turned := slices.Clone(rules)
		slices.Reverse(turned)
		if _, other := mustCompile(t, w.text+strings.Join(turned, "")); rs.SourceHash != other.SourceHash {
			t.Fatal("the order of rules changed the policy")
		}
		cut := strings.ReplaceAll(strings.Join(rules, ""), `"tcp/80-90"`, `"tcp/80-84", "tcp/85-90"`)
		if _, other := mustCompile(t, w.text+cut); rs.SourceHash != other.SourceHash {
			t.Fatal("cutting a range in two changed the policy")
		}
		people := drawSubjects(t)
		for _, from := range people {
			for _, to := range people {
				for _, f := range flows(denied) {
					before, _ := eval.Decide(p, from, to, f)
					if after, _ := eval.Decide(denied, from, to, f); after && !before {
						t.Fatalf("a deny allowed %v -> %v %v", from, to, f)
					}
				}
			}
		}
	})
}

// manyRules is a policy of n rules.
func manyRules(n int) string {
	var text strings.Builder
	text.WriteString("version = 1\n")
	for i := range 3 {
		fmt.Fprintf(&text, "[services.s%d]\nlabels = { s = \"%d\" }\n[networks.n%d]\ncidrs = [\"10.%d.0.0/16\"]\n", i, i, i, i)
	}
	for i := range n {
		fmt.Fprintf(&text, "[[rules]]\nname = \"r%d\"\nallow = { from = [\"s%d\"], to = [\"n%d\"], ports = [\"tcp/%d\"] }\n", i, i%3, i%2, i%60000)
	}
	return text.String()
}

// The same source gives the same bytes, however many threads there are.
func TestSameSourceSameBytes(t *testing.T) {
	n := 2000
	if long {
		n = 70000
	}
	text := manyRules(n)
	build := func(threads int) []byte {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
		rs, findings := Compile([]Source{{Name: "p.toml", Text: []byte(text)}}, Options{})
		if findings.Failed() {
			t.Fatal("it does not compile")
		}
		data, err := policy.Encode(rs)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if one, two := build(1), build(2); !slices.Equal(one, two) {
		t.Error("the bytes differ")
	}
}

// A policy's own tests are asked of the rules alone that name both ends, and
// one-sided questions of those that name one: that answers as the whole policy
// does, rule by rule.
func TestRelevantRulesSayWhatAllDo(t *testing.T) {
	many(t, func(t *rapid.T) {
		w := drawWorld(t)
		text := w.text + strings.Join(w.drawRules(t), "")
		p, _ := mustCompile(t, text)
		rules := relevant.New(p)
		edges := flows(p)
		people := drawSubjects(t)
		people = append(people, Subject{Labels: map[string]string{"a": "1"}}, Subject{Labels: map[string]string{}}) // without an address
		for _, from := range people {
			for _, to := range people {
				parts := map[string]*Policy{"between": rules.Between(from, to), "from": rules.From(from), "to": rules.To(to)}
				for _, f := range edges {
					allow, by := eval.Decide(p, from, to, f)
					for name, part := range parts {
						if got, who := eval.Decide(part, from, to, f); got != allow || who != by {
							t.Fatalf("%s: %v -> %v %v: %v by %v, of all rules %v by %v\n%s", name, from, to, f, got, who, allow, by, text)
						}
					}
				}
				for _, word := range portWords {
					ports, _ := Ports(word)
					if got, want := eval.Ask(parts["between"], from, to, ports), eval.Ask(p, from, to, ports); got != want {
						t.Fatalf("%v -> %v %s: %v, of all rules %v\n%s", from, to, word, got, want, text)
					}
				}
			}
		}
	})
}
