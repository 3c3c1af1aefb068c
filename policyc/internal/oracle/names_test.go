package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/worlds"
)

// What endpoints are called and in which order they come says nothing: the tables
// answer as before, and the ruleset for the kernel is the same text.
func TestTheNamesOfEndpointsSayNothing(t *testing.T) {
	questions := 0
	metamorphic(t, 14, 400, func(r *rand.Rand, x *trial) string {
		m, err := x.meant(x.now)
		if err != nil {
			return err.Error()
		}
		place := r.Perm(len(x.people)) // where each of the people stands now: endpoints are named by that
		people := slices.Clone(x.people)
		for i, at := range place {
			people[at] = x.people[i]
		}
		other, err := worlds.Link(m.tables.Rules, people)
		if err != nil {
			return err.Error()
		}
		for _, q := range x.probes {
			questions++
			was, verdict := m.tables.Decide(q.from, q.to, q.flow)
			if is, now := other.Decide(place[q.from], place[q.to], q.flow); is != was || now != verdict {
				return fmt.Sprintf("%s: was %v by %q, is %v by %q", x.say(q), verdict, m.tables.Name(was), now, other.Name(is))
			}
		}
		return x.exportsAlike(r)
	})
	t.Logf("%d questions", questions)
}

func (x *trial) exportsAlike(r *rand.Rand) string {
	before, y, err := x.exported()
	if err != nil {
		return err.Error()
	}
	known := y.endpoints()
	for i := range known {
		known[i].Name = fmt.Sprintf("another-%d", len(known)-i)
	}
	r.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	about, err := y.about()
	if err != nil {
		return err.Error()
	}
	after, err := analyze.Nftables(about.p, known)
	if err != nil {
		return err.Error()
	}
	if before != after {
		return "the names of endpoints changed the ruleset for the kernel"
	}
	return ""
}
