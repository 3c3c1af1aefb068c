package analyze

import (
	"cmp"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// Route is a rectangle of connections that one rule allows.
type Route struct {
	From, To, Ports []string
	Rule            *check.Rule
	Witness         Packet
	spans           []Span
}

// Question is who may reach whom on what; what is nil is asked for.
type Question struct {
	From, To *check.Subject
	Ports    []policy.Port // none: every port
}

// Reach answers a question with all that is allowed in the space, by rule.
func (s *Space) Reach(q Question) []Route {
	switch {
	case q.From == nil && q.To == nil:
		return s.everywhere(q)
	case q.From != nil && q.To != nil:
		return s.between(q)
	}
	return s.oneSide(q)
}

// byRule gathers what rules allow, a rule each.
type byRule struct {
	order []*check.Rule
	rules map[*check.Rule]*gather
}

func (b *byRule) of(r *check.Rule, make func() *gather) *gather {
	if b.rules[r] == nil {
		b.rules[r] = make()
		b.order = append(b.order, r)
	}
	return b.rules[r]
}

// sorted is the rules by name.
func (b *byRule) sorted() []*check.Rule {
	slices.SortFunc(b.order, func(x, y *check.Rule) int { return cmp.Compare(name(x), name(y)) })
	return b.order
}

func name(r *check.Rule) string {
	if r == nil {
		return ""
	}
	return r.Name
}

// allowed calls f with what a cell allows of the asked ports.
func (s *Space) allowed(c *cell, q Question, f func(Span, *check.Rule)) {
	for _, p := range c.pieces {
		if !p.allow[0] {
			continue
		}
		for _, span := range s.asked(p.Span, q.Ports) {
			f(span, p.by[0])
		}
	}
}

// asked cuts a span down to the ports that are asked about. A protocol that no
// rule names is answered for by the rest.
func (s *Space) asked(p Span, ports []policy.Port) []Span {
	if len(ports) == 0 {
		return []Span{p}
	}
	var out []Span
	for _, q := range ports {
		_, named := slices.BinarySearch(s.protos, q.Proto)
		switch both, some := p.and(spanOf(q)); {
		case q.Proto == policy.AnyProto, p.Proto == rest && !named:
			return []Span{p}
		case some:
			out = append(out, both)
		}
	}
	return join(out)
}

func (s *Space) everywhere(q Question) []Route {
	by := &byRule{rules: map[*check.Rule]*gather{}}
	some := func(c *cell, _ families) bool {
		return slices.ContainsFunc(c.pieces, func(p piece) bool { return p.allow[0] })
	}
	s.pairs(some, func(p pair) {
		s.allowed(p.cell, q, func(span Span, r *check.Rule) { by.of(r, s.gather).add(p.from, p.to, span) })
	})
	var out []Route
	for _, r := range by.sorted() {
		for _, x := range by.rules[r].strata() {
			for _, rect := range s.rectangles(x.pairs) {
				out = append(out, Route{rect.from, rect.to, s.portWords(x.spans, s.familiesOf(x.pairs)), r, s.firstPacket(rect.at, x.spans), x.spans})
			}
		}
	}
	return out
}

// known is a subject in the terms of a space.
type known struct {
	check.Subject
	from, to []int32 // the rules that it can be the source, the destination of
	families families
}

// know finds the rules that can meet a subject.
func (s *Space) know(x check.Subject) *known {
	in := s.setsOf(x)
	k := &known{Subject: x, families: both}
	if x.Addr.IsValid() {
		k.families = 1 << familyOf(x.Addr)
	}
	s.file()
	k.from = union(collect(s.fromSet, in), s.fromAny)
	k.to = union(collect(s.toSet, in), s.toAny)
	return k
}

func (s *Space) setsOf(x check.Subject) []int32 {
	var in []int32
	if x.Addr.IsValid() {
		in = networksOf(s.sets, x.Addr)
	}
	if x.Labels == nil && policy.CanBeOutside(x.Addr) {
		in = append(in, s.outsideSet()...)
	}
	if x.Labels != nil {
		for _, set := range s.services().ServicesOf(x.Labels)[1:] { // the first is Any
			in = append(in, int32(set)-1)
		}
	}
	slices.Sort(in)
	return in
}

// services finds services by labels; their numbers are greater by one than here.
func (s *Space) services() *policy.Index {
	if s.index == nil {
		sets := []policy.Set{{Kind: policy.KindAny}}
		for _, set := range s.sets {
			sets = append(sets, policy.Set{Kind: set.Kind, Selector: set.Selector})
		}
		s.index = policy.NewIndex(&policy.Ruleset{Sets: sets})
	}
	return s.index
}

// shared is what is in both of two ascending lists.
func shared(a, b []int32) []int32 {
	var out []int32
	for _, i := range a {
		if _, found := slices.BinarySearch(b, i); found {
			out = append(out, i)
		}
	}
	return out
}

// oneSide answers who may reach somebody, or whom somebody may reach.
func (s *Space) oneSide(q Question) []Route {
	outward := q.From != nil
	subject := q.To
	if outward {
		subject = q.From
	}
	k := s.know(*subject)
	exists := func(class, _ int) families { return s.classes[class].families & k.families }
	by := &byRule{rules: map[*check.Rule]*gather{}}
	for i := range s.classes {
		m := exists(i, 0)
		if m == 0 {
			continue
		}
		list := shared(union(s.classes[i].from, s.fromAny), k.to)
		if outward {
			list = shared(k.from, union(s.classes[i].to, s.toAny))
		}
		c := s.cell(list, func() (check.Subject, check.Subject) { return ends(outward, k.Subject, s.subject(i, m)) })
		s.allowed(c, q, func(span Span, r *check.Rule) {
			by.of(r, func() *gather { return &gather{columns: 1, exists: exists} }).add(i, 0, span)
		})
	}
	var out []Route
	for _, r := range by.sorted() {
		for _, x := range by.rules[r].strata() {
			out = append(out, s.route(k, outward, r, x))
		}
	}
	return out
}

func ends(outward bool, k, other check.Subject) (from, to check.Subject) {
	if outward {
		return k, other
	}
	return other, k
}

// route puts one stratum of one side in words.
func (s *Space) route(k *known, outward bool, r *check.Rule, x stratum) Route {
	need, may := newBits(len(s.classes)), newBits(len(s.classes))
	var m families
	for i := range s.classes {
		_, there := x.pairs[i]
		if there {
			need.add(i)
			m |= s.classes[i].families & k.families
		}
		if there || s.classes[i].families&k.families&x.families() == 0 {
			may.add(i)
		}
	}
	out := Route{Ports: s.portWords(x.spans, m), Rule: r, spans: x.spans}
	words := s.describe(need, may).terms
	out.From, out.To = []string{k.Text}, words
	if !outward {
		out.From, out.To = words, []string{k.Text}
	}
	for _, p := range join(x.spans) {
		for _, i := range x.pairs.rows() {
			if m := s.classes[i].families & k.families & p.families(); m != 0 {
				out.Witness.From, out.Witness.To = ends(outward, k.Subject, s.peer(i, m, k.Subject))
				out.Witness.Flow, out.Witness.Source = s.flow(p), !p.allSources()
				return out
			}
		}
	}
	return out
}

// families are those that a stratum's spans can be of.
func (x *stratum) families() families {
	var m families
	for _, p := range x.spans {
		m |= p.families()
	}
	return m
}

// cellOf is the cell of two subjects.
func (s *Space) cellOf(from, to *known) *cell {
	return s.cell(shared(from.from, to.to), func() (check.Subject, check.Subject) { return from.Subject, to.Subject })
}

// between answers on what somebody may reach somebody.
func (s *Space) between(q Question) []Route {
	from, to := s.know(*q.From), s.know(*q.To)
	m := from.families & to.families
	spans := map[*check.Rule][]Span{}
	by := &byRule{rules: map[*check.Rule]*gather{}}
	s.allowed(s.cellOf(from, to), q, func(span Span, r *check.Rule) {
		if m&span.families() != 0 {
			by.of(r, s.gather)
			spans[r] = append(spans[r], span)
		}
	})
	var out []Route
	for _, r := range by.sorted() {
		list := join(spans[r])
		out = append(out, Route{[]string{from.Text}, []string{to.Text}, s.portWords(list, m), r, Packet{from.Subject, to.Subject, s.flow(list[0]), !list[0].allSources()}, list})
	}
	return out
}
