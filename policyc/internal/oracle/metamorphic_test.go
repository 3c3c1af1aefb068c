package oracle

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
	"bulkhead/policyc/internal/worlds"
)

// change makes other statements of a world's: the same numbers, the same change.
type change func(r *rand.Rand, statements []worlds.Statement) []worlds.Statement

// same are changes that say the same, and so must compile to the same bytes but
// for the lines on which rules stand.
var same = map[string]change{
	"statements_in_another_order": func(r *rand.Rand, list []worlds.Statement) []worlds.Statement {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list
	},
	"ranges_cut": each(func(text string) string {
		return strings.NewReplacer(`"tcp/80-90"`, `"tcp/85-90", "tcp/80-84"`, `"tcp/85-100"`, `"tcp/85-95", "tcp/90-100"`, `"sctp/1-2"`, `"sctp/2", "sctp/1"`, `"tcp"`, `"tcp/0-1000", "tcp/1001-65535"`).Replace(text)
	}),
	"sides_in_another_order_and_twice": each(func(text string) string {
		return strings.NewReplacer(`from = ["any"]`, `from = ["any", "any"]`).Replace(text)
	}),
}

// alike are changes that mean the same and compile to something else.
var alike = map[string]change{
	"services_renamed": each(func(text string) string {
		for i := range 4 {
			text = strings.NewReplacer(fmt.Sprintf(`"s%d"`, i), fmt.Sprintf(`"z-%d"`, 9-i), fmt.Sprintf("[services.s%d]", i), fmt.Sprintf("[services.z-%d]", 9-i)).Replace(text)
		}
		return text
	}),
	"prefixes_cut": each(func(text string) string {
		return strings.NewReplacer(`cidrs = ["10.0.0.0/24"`, `cidrs = ["10.0.0.0/25", "10.0.0.128/25"`, `"::/0"]`, `"::/1", "8000::/1"]`).Replace(text)
	}),
	"a_group_for_its_services": func(_ *rand.Rand, list []worlds.Statement) []worlds.Statement {
		group := worlds.Statement{Text: "[services.both]\nservices = [\"s0\", \"any0\"]\n"}
		alias := worlds.Statement{Text: "[services.any0]\nservices = [\"s0\"]\n"}
		for i := range list {
			if list[i].Rule {
				list[i].Text = strings.ReplaceAll(list[i].Text, `"s0"`, `"both"`)
			}
		}
		return append(list, group, alias)
	},
	"a_rule_said_twice": func(r *rand.Rand, list []worlds.Statement) []worlds.Statement {
		for _, s := range slices.Clone(list) {
			if s.Rule && r.IntN(2) == 0 {
				s.Text = strings.Replace(s.Text, "name = \"r", "name = \"zz", 1)
				list = append(list, s)
			}
		}
		return list
	},
	"a_rule_cut_by_its_ports": func(_ *rand.Rand, list []worlds.Statement) []worlds.Statement {
		for i, s := range slices.Clone(list) {
			if s.Rule && strings.Contains(s.Text, `"tcp/80-90"`) {
				list[i].Text = strings.Replace(s.Text, `"tcp/80-90"`, `"tcp/80-83"`, 1)
				s.Text = strings.Replace(strings.Replace(s.Text, `"tcp/80-90"`, `"tcp/84-90"`, 1), "name = \"r", "name = \"zz", 1)
				list = append(list, s)
			}
		}
		return list
	},
}

func each(f func(string) string) change {
	return func(_ *rand.Rand, list []worlds.Statement) []worlds.Statement {
		for i := range list {
			list[i].Text = f(list[i].Text)
		}
		return list
	}
}

// metamorphic are the sizes of these tests.
func metamorphic(t *testing.T, people, questions int, property func(*rand.Rand, *trial) string) {
	sizes := []int{0, 1, 10, 100, 1_000, scale(1_000, 10_000), scale(1_000, 70_000)}
	for _, rules := range slices.Compact(sizes) {
		size, n := worlds.Small, scale(60, 1000)
		if rules > 0 {
			size, n = func(*rand.Rand) worlds.Size { return worlds.Large(rules) }, max(1, min(20, 200/rules))
		}
		for _, seed := range seeds(t, n) {
			x := newTrial(t, seed, size, people, questions)
			x.hold(t, func(x *trial) string { return property(numbers(seed), x) })
		}
	}
}

// artifact is what a policy compiles to, without the lines of its rules.
func artifact(p *check.Policy) []byte {
	rs := compile.Lower(p, compile.Options{})
	for i := range rs.Rules {
		rs.Rules[i].Line, rs.Rules[i].File = 0, ""
	}
	data, err := policy.Encode(rs)
	if err != nil {
		panic(err) // what compiles has a form
	}
	return data
}

// The order of statements and files, and how a range is cut, change no byte of
// the artifact but for the place of a rule: its file and line.
func TestWhatSaysTheSameIsTheSameBytes(t *testing.T) {
	for name, change := range same {
		t.Run(name, func(t *testing.T) {
			metamorphic(t, 4, 1, func(r *rand.Rand, x *trial) string {
				p, _ := read(x.statements)
				q, problem := read(change(r, slices.Clone(x.statements)))
				if problem != "" {
					return problem
				}
				if !bytes.Equal(artifact(p), artifact(q)) {
					return "the artifact is another"
				}
				return ""
			})
		})
	}
}

// Files in any order are one policy, places included.
func TestTheOrderOfFilesIsNone(t *testing.T) {
	metamorphic(t, 4, 1, func(_ *rand.Rand, x *trial) string {
		list := sources(worlds.Files(x.statements))
		one, _ := compile.Compile(list, compile.Options{})
		slices.Reverse(list)
		two, _ := compile.Compile(list, compile.Options{})
		first, err := policy.Encode(one)
		if err != nil {
			return err.Error()
		}
		if second, err := policy.Encode(two); err != nil || !bytes.Equal(first, second) {
			return "the order of files changed the artifact"
		}
		return ""
	})
}

// Names, and how a prefix or a rule is cut, change no answer; and where a policy
// is small enough to compare, diff says so.
func TestWhatMeansTheSameAnswersTheSame(t *testing.T) {
	for name, change := range alike {
		t.Run(name, func(t *testing.T) {
			metamorphic(t, 14, 400, func(r *rand.Rand, x *trial) string {
				y := *x
				y.statements, y.read = change(r, slices.Clone(x.statements)), nil
				return answersAs(x, &y, func(was, is bool) bool { return was == is })
			})
		})
	}
}

// answersAs compares what two policies say to the questions of the first.
func answersAs(x, y *trial, fits func(was, is bool) bool) string {
	before, err := x.about()
	if err != nil {
		return err.Error()
	}
	after, err := y.about()
	if err != nil {
		return err.Error()
	}
	for _, q := range x.probes {
		was, _ := before.decide(q)
		if is, rule := after.decide(q); !fits(was, is) {
			return fmt.Sprintf("%s: was %v, is %v by %q, in\n%s", x.say(q), was, is, rule, strings.Join(worlds.Files(y.statements), ""))
		}
	}
	if fits(true, false) || len(before.p.Rules) > 20 {
		return ""
	}
	d, err := analyze.Diff(before.p, after.p)
	if err == nil && !d.Empty() {
		return fmt.Sprintf("diff finds %d allowed and %d denied where there is no difference", len(d.Allowed), len(d.Denied))
	}
	return ""
}

// A deny added, of whatever rank, allows nothing.
func TestADenyAllowsNothing(t *testing.T) {
	metamorphic(t, 14, 400, func(r *rand.Rand, x *trial) string {
		y := *x
		y.read = nil
		y.statements = append(slices.Clone(x.statements), worlds.Statement{Rule: true, Text: "[[rules]]\nname = \"extra\"\n" + worlds.Rank(r) + "deny = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/80-90\", \"icmp\"] }\n"})
		return answersAs(x, &y, func(was, is bool) bool { return was || !is })
	})
}

// At a tie a deny beats the allow that says the same; and a deny of everything
// in the first tier leaves nothing.
func TestADenyBeatsAnAllowAtATie(t *testing.T) {
	metamorphic(t, 14, 400, func(_ *rand.Rand, x *trial) string {
		y := *x
		y.read, y.statements = nil, nil
		for _, s := range x.statements {
			y.statements = append(y.statements, s)
			if s.Rule && strings.Contains(s.Text, "allow = {") {
				s.Text = strings.Replace(strings.Replace(s.Text, "allow = {", "deny = {", 1), "name = \"r", "name = \"zz", 1)
				y.statements = append(y.statements, s)
			}
		}
		about, err := y.about()
		if err != nil {
			return err.Error()
		}
		for _, q := range x.probes {
			if allow, rule := about.decide(q); allow && !strings.HasPrefix(rule, "tier ") {
				return fmt.Sprintf("%s: allowed by %q, which a deny ties", x.say(q), rule)
			}
		}
		return ""
	})
}

// fmt changes no byte of the artifact but places.
func TestFmtKeepsTheMeaning(t *testing.T) {
	metamorphic(t, 4, 1, func(_ *rand.Rand, x *trial) string {
		files := worlds.Files(x.statements)
		p, _ := readFiles(files)
		for i, text := range files {
			var list diag.List
			out := format.Source(diag.NewSource("p.toml", []byte(text)), &list)
			if out == nil {
				return "fmt refuses the policy"
			}
			files[i] = string(out)
		}
		q, problem := readFiles(files)
		if problem != "" {
			return problem
		}
		if !bytes.Equal(artifact(p), artifact(q)) {
			return "fmt changed the policy"
		}
		return ""
	})
}

// diff is empty exactly where policies mean the same: each finding's witness is
// a connection that eval decides differently, and where no finding is no
// question is answered differently.
func TestDiffIsEmptyIffNothingDiffers(t *testing.T) {
	differing := 0
	for _, seed := range seeds(t, scale(100, 2000)) {
		x := newTrial(t, seed, worlds.Small, 14, 400)
		x.hold(t, func(x *trial) string {
			y := *x
			y.read, y.statements = nil, slices.Clone(x.statements)
			if n := len(y.statements); n > 0 && y.statements[n-1].Rule {
				y.statements = y.statements[:n-1]
			}
			before, err := x.about()
			if err != nil {
				return err.Error()
			}
			after, err := y.about()
			if err != nil {
				return err.Error()
			}
			d, err := analyze.Diff(before.p, after.p)
			if err != nil {
				return err.Error()
			}
			for _, c := range slices.Concat(d.Allowed, d.Denied) {
				old, _ := eval.Decide(before.p, c.Witness.From, c.Witness.To, c.Witness.Flow)
				new, _ := eval.Decide(after.p, c.Witness.From, c.Witness.To, c.Witness.Flow)
				if old == new {
					return fmt.Sprintf("the witness %+v is no difference", c.Witness)
				}
			}
			if !d.Empty() {
				differing++
				return ""
			}
			return equal(x, before, after)
		})
	}
	t.Logf("%d of the pairs differ", differing)
}

func equal(x *trial, before, after *about) string {
	for _, q := range x.probes {
		was, _ := before.decide(q)
		if is, _ := after.decide(q); was != is && x.exists(q) {
			return fmt.Sprintf("%s: was %v, is %v, and diff is empty", x.say(q), was, is)
		}
	}
	return ""
}
