package lower

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"

	"bulkhead/dataplane/policy"
)

// The text that is hashed is what fmt writes of the fields: so it was from the
// first release on, and the hash of a policy must not change.
func TestHashIsOfTheTextThatFmtWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"web", "", "a \"b\"", `back\slash`, "é", "tab\t", "\x7f", "\xff", "east/web", "tier platform", "日本"}
	protos := []uint16{policy.AnyProto, 0, 1, 6, 17, 47, 58, 132, 255}
	bounds := []uint16{0, 1, 53, 255, 256, 1023, 8080, 65534, 65535}
	one := func(list []uint16) uint16 { return list[r.IntN(len(list))] }
	sets := func() (out []policy.SetID) {
		for range r.IntN(4) {
			out = append(out, policy.SetID(r.Uint32()>>r.IntN(32)))
		}
		return out
	}
	words := func() (out []string) {
		for range r.IntN(3) {
			out = append(out, names[r.IntN(len(names))])
		}
		return out
	}
	for range 3000 {
		rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}, {Kind: policy.KindNetwork, Name: "n", Prefixes: policy.Everywhere(), Except: policy.OnTheLink()}}}
		for range r.IntN(3) {
			s := policy.Set{Kind: policy.KindService, Name: names[r.IntN(len(names))]}
			for range r.IntN(3) {
				var all policy.Requirements
				for range r.IntN(3) {
					all = append(all, policy.Requirement{Key: names[r.IntN(len(names))], Op: policy.Op(r.IntN(4)), Values: words()})
				}
				s.Selector = append(s.Selector, all)
			}
			rs.Sets = append(rs.Sets, s)
		}
		for range 1 + r.IntN(3) {
			rule := policy.Rule{
				Name: names[r.IntN(len(names))], Verdict: policy.Verdict(r.IntN(3)), Tier: r.Uint32N(4), Precedence: r.Uint32(), Direction: policy.Direction(r.IntN(3)), From: sets(), To: sets(),
				Log: r.IntN(4) == 0, Audit: r.IntN(4) == 0, Stateless: r.IntN(4) == 0, Owner: names[r.IntN(2)], Reason: names[r.IntN(2)], Valid: policy.Period{From: r.Int64N(2), Until: 5 * r.Int64N(2)},
			}
			for range r.IntN(4) {
				rule.Ports = append(rule.Ports, policy.Port{Proto: one(protos), SrcLo: one(bounds[:3]), SrcHi: one(bounds[6:]), DstLo: one(bounds), DstHi: one(bounds)})
			}
			rs.Rules = append(rs.Rules, rule)
		}
		if got, want := Hash(rs), hashByFmt(rs); got != want {
			t.Fatalf("the hash of %+v is of\n%s", rs.Rules, appendRule(nil, &rs.Rules[0]))
		}
	}
}

// hashByFmt is the plain way.
func hashByFmt(rs *policy.Ruleset) [32]byte {
	h := sha256.New()
	for _, s := range rs.Sets {
		fmt.Fprintf(h, "%d %q %q %v %v\n", s.Kind, s.Name, s.Selector, s.Prefixes, s.Except)
	}
	for _, r := range rs.Rules {
		fmt.Fprintf(h, "%q %d %d %d %d %v %v %v\n", r.Name, r.Verdict, r.Tier, r.Precedence, r.Direction, r.From, r.To, r.Ports)
		if r.Log || r.Audit || r.Stateless || !r.Valid.Always() || r.Owner != "" || r.Reason != "" {
			fmt.Fprintf(h, "%t %t %t %d %d %q %q\n", r.Log, r.Audit, r.Stateless, r.Valid.From, r.Valid.Until, r.Owner, r.Reason)
		}
	}
	return [32]byte(h.Sum(nil))
}
