package worlds

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
)

// Size is how much of everything a world has.
type Size struct{ Services, Scoped, Networks, Rules int }

// Small draws the size of a world in which everything meets everything.
func Small(r *rand.Rand) Size {
	return Size{Services: 1 + r.IntN(4), Scoped: r.IntN(3), Networks: r.IntN(5), Rules: r.IntN(8)}
}

// Large is a world of that many rules: the more rules, the more services.
func Large(rules int) Size {
	n := max(4, rules/10)
	return Size{Services: n, Scoped: max(2, n/20), Networks: max(4, n/20), Rules: rules}
}

// Statement is one thing that a source says.
type Statement struct {
	Rule  bool
	Scope string // of the file that it stands in; empty: none
	Text  string
}

// World is a policy, statement by statement.
type World struct {
	Statements []Statement

	sets   []string // what rules can name
	blocks []string // what networks are made of
	labels []map[string]string
}

// Draw draws a world.
func Draw(r *rand.Rand, size Size) *World {
	w := &World{sets: []string{"any"}, blocks: slices.Clone(blocks), labels: slices.Clone(labelSets)}
	for i := range size.Services {
		if i >= len(labelSets) {
			w.labels = append(w.labels, map[string]string{"a": fmt.Sprint(1 + i%3), "app": fmt.Sprint(i / 2)})
		}
		text := w.service(r, i)
		w.define(fmt.Sprintf("s%d", i), "", fmt.Sprintf("[services.s%d]\n%s", i, text))
	}
	for i := range size.Scoped {
		scope := oneOf(r, scopes)
		w.define(fmt.Sprintf("%s/x%d", scope, i), scope, fmt.Sprintf("[services.x%d]\n%s", i, w.condition(r, i)))
	}
	for i := range size.Networks {
		if i >= len(blocks)/2 {
			w.blocks = append(w.blocks, fmt.Sprintf("10.%d.%d.0/24", 1+i>>8, i&255), fmt.Sprintf("10.%d.%d.128/26", 1+i>>8, i&255), fmt.Sprintf("fd00:%x::/48", 1+i))
		}
		cidrs := some(r, w.blocks)
		w.define(fmt.Sprintf("n%d", i), "", fmt.Sprintf("[networks.n%d]\ncidrs = [%s]\nexcept = [%s]\n", i, quoted(cidrs), quoted(w.inside(r, cidrs))))
	}
	tiers := []string{"platform", "security", "application", "baseline"}
	if size.Rules > 20 {
		tiers = tiers[2:] // an early default would leave all the rules nothing to say
	}
	for _, tier := range tiers {
		if word := oneOf(r, []string{"", "", "", "pass", "deny", "allow"}); word != "" {
			w.Statements = append(w.Statements, Statement{Text: fmt.Sprintf("[tiers.%s]\ndefault = %q\n", tier, word)})
		}
	}
	for i := range size.Rules {
		w.Statements = append(w.Statements, sourced(r, w.rule(r, i)))
	}
	return w
}

func (w *World) define(name, scope, text string) {
	w.sets = append(w.sets, name)
	w.Statements = append(w.Statements, Statement{Scope: scope, Text: text})
}

// Files are the sources that say the statements, a file a scope; the first is
// that of no scope.
func Files(statements []Statement) []string {
	texts := map[string]*strings.Builder{}
	names := append([]string{""}, scopes...)
	for _, scope := range names {
		texts[scope] = &strings.Builder{}
		texts[scope].WriteString("version = 1\n")
		if scope != "" {
			fmt.Fprintf(texts[scope], "[scope]\nname = %q\nlabels = { %s }\n", scope, scopeLabels[scope])
		}
	}
	for _, s := range statements {
		texts[s.Scope].WriteString(s.Text)
	}
	var out []string
	for _, scope := range names {
		if scope == "" || slices.ContainsFunc(statements, func(s Statement) bool { return s.Scope == scope }) {
			out = append(out, texts[scope].String())
		}
	}
	return out
}

// labelSets are what endpoints and services are drawn from.
var labelSets = []map[string]string{{"a": "1"}, {"b": "1"}, {"a": "1", "b": "1"}, {"a": "2"}, {"b": "1", "c": "2"}, {"a": "1", "b": "1", "c": "2"}}

// blocks lie in each other, beside each other, and at the ends of both
// families, so that their edges meet.
var blocks = []string{
	"10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/25", "10.0.0.66/32", "10.0.0.0/8", "10.0.1.0/24", "0.0.0.0/0", "0.0.0.0/32", "255.255.255.255/32",
	"fd00::/16", "fd00::/64", "fd00:0:0:1::/64", "fd00::66/128", "::/0", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
}

// conditions hold and fail on labelSets, with and without the label.
var conditions = []string{"a in (1)", "a in (1, 2)", "a not in (1)", "b not in (2, 3)", "exists c", "not exists c", "not exists a", "exists b", "z in (1)", "not exists z"}

// scopes are the scopes there may be. Not every label set is of one.
var (
	scopes      = []string{"east", "west"}
	scopeLabels = map[string]string{"east": `a = "1"`, "west": `a = "2"`}
)

// service draws what a service selects: labels and conditions, perhaps with
// alternatives, or a group of those before it. Beyond the first few each asks
// for an app of its own: in a city most services are few endpoints.
func (w *World) service(r *rand.Rand, i int) string {
	plain := func() (labels, match string) {
		if labels = inline(oneOf(r, w.labels)); i >= len(labelSets) {
			labels = inline(w.labels[i])
		}
		return "labels = { " + labels + " }", "match = [" + quoted(some(r, conditions)) + "]"
	}
	choice := func() string {
		labels, match := plain()
		return oneOf(r, []string{"{ " + labels + " }", "{ " + labels + ", " + match + " }"})
	}
	labels, match := plain()
	switch kind := r.IntN(5); {
	case kind == 0 && len(w.sets) > 1:
		return "services = [" + quoted(some(r, w.sets[1:])) + "]\n"
	case kind == 1:
		return "any = [" + choice() + ", " + choice() + "]\n"
	case kind == 2:
		return labels + "\nany = [" + choice() + ", " + choice() + "]\n"
	case kind == 3 && i < len(labelSets):
		return match + "\n"
	case kind == 4:
		return labels + "\n" + match + "\n"
	}
	return labels + "\n"
}

func (w *World) condition(r *rand.Rand, i int) string {
	out := "match = [" + quoted(some(r, conditions)) + "]\n"
	if i >= len(labelSets) {
		out += fmt.Sprintf("labels = { app = \"%d\" }\n", i)
	}
	return out
}

// inside draws exceptions, which lie in the blocks.
func (w *World) inside(r *rand.Rand, cidrs []string) []string {
	var inside []string
	for _, b := range blocks {
		p := netip.MustParsePrefix(b)
		if slices.ContainsFunc(cidrs, func(c string) bool {
			q := netip.MustParsePrefix(c)
			return q.Bits() < p.Bits() && q.Contains(p.Addr())
		}) {
			inside = append(inside, b)
		}
	}
	if len(inside) == 0 || r.IntN(2) == 0 {
		return nil
	}
	return some(r, inside)
}

func oneOf[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// some draws one to three, each once, in the order of the list.
func some(r *rand.Rand, from []string) []string {
	var at []int
	for range 1 + r.IntN(min(3, len(from))) {
		at = append(at, r.IntN(len(from)))
	}
	slices.Sort(at)
	var out []string
	for _, i := range slices.Compact(at) {
		out = append(out, from[i])
	}
	return out
}

func inline(labels map[string]string) string {
	var out []string
	for k, v := range labels {
		out = append(out, fmt.Sprintf("%s = %q", k, v))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func quoted(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return `"` + strings.Join(words, `", "`) + `"`
}
