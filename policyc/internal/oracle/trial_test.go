package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

// trial is a policy, who asks, what, and when. People and questions stay when
// statements are left out to find the least that still goes wrong.
type trial struct {
	seed       uint64
	statements []worlds.Statement
	people     []check.Subject
	probes     []probe
	times      []int64 // at each of which the questions are asked
	now        int64   // the one that a view is of
	allowed    int     // questions to which the policy says yes, once they have been asked

	// What has been made of the statements; nil: not yet.
	source *check.Policy
	rules  *policy.Ruleset
	read   *about // at now
}

// saying is the trial with other statements.
func (x *trial) saying(statements []worlds.Statement) *trial {
	y := *x
	y.statements, y.source, y.rules, y.read = statements, nil, nil, nil
	return &y
}

// at is the trial at a time.
func (x *trial) at(now int64) *trial {
	y := *x
	y.now, y.read = now, nil
	return &y
}

// probe is one question: may people[from] connect people[to]?
type probe struct {
	from, to int
	flow     eval.Flow
}

// newTrial draws a world and questions about it.
func newTrial(t *testing.T, seed uint64, size func(*rand.Rand) worlds.Size, people, probes int) *trial {
	t.Helper()
	r := numbers(seed)
	w := worlds.Draw(r, size(r))
	x := &trial{seed: seed, statements: w.Statements, people: w.People(r, people)}
	for range 2 {
		x.times = append(x.times, worlds.Seconds[r.IntN(len(worlds.Seconds))])
	}
	x.now = x.times[0]
	about, err := x.about()
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	x.draw(r, about, probes)
	return x
}

// draw draws questions. In a small world that is nearly all there are. In a
// large one two people are mostly none of a rule's business: so half of the
// questions are asked by those that a rule names, at the edges of its ports.
func (x *trial) draw(r *rand.Rand, a *about, n int) {
	flows, ports := worlds.Flows(a.p), worlds.Sources(a.p)
	for len(x.probes) < n {
		q := probe{r.IntN(len(x.people)), r.IntN(len(x.people)), flows[r.IntN(len(flows))]}
		if q.flow = worlds.From(q.flow, uint16(r.IntN(1<<16))); r.IntN(2) == 0 {
			q.flow = worlds.From(q.flow, ports[r.IntN(len(ports))])
		}
		if r.IntN(2) == 0 {
			q = aimed(r, a, q)
		}
		if x.people[q.from].Addr.Is4() == x.people[q.to].Addr.Is4() && q.from != q.to {
			x.probes = append(x.probes, q)
		}
	}
}

// aimed makes a question one that a rule is about, to somebody whom it names, if
// there is one that names who asks.
func aimed(r *rand.Rand, a *about, q probe) probe {
	rules := a.from[q.from]
	if len(rules) == 0 {
		return q
	}
	rule := rules[r.IntN(len(rules))]
	for range 50 { // in a city most rules are about people who are not here
		if to := a.named(r, rule); to >= 0 && to != q.from {
			q.to = to
			break
		}
		rule = rules[r.IntN(len(rules))]
	}
	ports := a.p.Rules[rule].AllPorts()
	if port := ports[r.IntN(len(ports))]; port.Proto != policy.AnyProto {
		dst := []uint16{port.DstLo - 1, port.DstLo, port.DstHi, port.DstHi + 1}[r.IntN(4)]
		if q.flow = worlds.From(eval.Flow{Proto: uint8(port.Proto), Dst: dst}, q.flow.Src); port.SrcLo > 0 || port.SrcHi < 65535 {
			q.flow.Src = worlds.FromOf(r, port)
		}
	}
	return q
}

// named is one of the people whom a rule names as destination; -1: there is none.
func (a *about) named(r *rand.Rand, rule int32) int {
	first := r.IntN(len(a.people))
	for i := range a.people {
		to := (first + i) % len(a.people)
		if _, found := slices.BinarySearch(a.to[to], rule); found {
			return to
		}
	}
	return -1
}

func sources(files []string) []compile.Source {
	var out []compile.Source
	for i, text := range files {
		out = append(out, compile.Source{Name: fmt.Sprintf("p%d.toml", i), Text: []byte(text)})
	}
	return out
}

// read reads a policy, or says what is wrong with it.
func read(statements []worlds.Statement) (*check.Policy, string) {
	return readFiles(worlds.Files(statements))
}

func readFiles(files []string) (*check.Policy, string) {
	p, findings := compile.Read(sources(files))
	if findings.Failed() {
		var out strings.Builder
		_ = findings.Render(&out)
		return nil, out.String()
	}
	return p, ""
}

// built is a policy's ruleset after it has been written and read: what a switch
// loads.
func built(p *check.Policy) (*policy.Ruleset, error) {
	data, err := policy.Encode(compile.Lower(p, compile.Options{}))
	if err != nil {
		return nil, err
	}
	return policy.Decode(data)
}

func (x *trial) String() string {
	return fmt.Sprintf("BULKHEAD_SEED=%d, at %d, in %d statements:\n%s", x.seed, x.times, len(x.statements), strings.Join(worlds.Files(x.statements), "# next file\n"))
}

func (x *trial) say(q probe) string {
	word := func(s check.Subject) string {
		if s.Labels == nil {
			return s.Addr.String() + " outside"
		}
		return fmt.Sprintf("%s %v", s.Addr, s.Labels)
	}
	return fmt.Sprintf("%s -> %s, protocol %d, %d from %d", word(x.people[q.from]), word(x.people[q.to]), q.flow.Proto, q.flow.Dst, q.flow.Src)
}
