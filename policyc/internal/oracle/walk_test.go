package oracle

import (
	"fmt"
	"maps"
	"slices"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// asSwitch holds the walk against eval: where a frame ends, why, by which rule,
// what the rules have counted, which sessions there are, and what a trace says
// is nearest. Where the switch has met the questions before, by another policy,
// the sessions of then are asked about again. If answers are wanted, each packet
// that has passed is answered.
func (m *meanings) asSwitch(b *box, answers bool) string {
	asked, refused := m.packets()
	c := &count{m: m, b: b, rules: make([]uint64, len(b.worker.Counters.Rules)), audits: map[string]uint64{}}
	for part := range slices.Chunk(asked, sessionsMost) {
		if len(asked) > sessionsMost {
			c.fail(b.renew())
		}
		c.questions(part)
		if answers {
			c.answers(part)
		}
	}
	if got := b.worker.Counters.Rules; !slices.Equal(got, c.rules) {
		c.note("at %d the rules' counters are %v, not %v", m.now, got, c.rules)
	}
	got := map[string]uint64{}
	for i, n := range b.worker.Counters.Audits {
		if n != 0 {
			got[m.tables.Name(policy.RuleID(i))] += n // a rule on ports by name is several there
		}
	}
	if !maps.Equal(got, c.audits) {
		c.note("at %d the audits' counters are %v, not %v", m.now, got, c.audits)
	}
	c.fail(b.run(m.parcels(refused), func(p parcel, f *packet.Frame) {
		if f.Egress != packet.NoPort {
			c.note("%s: the switch sends it by port %d, and must not whatever the policy says", m.say(p.probe), f.Egress)
		}
	}))
	return c.problem
}

// count is what the switch must have counted, and what was wrong first.
type count struct {
	m       *meanings
	b       *box
	rules   []uint64          // by number; the default deny is the last
	audits  map[string]uint64 // by name
	problem string
}

func (c *count) note(format string, args ...any) {
	if c.problem == "" {
		c.problem = fmt.Sprintf(format, args...)
	}
}

func (c *count) fail(err error) {
	if err != nil {
		c.note("%v", err)
	}
}

// questions asks with the packets that open connections, and looks at which
// sessions there are then.
func (c *count) questions(part []probe) {
	open, denied := 0, 0
	list := c.m.parcels(part)
	c.fail(c.b.run(list, func(p parcel, f *packet.Frame) {
		v := c.m.said[p.probe]
		end := c.b.ending(p.probe, v)
		c.ends(p, f, end)
		if end.reason == drop.None && !v.stateless() {
			open++
		}
	}))
	if got := c.b.open(); got != open {
		c.note("at %d there are %d sessions, not %d", c.m.now, got, open)
	}
	for _, p := range list {
		if c.b.ending(p.probe, c.m.said[p.probe]).reason != drop.NoRule || len(c.m.about.p.Rules) >= 2000 {
			continue
		}
		if denied++; denied%20 == 0 {
			near, err := c.b.explain(p)
			if want := c.m.tables.Nearest(p.from, p.to, p.flow); err != nil || near != want {
				c.note("%s: the nearest is %q, a trace says %q (%v)", c.m.say(p.probe), want, near, err)
			}
		}
	}
}

// answers answers what has passed.
func (c *count) answers(part []probe) {
	var list []parcel
	var ends []ending
	for i, p := range c.m.parcels(part) {
		v := c.m.said[p.probe]
		if end := c.b.ending(p.probe, v); end.reason != drop.None || !opens(p.probe) || c.m.isError(p.probe) {
			continue
		}
		back := c.m.answer(part[i], p.Spec)
		list = append(list, back)
		ends = append(ends, c.b.answered(p.probe, v, back.probe, c.m.about.decide(back.probe)))
	}
	c.fail(c.b.run(list, func(p parcel, f *packet.Frame) {
		c.ends(p, f, ends[0])
		ends = ends[1:]
	}))
}

// ends holds one frame against how it must end, and counts it.
func (c *count) ends(p parcel, f *packet.Frame, end ending) {
	got := ""
	if f.Rule != 0 {
		got = c.m.tables.Name(policy.RuleID(f.Rule - 1))
	}
	if f.Egress != end.egress || f.Reason != end.reason || got != nameOf(end.by) {
		c.note("%s: at %d meant %s, the switch says port %d, %s, by %q, not port %d, %s, by %q",
			c.m.say(p.probe), c.m.now, c.m.said[p.probe], f.Egress, f.Reason, got, end.egress, end.reason, nameOf(end.by))
	}
	if end.hit {
		c.rules[min(int(f.Rule-1), len(c.rules)-1)]++ // 0 - 1 is beyond all: the default
	}
	if end.audit != nil {
		c.audits[end.audit.Name]++
	}
}
