package oracle

import (
	"fmt"
	"slices"
	"testing"

	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/worlds"
)

// A view of a time says of both ends the same throughout the stretch that Times
// cuts time into: a test that states no time is asked of all.
func TestTimesCutWhereAnAnswerChanges(t *testing.T) {
	changed, drawn := 0, seeds(t, scale(100, 5000))
	for _, seed := range drawn {
		x := newTrial(t, seed, worlds.Small, 10, 20)
		x.hold(t, func(x *trial) string {
			p, err := x.parsed()
			if err != nil {
				return err.Error()
			}
			for _, q := range x.probes {
				from, to := x.people[q.from], x.people[q.to]
				times := eval.Times(p, from, to)
				always, _ := eval.Decide(p, from, to, q.flow)
				for _, now := range worlds.Seconds {
					at, _ := slices.BinarySearch(times, now+1)
					allow, _ := eval.Decide(p.At(now), from, to, q.flow)
					if same, _ := eval.Decide(p.At(times[at-1]), from, to, q.flow); same != allow {
						return fmt.Sprintf("%s: at %d another answer than at %d, of %v", x.say(q), now, times[at-1], times)
					}
					if always != allow {
						changed++
					}
				}
			}
			return ""
		})
	}
	t.Logf("%d answers depend on the time", changed)
	if changed == 0 && len(drawn) >= 50 { // the few of a run with the race detector may have none
		t.Error("no answer depended on the time")
	}
}
