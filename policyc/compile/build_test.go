package compile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bulkhead/policyc/internal/worlds"
)

// A build from what another kept is a whole build: the same table to the byte, and
// the same findings, whatever was edited, however often, and where nothing can be
// used as well.
func TestABuildFromAKeptOneIsAWholeOne(t *testing.T) {
	worldsDrawn := uint64(300)
	if testing.Short() {
		worldsDrawn = 40
	}
	if long {
		worldsDrawn = 5000
	}
	edits, reused := 0, 0
	for seed := range worldsDrawn {
		r := rand.New(rand.NewPCG(seed, 9))
		size := worlds.Small(r)
		size.Rules += 3
		if seed%10 == 0 {
			size = worlds.Large(60)
		}
		e := editor{r: r, w: tidy(r, worlds.Draw(r, size))}
		var kept []byte
		for range 6 {
			if t.Failed() {
				return
			}
			sources := e.sources()
			table, last := sameAsWhole(t, seed, sources, kept)
			if kept != nil {
				edits++
			}
			if table != nil {
				reused += table.Reused
			}
			if len(last) > 0 {
				kept = last
			}
			e.edit()
		}
	}
	t.Logf("%d edits, %d rules reused", edits, reused)
	if reused < edits {
		t.Errorf("of %d edits only %d rules were reused: they prove little", edits, reused)
	}
}

// keptPolicy has what an edit may touch, in parts of 300 bytes; %s are its rules.
const keptPolicy = `version = 1
[services.web]
labels = { app = "web" }
ports = { http = "tcp/8080" }
[services.db]
labels = { app = "db" }
[services.asked]
labels = { app = "asked" }
[networks.n]
cidrs = ["10.0.0.0/8"]
`

// keptRules are some rules, and keptTests are tests behind them.
var keptRules, keptTests = func() (rules, tests string) {
	for i := range 12 {
		rules += fmt.Sprintf("[[rules]]\nname = \"r%02d\"\nallow = { from = [\"n\"], to = [\"web\"], ports = [\"http\", \"tcp/%d\"] }\n", i, i+1)
	}
	for i, to := range []string{"db", "asked"} {
		tests += fmt.Sprintf("[[tests]]\nname = \"t%d\"\nfrom = \"web\"\nto = %q\nport = \"tcp/1\"\nexpect = \"deny\"\n", i, to)
	}
	return rules, tests
}()

// many are rules with a hundred ranges of source ports each.
func many(first, rules int) string {
	var b strings.Builder
	for i := range rules {
		fmt.Fprintf(&b, "[[rules]]\nname = \"m%d\"\nallow = { from = [\"n\"], to = [\"web\"], ports = [\"tcp/1\"], source_ports = [", first+i)
		for k := range 100 {
			fmt.Fprintf(&b, "\"%d\", ", 2*(100*(first+i)+k))
		}
		b.WriteString("] }\n")
	}
	return b.String()
}

// What an edit may touch besides the rule that is edited: each time a build from a
// kept one is a whole one, and where nothing else is touched it does reuse rules.
func TestWhatAnEditTouches(t *testing.T) {
	scope := "version = 1\n[scope]\nname = \"east\"\nlabels = { zone = \"east\" }\n[services.x]\nlabels = { app = \"x\" }\n"
	scoped := strings.NewReplacer(`"n"]`, `"x"]`, `"http", `, "").Replace(keptRules)
	ruleTo := func(name, to string) string {
		return fmt.Sprintf("[[rules]]\nname = %q\nallow = { from = [\"any\"], to = [%q], ports = [\"tcp/1\"] }\n", name, to)
	}
	all := keptPolicy + keptRules + keptTests
	vars := strings.Replace(keptPolicy, "[services.web]", "[vars]\np = \"tcp/9\"\n[services.web]", 1) + keptTests + keptRules
	for _, c := range []struct {
		situation, before, after string
		reuses                   bool
	}{
		{"nothing", all, all, true},
		{"a_rule", all, strings.Replace(all, "tcp/5\"", "tcp/50\"", 1), true},
		{"a_rule_to_somebody_that_no_rule_named", all, strings.Replace(all, `["web"], ports = ["http", "tcp/5"]`, `["web", "db"], ports = ["tcp/5"]`, 1), true},
		{"a_rule_that_a_test_is_about", all, keptPolicy + keptRules + ruleTo("new", "asked") + keptTests, false},
		{"a_name_that_is_taken", all, keptPolicy + keptRules + ruleTo("r01", "web") + keptTests, false},
		{"a_label_of_the_same_length", all, strings.Replace(all, `"web" }`, `"wib" }`, 1), false},
		{"a_port_of_the_same_length", all, strings.Replace(all, "8080", "8081", 1), false},
		{"a_test_that_fails_behind_the_others", all, all + "[[tests]]\nname = \"t\"\nfrom = \"web\"\nto = \"db\"\nport = \"tcp/1\"\nexpect = \"allow\"\n", false},
		{"a_test_that_fails_behind_rules", keptPolicy + keptTests + keptRules, keptPolicy + keptTests + keptRules + "[[tests]]\nname = \"t\"\nfrom = \"web\"\nto = \"db\"\nport = \"tcp/1\"\nexpect = \"allow\"\n", false},
		{"the_last_tests_about_somebody", keptPolicy + keptTests + keptRules, keptPolicy + keptRules, false},
		{"no_end_of_line_before_a_rule", strings.TrimSuffix(keptPolicy+keptTests+keptRules, "\n"), strings.TrimSuffix(keptPolicy+keptTests+keptRules, "\n") + ruleTo("new", "web"), false},
		{"no_end_of_line_at_the_end", all, strings.TrimSuffix(all, "\n"), false},
		{"a_service_behind_rules", scope + scoped, strings.Replace(scope+scoped, "[[rules]]\nname = \"r06\"", "[services.web]\nlabels = { app = \"own\" }\n[[rules]]\nname = \"r06\"", 1), false},
		{"ranges_of_source_ports", all, keptPolicy + keptRules + many(0, 2) + keptTests, true},
		{"too_many_ranges_of_source_ports", keptPolicy + many(0, 2) + keptRules + keptTests, keptPolicy + many(0, 2) + keptRules + many(2, 1) + keptTests, false},
		{"a_variable_that_nothing_else_uses", vars + strings.Replace(ruleTo("v", "web"), "tcp/1", "${p}", 1), vars, false},
	} {
		t.Run(c.situation, func(t *testing.T) {
			files := func(text string) []Source {
				out := []Source{{Name: "p.toml", Text: []byte(text)}}
				if strings.Contains(text, "[scope]") {
					out = append(out, Source{Name: "web.toml", Text: []byte(keptPolicy + keptRules + keptTests)})
				}
				return out
			}
			first, kept := sameAsWhole(t, 1, files(c.before), nil)
			if len(kept) == 0 {
				t.Fatalf("nothing is kept: %v", first)
			}
			again, _ := sameAsWhole(t, 1, files(c.after), kept)
			if reuses := again != nil && again.Reused > 0; reuses != c.reuses {
				t.Errorf("it reuses rules: %v, want %v", reuses, c.reuses)
			}
		})
	}
}

// sameAsWhole builds from a kept build and without, compares, and returns what is kept.
func sameAsWhole(t *testing.T, seed uint64, sources []Source, kept []byte) (*Table, []byte) {
	t.Helper()
	whole, found, err := Build(sources, Options{Generation: seed})
	if err != nil {
		t.Fatal(err)
	}
	got, said, err := Build(sources, Options{Generation: seed, Tool: "t", Kept: kept, partSize: 300})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := render(t, found), render(t, said); a != b {
		t.Errorf("seed %d: whole it says\n%s\nfrom a kept build\n%s\nof\n%s", seed, a, b, sources)
	}
	if whole == nil || got == nil {
		if whole != got {
			t.Errorf("seed %d: one of two builds fails\n%s", seed, sources)
		}
		return nil, nil
	}
	if !bytes.Equal(whole.Bytes, got.Bytes) {
		t.Errorf("seed %d: the tables differ, of\n%s\nwhole\n%s\nfrom a kept one\n%s", seed, sources, listing(whole), listing(got))
	}
	return got, bytes.Join(got.Kept, nil)
}

// listing is a table for people.
func listing(t *Table) string {
	var b strings.Builder
	for i := range t.Rules.Sets {
		fmt.Fprintf(&b, "%d %+v\n", i, t.Rules.Sets[i])
	}
	for i := range t.Rules.Rules {
		fmt.Fprintf(&b, "%+v\n", t.Rules.Rules[i])
	}
	return b.String()
}

func render(t *testing.T, f Findings) string {
	t.Helper()
	var b strings.Builder
	if err := f.Render(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tidy puts the rules of a world behind all the rest, names everything that it has in
// a rule, and asks tests, so that a build has nothing to say and is kept.
func tidy(r *rand.Rand, w *worlds.World) []worlds.Statement {
	list := w.Statements
	slices.SortStableFunc(list, func(a, b worlds.Statement) int { return order(a) - order(b) })
	_, found := Check(sourcesOf(&worlds.World{Statements: list}))
	for i, f := range found.All() {
		if f.Unused != "" && f.Unused[0] != '$' {
			list = append(list, worlds.Statement{Rule: true, Text: fmt.Sprintf("[[rules]]\nname = \"use%d\"\ndeny = { from = [%q], to = [%q], ports = [\"tcp/1\"] }\n", i, f.Unused, f.Unused)})
		}
	}
	p, found := Read(sourcesOf(&worlds.World{Statements: list}))
	for i := range 6 {
		if found.Failed() || len(p.Services) == 0 || i > r.IntN(12) {
			break
		}
		from, to := p.Services[r.IntN(len(p.Services))], p.Services[r.IntN(len(p.Services))]
		a, err := SubjectOf(p, from.Name)
		b, err2 := SubjectOf(p, to.Name)
		ports, err3 := Ports("tcp/80")
		if err != nil || err2 != nil || err3 != nil {
			continue
		}
		list = append(list, worlds.Statement{Text: fmt.Sprintf("[[tests]]\nname = \"t%d\"\nfrom = %q\nto = %q\nport = \"tcp/80\"\nexpect = %q\n", i, from.Name, to.Name, word(Ask(p, a, b, ports).Allow))})
	}
	return list
}

func order(s worlds.Statement) int {
	switch {
	case strings.HasPrefix(s.Text, "[vars]"):
		return 0
	case s.Rule || strings.HasPrefix(s.Text, "[[rules]]"):
		return 2
	}
	return 1
}

// editor is somebody who edits a policy, mostly well.
type editor struct {
	r      *rand.Rand
	w      []worlds.Statement
	number int
	damage func(string) string // of the next file that is written
}

func (e *editor) sources() []Source {
	out := sourcesOf(&worlds.World{Statements: e.w})
	if e.damage != nil {
		i := e.r.IntN(len(out))
		out[i].Text, e.damage = []byte(e.damage(string(out[i].Text))), nil
	}
	return out
}

// rule is the place of a rule, or -1.
func (e *editor) rule() int {
	for range 50 {
		if i := e.r.IntN(len(e.w)); order(e.w[i]) == 2 {
			return i
		}
	}
	return -1
}

// edit changes one thing or several.
func (e *editor) edit() {
	for range 1 + e.r.IntN(2) {
		i, k := e.rule(), e.rule()
		if i < 0 || k < 0 {
			return
		}
		e.w = slices.Clone(e.w)
		switch e.r.IntN(14) {
		case 0, 1, 2:
			e.number++
			other := e.w[k]
			other.Text = strings.Replace(other.Text, "name = \"", fmt.Sprintf("name = \"e%d", e.number), 1)
			e.w = slices.Insert(e.w, i, other)
		case 3, 4:
			e.w[i].Text = strings.Replace(e.w[i].Text, "name = \"", "owner = \"somebody\"\nname = \"", 1)
		case 5:
			e.w = slices.Delete(e.w, i, i+1)
		case 6:
			e.w[i], e.w[k] = e.w[k], e.w[i]
		case 7:
			e.w = slices.Insert(e.w, i, e.w[k]) // its name is taken
		case 8, 9:
			e.w[i].Text = strings.NewReplacer("allow", "deny", "deny", "allow").Replace(e.w[i].Text)
		case 10:
			e.w[i].Text = "# " + strings.Repeat("x", e.r.IntN(400)) + "\n\n" + e.w[i].Text
		case 11:
			e.damage = func(text string) string {
				lines := strings.SplitAfter(text, "\n")
				at := e.r.IntN(len(lines))
				return strings.Join(slices.Delete(lines, at, at+1), "")
			}
		case 12:
			more := oneLine[e.r.IntN(len(oneLine))]
			e.damage = func(text string) string {
				lines := strings.SplitAfter(text, "\n")
				return strings.Join(slices.Insert(lines, e.r.IntN(len(lines)), more), "")
			}
		case 13:
			e.damage = func(text string) string { return strings.TrimSuffix(text, "\n") }
		}
	}
}

// oneLine are lines that somebody may put anywhere, some of which belong nowhere.
var oneLine = []string{
	"# a comment\n", "\n", "[[rules]]\n", "[[tests]]\n", "[services.late]\n", "stateless = true\n", "x = '''\n", "s = \"\"\"\n[[rules]]\n\"\"\"\n", "[ [rules]]\n", "  [[rules]]\n", "[[ rules ]]\n",
	"[vars]\n", "[tiers.baseline]\ndefault = \"deny\"\n", "owner = \"${team}\"\n", "reason = \"\\u0024{x}\"\n", "[rules.allow]\n", "\r\n", "source_ports = [\"53\"]\n", "version = 1",
}
