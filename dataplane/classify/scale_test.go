package classify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// city draws a policy of the size that one may meet: many services, most
// endpoints in one of them and in a few that cut across, such as an
// environment and a team; rules between services, some from any, each for a
// port of its own or a range.
func city(r *rand.Rand, services, rules, endpoints int) world {
	const across = 60
	w := world{rs: &policy.Ruleset{Sets: make([]policy.Set, 1+across+services)}, sets: [][]uint32{nil}}
	for i := range w.rs.Sets[1:] {
		w.rs.Sets[i+1] = policy.Set{Kind: policy.KindService, Name: fmt.Sprintf("s%05d", i)}
	}
	service := func() policy.SetID { return policy.SetID(1 + across + r.IntN(services)) }
	side := func() []policy.SetID {
		switch r.IntN(500) {
		case 0:
			return []policy.SetID{policy.Any}
		case 1, 2, 3, 4, 5:
			return []policy.SetID{policy.SetID(1 + r.IntN(across))}
		}
		return []policy.SetID{service()}
	}
	for i := range rules {
		p := policy.Port{Proto: []uint16{6, 6, 6, 17}[r.IntN(4)], SrcHi: 65535, DstLo: uint16(r.IntN(65536))}
		p.DstHi = p.DstLo
		if r.IntN(10) == 0 {
			p.DstHi = uint16(min(65535, int(p.DstLo)+r.IntN(100)))
		}
		verdict := policy.Allow
		if i < rules/10 {
			verdict = policy.Deny
		}
		w.rs.Rules = append(w.rs.Rules, policy.Rule{Name: fmt.Sprintf("r%d", i), Verdict: verdict, From: side(), To: side(), Ports: []policy.Port{p}})
	}
	for range endpoints {
		sets := []uint32{0, uint32(service()), uint32(1 + r.IntN(across/2)), uint32(1 + across/2 + r.IntN(across/2))}
		if r.IntN(10) == 0 {
			sets = append(sets, uint32(service()))
		}
		slices.Sort(sets)
		w.sets = append(w.sets, slices.Compact(sets))
	}
	return w
}

// More rules, services and identities than 16 bits number: the tables stay
// small, are made in seconds, and agree with the list on the last as on the
// first.
func TestCityOf70000Rules10000Services100000Endpoints(t *testing.T) {
	r := random(t)
	w := city(r, 10_000, 70_000, 100_000)
	start := time.Now()
	e := w.link(t)
	took, stats := time.Since(start), e.Stats()
	t.Logf("%v, %+v", took.Round(time.Millisecond), stats)
	if stats.Bytes > 96<<20 {
		t.Errorf("%d MiB of tables", stats.Bytes>>20)
	}
	if took > 60*time.Second { // a race detector and a busy machine
		t.Errorf("linked in %v", took)
	}
	w.agreeAlong(t, e, r, 250)
}

// agreeAlong asks along rules, so that most questions are answered by one:
// from an identity of its sources to one of its destinations. Every other rule is
// one of those beyond the 65,536th, which by chance alone are seldom asked.
func (w *world) agreeAlong(t *testing.T, e *Engine, r *rand.Rand, questions int) {
	t.Helper()
	members := make([][]uint32, len(w.rs.Sets))
	for id, sets := range w.sets {
		for _, s := range sets {
			members[s] = append(members[s], uint32(id))
		}
	}
	high := 0
	const first = 1 << 16 // that 16 bits do not number
	for i := range questions {
		rule := &w.rs.Rules[r.IntN(len(w.rs.Rules))]
		if i%2 == 0 {
			rule = &w.rs.Rules[first+r.IntN(len(w.rs.Rules)-first)]
		}
		from, to := members[rule.From[0]], members[rule.To[0]]
		if len(from) == 0 || len(to) == 0 {
			continue
		}
		p := rule.Ports[0]
		f := flow{proto: uint8(p.Proto), sport: 1234, dport: corner(r, p.DstLo, p.DstHi)}
		f.from, f.to = identity.ID(from[r.IntN(len(from))]), identity.ID(to[r.IntN(len(to))])
		got, verdict := e.ask(f)
		if want, wantVerdict := w.linear(f); got != want || verdict != wantVerdict {
			t.Fatalf("%+v: the tables say rule %d, %d; the list says %d, %d", f, int32(got), verdict, int32(want), wantVerdict)
		}
		if got != policy.NoRule && got >= first {
			high++
		}
	}
	if high == 0 {
		t.Error("no question was answered by a rule beyond the 65,536th")
	}
}

// One pair of services, 70,000 rules between them: a list longer than 16 bits
// number.
func TestSeventyThousandRulesBetweenTwoServices(t *testing.T) {
	r := random(t)
	w := world{rs: &policy.Ruleset{Sets: make([]policy.Set, 3)}, sets: [][]uint32{nil, {0, 1}, {0, 2}}}
	for i := range 70_000 {
		p := policy.Port{Proto: 6, SrcHi: 65535, DstLo: uint16(i), DstHi: uint16(i)}
		if i >= 65536 {
			p.Proto = 17
		}
		w.rs.Rules = append(w.rs.Rules, policy.Rule{Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{2}, Ports: []policy.Port{p}})
	}
	e := w.link(t)
	t.Logf("%+v", e.Stats())
	w.agreeAlong(t, e, r, 100)
	if rule, _ := e.ask(flow{from: 1, to: 2, proto: 17, dport: 69_999 & 65535}); rule != 69_999 {
		t.Errorf("the last rule's port: rule %d", rule)
	}
}

// As many source ports as there are, by as many destination ports, is a
// product that no memory holds: it is refused, at once and by name.
func TestPortsThatMultiplyAreRefused(t *testing.T) {
	w := world{rs: &policy.Ruleset{Sets: make([]policy.Set, 1)}, sets: [][]uint32{nil, {0}}}
	for i := range 60_000 {
		src := policy.Port{Proto: 6, SrcLo: uint16(i), SrcHi: uint16(i), DstHi: 65535}
		dst := policy.Port{Proto: 6, SrcHi: 65535, DstLo: uint16(i), DstHi: uint16(i)}
		w.rs.Rules = append(w.rs.Rules, policy.Rule{From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: []policy.Port{dst, src}})
	}
	_, err := Link(w.rs, w.sets)
	if err == nil || !strings.Contains(err.Error(), "source ranges") {
		t.Fatal(err)
	}
	t.Log(err)
}

// One list of ranges that lie in one another names the same cells over and
// over: that is work, too, and refused before it is begun.
func TestPortsThatOverlapAreRefused(t *testing.T) {
	var ports []policy.Port
	for i := range uint16(1400) {
		for j := range uint16(15) {
			ports = append(ports, policy.Port{Proto: 6, SrcLo: i, SrcHi: 65535 - i, DstLo: i + j, DstHi: 65535 - i - j})
		}
	}
	rule := policy.Rule{From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: ports}
	_, err := Link(&policy.Ruleset{Sets: make([]policy.Set, 1), Rules: []policy.Rule{rule}}, [][]uint32{nil, {0}})
	if err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Fatal(err)
	}
	t.Log(err)
}

// Endpoints in many services each, and rules that tell all of those apart, are
// refused with the rules that reach furthest.
func TestPairsThatMultiplyAreRefused(t *testing.T) {
	r := random(t)
	w := world{rs: &policy.Ruleset{Sets: make([]policy.Set, 101)}, sets: [][]uint32{nil}}
	for i := range 1000 {
		w.rs.Rules = append(w.rs.Rules, policy.Rule{Name: fmt.Sprintf("r%d", i), From: []policy.SetID{policy.SetID(1 + r.IntN(100))}, To: []policy.SetID{policy.SetID(1 + r.IntN(100))},
			Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: uint16(i), DstHi: uint16(i)}}})
	}
	for range 8_000 {
		var sets []uint32
		for range 40 {
			sets = append(sets, uint32(1+r.IntN(100)))
		}
		slices.Sort(sets)
		w.sets = append(w.sets, slices.Compact(sets))
	}
	_, err := Link(w.rs, w.sets)
	if err == nil || !strings.Contains(err.Error(), "reach furthest are \"r") {
		t.Fatal(err)
	}
	t.Log(err)
}
