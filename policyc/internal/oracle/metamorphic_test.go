package oracle

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
	"bulkhead/policyc/internal/worlds"
)

// change makes other statements of a world's: the same numbers, the same change.
type change func(r *rand.Rand, statements []worlds.Statement) []worlds.Statement

// list is a list of words in a statement about a rule.
var list = regexp.MustCompile(`(from|to|ports) = \[([^]]*)\]`)

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
	"words_in_another_order_and_twice": each(func(text string) string {
		return list.ReplaceAllStringFunc(text, func(side string) string {
			parts := list.FindStringSubmatch(side)
			words := strings.Split(parts[2], ", ")
			slices.Reverse(words)
			return parts[1] + " = [" + strings.Join(append(words, words[0]), ", ") + "]"
		})
	}),
	"times_of_another_zone": each(func(text string) string {
		return strings.NewReplacer("1970-01-01T00:01:40Z", "1970-01-01T05:31:40+05:30", "1970-01-01T00:03:20Z", "1969-12-31T23:03:20-01:00").Replace(text)
	}),
	"defaults_said": each(func(text string) string {
		if strings.Contains(text, "[[rules]]") && !strings.Contains(text, "priority = ") {
			text = strings.Replace(text, "[[rules]]\n", "[[rules]]\npriority = 1000\n", 1)
		}
		if strings.Contains(text, "[[rules]]") && !strings.Contains(text, "tier = ") {
			text = strings.Replace(text, "[[rules]]\n", "[[rules]]\ntier = \"application\"\n", 1)
		}
		return text
	}),
	"values_for_variables": func(_ *rand.Rand, list []worlds.Statement) []worlds.Statement {
		list = slices.DeleteFunc(list, func(s worlds.Statement) bool { return strings.HasPrefix(s.Text, "[vars]") })
		for i := range list {
			list[i].Text = worlds.Values.Replace(list[i].Text)
		}
		return list
	},
	"comments_and_blanks": each(func(text string) string {
		return strings.ReplaceAll(text, "\n", " # why\n\n")
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
		named := false
		for i, s := range list {
			if s.Rule && strings.Contains(s.Text, `"s0"`) {
				list[i].Text, named = strings.ReplaceAll(s.Text, `"s0"`, `"both"`), true
			}
		}
		if !named {
			return list
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

// altered makes a change of a trial, and counts whether there was anything to
// change.
func (c change) altered(r *rand.Rand, x *trial, n *changes) *trial {
	y := x.saying(c(r, slices.Clone(x.statements)))
	n.asked++
	if !slices.Equal(worlds.Files(x.statements), worlds.Files(y.statements)) {
		n.made++
	}
	return y
}

// changes are how many trials a change was made in, and in how many it altered
// the text.
type changes struct{ asked, made int }

// prove fails where a change was hardly ever one.
func (n *changes) prove(t *testing.T) {
	t.Helper()
	t.Logf("the text is another in %d of %d", n.made, n.asked)
	if os.Getenv("BULKHEAD_SEED") == "" && n.made*20 < n.asked {
		t.Errorf("the change altered the text of %d in %d: it proves little", n.made, n.asked)
	}
}

// metamorphic asks a property of worlds of all sizes.
func metamorphic(t *testing.T, people, questions int, property func(*rand.Rand, *trial) string) {
	t.Helper()
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

// The order of statements and files, how a range is cut, and what else only looks
// otherwise, change no byte of the artifact but for the place of a rule, its file
// and line, and not what the source is known by.
func TestWhatSaysTheSameIsTheSameBytes(t *testing.T) {
	for name, change := range same {
		t.Run(name, func(t *testing.T) {
			var n changes
			metamorphic(t, 4, 1, func(r *rand.Rand, x *trial) string {
				p, err := x.parsed()
				if err != nil {
					return err.Error()
				}
				q, err := change.altered(r, x, &n).parsed()
				if err != nil {
					return err.Error()
				}
				if compile.Lower(p, compile.Options{}).SourceHash != compile.Lower(q, compile.Options{}).SourceHash {
					return "the source is known by another hash"
				}
				if !bytes.Equal(artifact(p), artifact(q)) {
					return "the artifact is another"
				}
				return ""
			})
			n.prove(t)
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
			var n changes
			metamorphic(t, 14, 400, func(r *rand.Rand, x *trial) string {
				return answersAs(x, change.altered(r, x, &n), func(was, is bool) bool { return was == is })
			})
			n.prove(t)
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
		was, is := before.decide(q), after.decide(q)
		if !fits(was.allow, is.allow) {
			return fmt.Sprintf("%s: was %s, is %s, in\n%s", x.say(q), was, is, strings.Join(worlds.Files(y.statements), ""))
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
		y := x.saying(append(slices.Clone(x.statements), worlds.Statement{Rule: true, Text: "[[rules]]\nname = \"extra\"\n" + worlds.Rank(r) + "deny = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/80-90\", \"icmp\"] }\n"}))
		return answersAs(x, y, func(was, is bool) bool { return was || !is })
	})
}

// At a tie a deny beats the allow that says the same; and a deny of everything
// in the first tier leaves nothing.
func TestADenyBeatsAnAllowAtATie(t *testing.T) {
	metamorphic(t, 14, 400, func(_ *rand.Rand, x *trial) string {
		y := x.saying(nil)
		for _, s := range x.statements {
			y.statements = append(y.statements, s)
			if s.Rule && strings.Contains(s.Text, "allow = {") {
				s.Text = strings.NewReplacer("allow = {", "deny = {", "name = \"r", "name = \"zz", "stateless = true\n", "").Replace(s.Text)
				y.statements = append(y.statements, s)
			}
		}
		about, err := y.about()
		if err != nil {
			return err.Error()
		}
		for _, q := range x.probes {
			if v := about.decide(q); v.allow && !strings.HasPrefix(v.by.Name, "tier ") {
				return fmt.Sprintf("%s: allowed by %q, which a deny ties", x.say(q), v.by.Name)
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
