package analyze

import (
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

// Said is what a policy says to a packet.
type Said struct {
	Allow bool
	By    *check.Rule // nil: the default
}

// Change is a rectangle of connections that two policies decide differently.
type Change struct {
	From, To, Ports []string
	Witness         Packet
	Old, New        Said
	spans           []Span
}

// Difference is all that two policies decide differently: what becomes allowed,
// what becomes denied, and of what stays allowed that which has a session, and so
// its replies, in one of the two only.
type Difference struct{ Allowed, Denied, Sessions []Change }

// Empty tells whether the policies mean the same.
func (d *Difference) Empty() bool { return len(d.Allowed)+len(d.Denied)+len(d.Sessions) == 0 }

// Diff compares two policies cell by cell, where a rule is that one of them has
// and the other has not.
func Diff(old, new *check.Policy) (*Difference, error) {
	parts, changed := affected(old, new)
	if !changed {
		return &Difference{}, nil
	}
	return diffOf([]*check.Policy{old, new}, parts)
}

// diffOf compares parts of two whole policies.
func diffOf(whole, parts []*check.Policy) (*Difference, error) {
	s, err := newSpace(whole, parts...)
	if err != nil {
		return nil, err
	}
	allowed, denied, sessions := s.gather(), s.gather(), s.gather()
	differs := func(c *cell, _ families) bool {
		for i := range c.pieces {
			if q := &c.pieces[i]; q.allow[0] != q.allow[1] || q.sessions() {
				return true
			}
		}
		return false
	}
	s.pairs(differs, func(p pair) {
		for i := range p.cell.pieces {
			switch q := &p.cell.pieces[i]; {
			case q.allow[1] && !q.allow[0]:
				allowed.add(p.from, p.to, q.Span)
			case q.allow[0] && !q.allow[1]:
				denied.add(p.from, p.to, q.Span)
			case q.sessions():
				sessions.add(p.from, p.to, q.Span)
			}
		}
	})
	return &Difference{s.changes(allowed), s.changes(denied), s.changes(sessions)}, nil
}

// sessions tells whether both policies allow a piece, and one without state.
func (q *piece) sessions() bool {
	return q.allow[0] && q.allow[1] && q.by[0].Stateless != q.by[1].Stateless
}

// gather collects pairs of classes.
func (s *Space) gather() *gather {
	return &gather{columns: len(s.classes), exists: func(from, to int) families {
		return s.classes[from].families & s.classes[to].families
	}}
}

// changes puts what was gathered in words, each with a witness.
func (s *Space) changes(g *gather) []Change {
	var out []Change
	for _, x := range g.strata() {
		for _, r := range s.rectangles(x.pairs) {
			c := Change{From: r.from, To: r.to, spans: x.spans, Ports: s.portWords(x.spans, s.familiesOf(x.pairs))}
			c.Witness = s.firstPacket(r.at, x.spans)
			c.Old, c.New = said(s.policies[0], c.Witness), said(s.policies[1], c.Witness)
			out = append(out, c)
		}
	}
	return out
}

// firstPacket is the least packet of a pair on some spans: one is there, since
// the pair was gathered.
func (s *Space) firstPacket(at [2]int, spans []Span) Packet {
	for _, p := range join(spans) {
		if packet, exists := s.packet(at[0], at[1], p); exists {
			return packet
		}
	}
	return Packet{}
}

// familiesOf are those that the pairs of a relation can be of.
func (s *Space) familiesOf(r relation) families {
	var m families
	for from, columns := range r {
		columns.each(func(to int) { m |= s.classes[from].families & s.classes[to].families })
	}
	return m
}

// said asks a policy about a packet.
func said(p *check.Policy, w Packet) Said {
	allow, by := eval.Decide(p, w.From, w.To, w.Flow)
	return Said{allow, by}
}
