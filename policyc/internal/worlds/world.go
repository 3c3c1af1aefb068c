package worlds

import (
	"fmt"
	"math/rand/v2"
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
	own    []string // those of them that have a port called own
	blocks []string // what networks are made of
	labels []map[string]string
}

// Draw draws a world.
func Draw(r *rand.Rand, size Size) *World {
	w := &World{sets: slices.Clone(builtIn), blocks: slices.Clone(blocks), labels: slices.Clone(labelSets)}
	for i := range size.Services {
		w.drawService(r, i)
	}
	for i := range size.Scoped {
		w.drawScoped(r, i)
	}
	for i := range size.Networks {
		w.drawNetwork(r, i)
	}
	w.drawTiers(r, size)
	for i := range size.Rules {
		w.Statements = append(w.Statements, sourced(r, w.rule(r, i)))
	}
	w.putVars(r)
	return w
}

func (w *World) define(name, scope, text string) {
	w.sets = append(w.sets, name)
	w.Statements = append(w.Statements, Statement{Scope: scope, Text: text})
}

// defaults are mostly none: one that allows or denies leaves the rules behind it
// nothing to say.
var defaults = append(make([]string, 12), "pass", "deny", "allow")

// drawTiers draws defaults of tiers.
func (w *World) drawTiers(r *rand.Rand, size Size) {
	tiers := []string{"platform", "security", "application", "baseline"}
	if size.Rules > 20 {
		tiers = tiers[2:] // an early default would leave all the rules nothing to say
	}
	for _, tier := range tiers {
		if word := oneOf(r, defaults); word != "" {
			w.Statements = append(w.Statements, Statement{Text: fmt.Sprintf("[tiers.%s]\ndefault = %q\n", tier, word)})
		}
	}
}

// Files are the sources that say the statements, a file a scope; the first is
// that of no scope.
func Files(statements []Statement) []string {
	texts := map[string]*strings.Builder{}
	for _, s := range statements {
		if texts[s.Scope] == nil && s.Scope != "" {
			texts[s.Scope] = &strings.Builder{}
			fmt.Fprintf(texts[s.Scope], "version = 1\n[scope]\nname = %q\nlabels = { %s }\n", s.Scope, scopeLabels[s.Scope])
		}
	}
	texts[""] = &strings.Builder{}
	texts[""].WriteString("version = 1\n")
	for _, s := range statements {
		texts[s.Scope].WriteString(s.Text)
	}
	var out []string
	for _, scope := range []string{"", "east", "west", Everybody} {
		if texts[scope] != nil {
			out = append(out, texts[scope].String())
		}
	}
	return out
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

func quoted(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return `"` + strings.Join(words, `", "`) + `"`
}
