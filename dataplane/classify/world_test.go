package classify

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// world is a policy and the identities that ask it.
type world struct {
	rs   *policy.Ruleset
	sets [][]uint32 // by identity
}

// newWorld draws a valid policy of so many rules: services, networks nested in
// one another, and identities in any mix of them. The first is in none.
func newWorld(r *rand.Rand, rules int) world {
	w := world{rs: &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}}
	services := 1 + r.IntN(30)
	for i := range services {
		w.rs.Sets = append(w.rs.Sets, policy.Set{Kind: policy.KindService, Name: fmt.Sprintf("s%02d", i),
			Selector: policy.Selector{{{Key: "s", Op: policy.OpIn, Values: []string{fmt.Sprint(i)}}}}})
	}
	prefixes := drawPrefixes(r, 1+r.IntN(20))
	for i, p := range prefixes {
		w.rs.Sets = append(w.rs.Sets, policy.Set{Kind: policy.KindNetwork, Name: fmt.Sprintf("n%02d", i), Prefixes: []netip.Prefix{p}})
	}
	for i := range rules {
		w.rs.Rules = append(w.rs.Rules, drawRule(r, i, len(w.rs.Sets)))
	}
	w.sets = drawIdentities(r, w.rs, prefixes, services)
	return w
}

// drawPrefixes draws prefixes that lie in one another more often than not.
func drawPrefixes(r *rand.Rand, n int) []netip.Prefix {
	var out []netip.Prefix
	for len(out) < n {
		a := netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(256))})
		p := netip.PrefixFrom(a, r.IntN(33)).Masked()
		if slices.Contains(out, p) {
			p = netip.PrefixFrom(a, 32)
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// drawIdentities draws one for an address at each edge of each prefix, and as
// many endpoints in random services.
func drawIdentities(r *rand.Rand, rs *policy.Ruleset, prefixes []netip.Prefix, services int) [][]uint32 {
	out := [][]uint32{nil}
	for _, p := range prefixes {
		first := p.Addr()
		for _, a := range []netip.Addr{first, first.Prev(), last(p), last(p).Next()} {
			if a.IsValid() {
				out = append(out, numbersOf(rs.NetworksOf(a)))
			}
		}
	}
	for range len(out) + services {
		sets := numbersOf(rs.NetworksOf(prefixes[r.IntN(len(prefixes))].Addr()))
		for range r.IntN(4) {
			sets = append(sets, uint32(1+r.IntN(services)))
		}
		slices.Sort(sets)
		out = append(out, slices.Compact(sets))
	}
	return out
}

func last(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

func numbersOf(sets []policy.SetID) []uint32 {
	var out []uint32
	for _, s := range sets {
		out = append(out, uint32(s))
	}
	return out
}

// drawOrder gives rules tiers, passes and directions, and their order.
func (w *world) drawOrder(r *rand.Rand) {
	for i := range w.rs.Rules {
		rule := &w.rs.Rules[i]
		rule.Tier, rule.Precedence, rule.Verdict = uint32(r.IntN(4)), uint32(r.IntN(3)), policy.Verdict(r.IntN(3))
		if r.IntN(2) == 0 {
			rule.Direction = policy.Direction(r.IntN(3))
		}
		rule.Audit = rule.Verdict == policy.Deny && r.IntN(3) == 0
		rule.Stateless = rule.Verdict == policy.Allow && r.IntN(3) == 0
		rule.Dormant = r.IntN(5) == 0
	}
	w.order()
}

// order puts the rules in their order.
func (w *world) order() {
	slices.SortStableFunc(w.rs.Rules, func(a, b policy.Rule) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Precedence, b.Precedence), cmp.Compare(a.Verdict, b.Verdict))
	})
}

func drawRule(r *rand.Rand, number, sets int) policy.Rule {
	side := func() []policy.SetID {
		out := []policy.SetID{policy.SetID(r.IntN(sets))}
		for r.IntN(3) == 0 {
			out = append(out, policy.SetID(r.IntN(sets)))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	rule := policy.Rule{Name: fmt.Sprintf("r%d", number), Verdict: policy.Verdict(r.IntN(2)), From: side(), To: side()}
	for range 1 + r.IntN(4) {
		rule.Ports = append(rule.Ports, drawPort(r))
	}
	slices.SortFunc(rule.Ports, policy.ComparePort)
	rule.Ports = slices.Compact(rule.Ports)
	return rule
}

// edges are where ranges begin and end: few, so that ranges meet.
var edges = []uint16{0, 1, 22, 23, 80, 0x0300, 0x03ff, 0x0800, 443, 1023, 1024, 8080, 0x7fff, 0x8000, 65534, 65535}

func drawRange(r *rand.Rand) (lo, hi uint16) {
	if r.IntN(3) == 0 {
		return 0, 65535
	}
	lo, hi = edges[r.IntN(len(edges))], edges[r.IntN(len(edges))]
	return min(lo, hi), max(lo, hi)
}

func drawPort(r *rand.Rand) policy.Port {
	p := policy.Port{SrcHi: 65535, DstHi: 65535}
	switch r.IntN(8) {
	case 0:
		p.Proto = policy.AnyProto
	case 1:
		p.Proto = uint16(r.IntN(256))
	case 2: // ICMP: the type, with one code or all
		p.Proto, p.DstLo = []uint16{1, 58}[r.IntN(2)], uint16(r.IntN(4)*3<<8)
		p.DstHi = p.DstLo + uint16(r.IntN(2)*255)
	case 3:
		p.Proto = 17
		p.SrcLo, p.SrcHi = drawRange(r)
		p.DstLo, p.DstHi = drawRange(r)
	default:
		p.Proto = []uint16{6, 17, 132}[r.IntN(3)]
		p.DstLo, p.DstHi = drawRange(r)
	}
	return p
}

// flow is a question to the policy.
type flow struct {
	from, to     identity.ID
	proto        uint8
	sport, dport uint16
}

// drawFlow draws a question whose fields come from the corners of rules, each
// perhaps of another one.
func (w *world) drawFlow(r *rand.Rand) flow {
	port := func() policy.Port {
		if len(w.rs.Rules) == 0 {
			return drawPort(r)
		}
		ports := w.rs.Rules[r.IntN(len(w.rs.Rules))].Ports
		return ports[r.IntN(len(ports))]
	}
	p, q := port(), port()
	f := flow{from: identity.ID(r.IntN(len(w.sets))), to: identity.ID(r.IntN(len(w.sets))), proto: uint8(p.Proto)}
	if r.IntN(4) > 0 {
		q = p
	}
	if p.Proto == policy.AnyProto {
		f.proto = uint8(r.IntN(256))
	}
	f.sport, f.dport = corner(r, q.SrcLo, q.SrcHi), corner(r, q.DstLo, q.DstHi)
	return f
}

// corner returns lo-1, lo, hi or hi+1, wherever that is.
func corner(r *rand.Rand, lo, hi uint16) uint16 {
	return [...]uint16{lo - 1, lo, hi, hi + 1}[r.IntN(4)]
}

func (w *world) link(t testing.TB) *Engine {
	t.Helper()
	e, err := Link(w.rs, w.sets)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// linkSplit links under a split of either side drawn from those there are, in
// tables of either form.
func (w *world) linkSplit(t testing.TB, r *rand.Rand) *Engine {
	t.Helper()
	l, err := newLinkerBy(w.rs, w.sets, func(_ *bundles, src, dst *side) (plan, error) {
		sources, dests := src.splits(), dst.splits()
		p := plan{src: sources[r.IntN(len(sources))], dst: dests[r.IntN(len(dests))]}
		for i := range 4 {
			p.matrix[i/2][i%2] = r.IntN(2) == 0
		}
		return p, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l.Engine()
}

func (w *world) linear(f flow) (policy.RuleID, policy.Verdict) {
	return Linear{w.rs}.Decide(w.sets[f.from], w.sets[f.to], f.proto, f.sport, f.dport)
}

func (e *Engine) ask(f flow) (policy.RuleID, policy.Verdict) {
	return e.Decide(f.from, f.to, f.proto, f.sport, f.dport)
}

// questions are flows, as DecideAll takes them.
type questions struct {
	from, to []identity.ID
	headers  []Header
}

func questionsOf(flows []flow) (q questions) {
	for _, f := range flows {
		q.from, q.to = append(q.from, f.from), append(q.to, f.to)
		q.headers = append(q.headers, Header{Sport: f.sport, Dport: f.dport, Proto: f.proto})
	}
	return q
}

// together holds answers in a batch against those one by one.
func together(t testing.TB, e *Engine, flows []flow) {
	t.Helper()
	q, answers := questionsOf(flows), make([]Answer, len(flows))
	e.DecideAll(q.from, q.to, q.headers, answers)
	for i, f := range flows {
		if rule, verdict := e.ask(f); answers[i] != (Answer{rule, verdict}) {
			t.Fatalf("%+v: %+v in a batch, rule %d, %d alone", f, answers[i], int32(rule), verdict)
		}
	}
}

// agree holds the tables against the list for so many questions.
func (w *world) agree(t testing.TB, e *Engine, r *rand.Rand, questions int) {
	t.Helper()
	flows := make([]flow, 0, questions)
	defer func() { together(t, e, flows) }()
	for range questions {
		f := w.drawFlow(r)
		flows = append(flows, f)
		rule, verdict := e.ask(f)
		if wantRule, want := w.linear(f); rule != wantRule || verdict != want {
			t.Fatalf("%+v, of sets %v to %v: the tables say rule %d, %d; the list says rule %d, %d",
				f, w.sets[f.from], w.sets[f.to], int32(rule), verdict, int32(wantRule), want)
		}
		w.auditsAgree(t, e, f)
	}
}

// auditsAgree holds what would have been denied against the list.
func (w *world) auditsAgree(t interface{ Fatalf(string, ...any) }, e *Engine, f flow) {
	rule, found := e.WouldDeny(f.from, f.to, f.proto, f.sport, f.dport)
	wantRule, want := Linear{w.rs}.WouldDeny(w.sets[f.from], w.sets[f.to], f.proto, f.sport, f.dport)
	if found != want || found && rule != wantRule {
		t.Fatalf("%+v: the tables say that rule %d would have denied it, %v; the list says %d, %v", f, int32(rule), found, int32(wantRule), want)
	}
}

// newLinkerBy is NewLinker under the plans of a choice.
func newLinkerBy(rs *policy.Ruleset, sets [][]uint32, choose choice) (*Linker, error) {
	d, err := NewDraft(rs)
	if err != nil {
		return nil, err
	}
	return d.link(sets, choose)
}
