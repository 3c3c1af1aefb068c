package fuzz

import (
	"math/rand/v2"
	"slices"
	"testing"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// draw takes a policy and questions off the front of a stranger's bytes; when
// they are used up it takes zeros.
type draw struct{ b []byte }

func (d *draw) byte() byte {
	if len(d.b) == 0 {
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *draw) below(n int) int { return int(d.byte()) % n }

func (d *draw) span() (lo, hi uint16) {
	a, b := d.port(), d.port()
	return min(a, b), max(a, b)
}

// sets draws one to three set numbers, sorted, each once.
func (d *draw) sets(n int) []policy.SetID {
	var out []policy.SetID
	for range 1 + d.below(3) {
		out = append(out, policy.SetID(d.below(n)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// protocols are few, so that rules meet.
var protocols = []uint16{6, 17, 132, 1, 58, 47, policy.AnyProto}

// port draws one of few boundaries, or any port.
func (d *draw) port() uint16 {
	if at := d.byte(); at < 192 {
		return []uint16{0, 1, 22, 80, 443, 1023, 1024, 8080, 0x0800, 0x08ff, 65534, 65535}[at%12]
	}
	return uint16(d.byte())<<8 | uint16(d.byte())
}

func (d *draw) ports() []policy.Port {
	var out []policy.Port
	for range 1 + d.below(3) {
		p := policy.Port{Proto: protocols[d.below(len(protocols))], SrcHi: 65535, DstHi: 65535}
		switch p.Proto {
		case 6, 17, 132:
			p.SrcLo, p.SrcHi = d.span()
			p.DstLo, p.DstHi = d.span()
		case 1, 58:
			p.DstLo, p.DstHi = d.span()
		}
		out = append(out, p)
	}
	slices.SortFunc(out, policy.ComparePort)
	return slices.Compact(out)
}

func (d *draw) ruleset() *policy.Ruleset {
	rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}
	for i := range 1 + d.below(20) {
		rs.Sets = append(rs.Sets, policy.Set{Kind: policy.KindService, Name: string(rune('a' + i))})
	}
	tier := uint32(0)
	for i := range d.below(64) {
		r := policy.Rule{Precedence: uint32(i), Verdict: policy.Verdict(d.below(3)),
			From: d.sets(len(rs.Sets)), To: d.sets(len(rs.Sets)), Ports: d.ports()}
		tier = min(tier+uint32(d.below(8)/7), policy.Tiers-1)
		r.Tier, r.Direction = tier, policy.Direction(d.below(3))
		marks := d.byte()
		r.Log, r.Audit, r.Stateless = marks&1 != 0 && r.Verdict != policy.Pass, marks&6 == 6 && r.Verdict == policy.Deny, marks&2 != 0 && r.Verdict == policy.Allow
		if marks&8 != 0 {
			r.Valid.Until = 1 + int64(marks>>4) // the view is of second 8
		}
		rs.Rules = append(rs.Rules, r)
	}
	return rs
}

// FuzzClassify: for any policy, identities and headers, the tables say what
// the list says, the verdict and the rule.
func FuzzClassify(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x03\x02\x01\x01\x01\x01\x02\x00\x06\x00\x00\xff\xff\x15\x38\x15\x38"))
	random := rand.NewChaCha8([32]byte{})
	for range 20 {
		seed := make([]byte, 2048)
		_, _ = random.Read(seed)
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &draw{b}
		rs := d.ruleset()
		if err := rs.Validate(); err != nil {
			t.Fatalf("the draw is not valid: %v", err)
		}
		identities := [][]uint32{nil}
		for range 1 + d.below(16) {
			identities = append(identities, numbers(d.sets(len(rs.Sets))))
		}
		compare(t, rs.At(8), identities, d)
	})
}

func numbers(sets []policy.SetID) []uint32 {
	var out []uint32
	for _, s := range sets {
		out = append(out, uint32(s))
	}
	return out
}

// grown links a policy to the first of the identities, has those after it come
// one by one, and before some of them others that do not stay.
func grown(rs *policy.Ruleset, identities [][]uint32, d *draw) (*classify.Engine, error) {
	first := 1 + d.below(len(identities))
	l, err := classify.NewLinker(rs, identities[:first])
	if err != nil {
		return nil, err
	}
	for i := first; i < len(identities); i++ {
		id := identity.ID(i)
		if d.below(3) == 0 {
			if err := l.Add(id, identities[d.below(len(identities))]); err != nil {
				return nil, err
			}
			l.Engine()
			l.Remove(id)
		}
		if err := l.Add(id, identities[i]); err != nil {
			return nil, err
		}
	}
	return l.Engine(), nil
}

// compare links a policy, whole and bit by bit, and asks both the tables and the
// list: every pair of identities, at a corner of every rule's ports and where the
// draw points.
func compare(t *testing.T, rs *policy.Ruleset, identities [][]uint32, d *draw) {
	t.Helper()
	whole, err := classify.Link(rs, identities)
	if err != nil {
		return // over a bound; it says so and is not there
	}
	later, err := grown(rs, identities, d)
	if err != nil {
		t.Fatalf("it can be linked whole, and not bit by bit: %v", err)
	}
	if s, s2 := whole.Stats(), later.Stats(); s.Touches > 4*policy.Tiers*33+1 || s.Bytes > 1<<30 || s2.Touches > 4*policy.Tiers*41+1 || s2.Bytes > 1<<30 {
		t.Fatalf("out of bounds: %+v; %+v", s, s2)
	}
	compareWith(t, whole, rs, identities, d)
	compareWith(t, later, rs, identities, d)
}

func compareWith(t *testing.T, engine *classify.Engine, rs *policy.Ruleset, identities [][]uint32, d *draw) {
	t.Helper()
	list := classify.Linear{Rules: rs}
	ask := func(from, to int, proto uint8, sport, dport uint16) {
		rule, verdict := engine.Decide(identity.ID(from), identity.ID(to), proto, sport, dport)
		if want, wantVerdict := list.Decide(identities[from], identities[to], proto, sport, dport); rule != want || verdict != wantVerdict {
			t.Fatalf("%v to %v, %d %d %d: the tables say rule %d, %d; the list says %d, %d",
				identities[from], identities[to], proto, sport, dport, int32(rule), verdict, int32(want), wantVerdict)
		}
		audit, found := engine.WouldDeny(identity.ID(from), identity.ID(to), proto, sport, dport)
		if want, wantFound := list.WouldDeny(identities[from], identities[to], proto, sport, dport); found != wantFound || found && audit != want {
			t.Fatalf("%v to %v, %d %d %d: the tables say rule %d would have denied it, %v; the list says %d, %v",
				identities[from], identities[to], proto, sport, dport, int32(audit), found, int32(want), wantFound)
		}
	}
	for i := range rs.Rules {
		p := rs.Rules[i].Ports[d.below(len(rs.Rules[i].Ports))]
		from, to := d.below(len(identities)), d.below(len(identities))
		for _, sport := range []uint16{p.SrcLo - 1, p.SrcLo, p.SrcHi + 1} {
			for _, dport := range []uint16{p.DstLo - 1, p.DstLo, p.DstHi, p.DstHi + 1} {
				ask(from, to, uint8(p.Proto), sport, dport)
			}
		}
	}
	for range 64 {
		ask(d.below(len(identities)), d.below(len(identities)), d.byte(), d.port(), d.port())
	}
}
