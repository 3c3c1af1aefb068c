package analyze

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
)

// Kind is what a finding is about.
type Kind string

// The kinds of findings.
const (
	Never     Kind = "never-matches" // no connection can match the rule
	Shadowed  Kind = "shadowed"      // others decide all that it matches
	Redundant Kind = "redundant"     // without it others decide the same
	Guard     Kind = "guard"         // a deny of what no rule allows
	Idle      Kind = "idle"          // an allow of one end, or a pass, that leads to no answer
	Conflict  Kind = "conflict"      // a deny and allows of one rank overlap
	Hidden    Kind = "hidden-deny"   // allows of a higher rank overlap a deny
	Broad     Kind = "over-broad"    // an allow for everybody, or of every port
	Unused    Kind = "unused"        // a service or network that no rule names
	Expired   Kind = "expired"       // a rule whose time is over
	OneWay    Kind = "one-way"       // a stateless allow without a rule for the way back
)

// Kinds are all of them.
var Kinds = []Kind{Never, Shadowed, Redundant, Guard, Idle, Conflict, Hidden, Broad, Unused, Expired, OneWay}

// Finding is one thing that lint has to say. A note is worth knowing and often
// meant; a finding that is none is a mistake, or dead text.
type Finding struct {
	Kind    Kind
	Note    bool
	Name    string // of the rule, or of the service or network
	At      diag.Span
	Text    string
	Witness *Packet       // nil where no packet can show it
	Others  []*check.Rule // the rules that cover it, or that it meets
}

// linter is what is known of each rule of a policy, by its place in the source.
type linter struct {
	s     *Space
	rules []lintRule
}

type lintRule struct {
	seen    []seen  // the cells that it can be met in
	match   *Packet // the first packet that it matches
	decides *Packet // the first packet that it decides
	broad   string  // what an allow is too broad in; "": in nothing
	lets    *Packet // the first packet that is allowed and that it, a broad allow, decides at an end
	meets   map[*check.Rule]bool
	meet    *Packet // the first packet where it, a deny, meets an allow of its rank
	hiders  map[*check.Rule]bool
	hidden  *Packet // the first packet that it matches and that is allowed
}

// seen is a cell and a pair that has it.
type seen struct{ pair }

// Lint looks for rules that do nothing, or something else than they seem to,
// as of a time, in seconds since 1970: rules that are not valid then are as if
// they were not there.
func Lint(whole *check.Policy, now int64) ([]Finding, error) { return lint(whole, now, false) }

// LintApart is Lint where endpoints have addresses apart from networks: in none, or in
// those alone that hold everybody. Who is in a service and in a network, which is what
// makes the two multiply, is not looked at: what it finds to do nothing may do
// something for such an endpoint.
func LintApart(whole *check.Policy, now int64) ([]Finding, error) { return lint(whole, now, true) }

func lint(whole *check.Policy, now int64, apart bool) ([]Finding, error) {
	p := whole.At(now)
	s, err := spaceOf(&Space{policies: []*check.Policy{p}, apart: apart}, []*check.Policy{p})
	if err != nil {
		return nil, err
	}
	l := &linter{s, make([]lintRule, len(p.Rules))}
	l.measure()
	l.look()
	var out []Finding
	for i, r := range p.Rules {
		out = append(out, l.broad(i, r)...)
		out = append(out, l.clashes(i, r)...)
		out = append(out, l.oneWay(i, r)...)
		out = append(out, expired(r, now)...)
	}
	out = append(append(out, l.idle()...), unused(whole)...)
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.At.File(), b.At.File()), cmp.Compare(a.At.Off, b.At.Off), cmp.Compare(a.Kind, b.Kind))
	})
	return out, nil
}

// look visits each cell once for each families that it is met in.
func (l *linter) look() {
	known := map[*cell]families{}
	l.s.pairs(func(c *cell, m families) bool { return known[c]&m != m }, func(p pair) {
		known[p.cell] |= p.families
		for _, i := range l.s.sources(p.cell.rules) {
			l.rules[i].seen = append(l.rules[i].seen, seen{p})
		}
		few := l.s.only(0, p.cell.rules)
		for i := range p.cell.pieces {
			if w, exists := l.s.packet(p.from, p.to, p.cell.pieces[i].Span); exists {
				l.piece(few, p.cell, &p.cell.pieces[i], w)
			}
		}
	})
}

// sources are the rules of a policy, by place, that entries were made of.
func (s *Space) sources(entries []int32) []int {
	var out []int
	for _, i := range entries {
		out = append(out, s.rules[i].at)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// piece notes what a piece says of the rules that match it; few are those of its
// cell.
func (l *linter) piece(few *check.Policy, c *cell, q *piece, w Packet) {
	for _, i := range c.rules {
		e := &l.s.rules[i]
		if !e.matches(q.Span) {
			continue
		}
		r := &l.rules[e.at]
		first(&r.match, w)
		if q.by[0] == e.src {
			first(&r.decides, w)
		}
		if r.broad != "" && r.lets == nil && q.allow[0] && (q.by[0] == e.src || leavesBy(few, &w) == e.src) {
			first(&r.lets, w)
		}
		if !e.src.Allow && !e.src.Pass && !e.src.Audit {
			l.denies(r, e, few, c, q, w)
		}
	}
}

// leavesBy is the rule that lets a packet leave.
func leavesBy(few *check.Policy, w *Packet) *check.Rule {
	_, by := eval.DecideAt(few, policy.Egress, w.From, w.To, w.Flow)
	return by
}

// denies notes the allows that a deny meets.
func (l *linter) denies(r *lintRule, e *rule, few *check.Policy, c *cell, q *piece, w Packet) {
	if q.allow[0] {
		if by := hider(few, e, &w); by != nil {
			first(&r.hidden, w)
			put(&r.hiders, by)
		}
		return
	}
	for _, i := range c.rules {
		if o := &l.s.rules[i]; o.src.Allow && o.rank == e.rank && o.meets(e) && o.matches(q.Span) {
			first(&r.meet, w)
			put(&r.meets, o.src)
		}
	}
}

// hider is the rule before a deny that lets a packet by it: an allow, or a pass
// of the deny's own tier, at the first end that the deny is read at.
func hider(few *check.Policy, deny *rule, w *Packet) *check.Rule {
	end := max(deny.speaks, policy.Egress)
	for tier := range deny.src.Tier + 1 {
		if by := eval.First(few, tier, end, w.From, w.To, w.Flow, false); by != nil {
			if !by.Pass || tier == deny.src.Tier {
				return by
			}
			continue // a pass leaves the tier, its default included
		}
		if by := few.Defaults[tier]; by != nil && tier < deny.src.Tier {
			return by
		}
	}
	return nil
}

// meets tells whether two rules are read at one end.
func (r *rule) meets(o *rule) bool {
	return r.speaks == policy.BothEnds || o.speaks == policy.BothEnds || r.speaks == o.speaks
}

// first keeps the first packet: a copy, for of most packets none is kept.
func first(to **Packet, w Packet) {
	if *to == nil {
		*to = &w
	}
}

func put(to *map[*check.Rule]bool, r *check.Rule) {
	if *to == nil {
		*to = map[*check.Rule]bool{}
	}
	(*to)[r] = true
}

// named sorts rules by name.
func named[V any](rules map[*check.Rule]V) []*check.Rule {
	return slices.SortedFunc(maps.Keys(rules), func(a, b *check.Rule) int { return cmp.Compare(a.Name, b.Name) })
}

// clashes reports a deny that meets allows.
func (l *linter) clashes(i int, r *check.Rule) []Finding {
	var out []Finding
	if x := &l.rules[i]; x.meet != nil {
		out = append(out, Finding{Kind: Conflict, Note: true, Name: r.Name, At: r.At, Witness: x.meet, Others: named(x.meets),
			Text: "it denies some of what rules of its own rank allow"})
	}
	if x := &l.rules[i]; x.hidden != nil {
		out = append(out, Finding{Kind: Hidden, Name: r.Name, At: r.At, Witness: x.hidden, Others: named(x.hiders),
			Text: "rules that come before it let some of what it denies by"})
	}
	return out
}

// unused reports what no rule names, itself or by a group.
func unused(p *check.Policy) []Finding {
	used := map[string]bool{}
	var use func(*check.Service)
	use = func(x *check.Service) {
		if x == nil || used[x.Name] {
			return
		}
		used[x.Name] = true
		for _, member := range x.Services {
			use(member)
		}
	}
	for _, r := range p.Rules {
		for _, set := range slices.Concat(r.From, r.To) {
			if use(set.Service); set.Service == nil {
				used[set.Name()] = true
			}
		}
	}
	var out []Finding
	for _, x := range p.Services {
		if !used[x.Name] {
			out = append(out, Finding{Kind: Unused, Name: x.Name, At: x.At, Text: "no rule names this service"})
		}
	}
	for _, n := range p.Networks {
		if !used[n.Name] {
			out = append(out, Finding{Kind: Unused, Name: n.Name, At: n.At, Text: "no rule names this network"})
		}
	}
	return out
}

// idle reports the rules that can go: each alone, and each without those that
// were found before it, so that all of them can go together. A deny that is
// all that holds back an allow stays, although the allow does nothing.
func (l *linter) idle() []Finding {
	p := l.s.policies[0]
	var order []int
	for i := range p.Rules {
		order = append(order, i)
	}
	// Those that decide nothing first: of two rules that say the same it is the
	// one that is never named which goes.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(one(l.rules[a].decides), one(l.rules[b].decides)) })
	gone := map[*check.Rule]bool{}
	var out []Finding
	for i := range again(order, &out) {
		r, x := p.Rules[i], &l.rules[i]
		if gone[r] || r.Dormant {
			continue
		}
		f := Finding{Name: r.Name, At: r.At, Witness: x.match}
		if x.match == nil {
			gone[r] = true
			f.Kind, f.Text = Never, "no connection can match it"
			out = append(out, f)
			continue
		}
		if r.Audit {
			continue // it is to change no answer
		}
		if _, idle := l.without(i, map[*check.Rule]bool{r: true}); !idle {
			continue
		}
		gone[r] = true
		by, idle := l.without(i, gone)
		if !idle {
			delete(gone, r)
			continue
		}
		free, byDefault := by[nil]
		delete(by, nil)
		f.Others = named(by)
		switch {
		case x.decides == nil && byDefault:
			f.Kind, f.Text = Idle, "it changes no answer: what it matches is denied without it, and with it"
			if len(by) > 0 {
				f.Text = "it changes no answer: what it matches is denied by default, or others decide it"
			}
		case x.decides == nil:
			f.Kind, f.Text = Shadowed, "other rules decide all that it matches"
		case byDefault && !r.Allow:
			f.Witness = free
			f.Kind, f.Note, f.Text = Guard, true, "no rule allows some of what it denies, and others deny the rest: it guards against rules to come"
			if len(by) == 0 {
				f.Text = "no rule allows any of what it denies: it guards against rules to come"
			}
		default:
			f.Witness = by[f.Others[0]]
			f.Kind, f.Text = Redundant, "without it other rules decide the same"
		}
		out = append(out, f)
	}
	return out
}

// again goes through a list until a whole round has found nothing: what one rule
// holds in its place may be free when another is gone.
func again(list []int, found *[]Finding) iter.Seq[int] {
	return func(yield func(int) bool) {
		for before := -1; before < len(*found); {
			before = len(*found)
			for _, i := range list {
				if !yield(i) {
					return
				}
			}
		}
	}
}

func one(w *Packet) int {
	if w == nil {
		return 0
	}
	return 1
}

// without asks whether all that a rule matches is decided alike when some rules
// are gone, and by whom then, each with the first packet.
func (l *linter) without(i int, gone map[*check.Rule]bool) (by map[*check.Rule]*Packet, same bool) {
	by = map[*check.Rule]*Packet{}
	for _, x := range l.rules[i].seen {
		few := l.s.only(0, x.cell.rules)
		few.Rules = slices.DeleteFunc(few.Rules, func(r *check.Rule) bool { return gone[r] })
		for _, q := range x.cell.pieces {
			w, exists := l.s.packet(x.from, x.to, q.Span)
			if !exists || !l.matches(i, x.cell, q.Span) {
				continue
			}
			allow, who := eval.Decide(few, w.From, w.To, w.Flow)
			if allow != q.allow[0] || allow && who.Stateless != q.by[0].Stateless {
				return nil, false
			}
			if by[who] == nil {
				by[who] = &Packet{w.From, w.To, w.Flow, w.Source} // w itself would be kept of each piece
			}
		}
	}
	return by, true
}

// matches tells whether a rule matches a piece of a cell.
func (l *linter) matches(i int, c *cell, p Span) bool {
	return slices.ContainsFunc(c.rules, func(e int32) bool { return l.s.rules[e].at == i && l.s.rules[e].matches(p) })
}
