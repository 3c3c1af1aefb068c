package run

import (
	"fmt"
	"time"

	"bulkhead/bench/scenario"
)

// What is not measuring: how long a peer takes to come up and go, and a rule
// set, or a million sessions, to be made ready. Estimates: what a step really
// takes corrects the rest.
const (
	peerTakes   = 1200 * time.Millisecond
	memoryTakes = 8 * time.Second
	setTakes    = 15 * time.Second // all nine sets, and as many runs of rte_acl
	setupTakes  = 400 * time.Millisecond
	policyTakes = 2 * time.Second
)

// plan knows how much is left to do.
type plan struct {
	begin      time.Time
	done, left time.Duration // as estimated
}

func newPlan(scenarios []scenario.Scenario, o Options) *plan {
	p := &plan{begin: time.Now()}
	for _, sc := range scenarios {
		p.left += takes(sc, o)
	}
	return p
}

// takes estimates a scenario.
func takes(sc scenario.Scenario, o Options) time.Duration {
	rounds := time.Duration(sc.Kind.Rounds(o.Rounds))
	switch sc.Kind {
	case scenario.Walk:
		return memoryTakes + rounds*o.For
	case scenario.Setup:
		return rounds * setupTakes
	case scenario.Policies:
		return rounds * (o.For + policyTakes)
	case scenario.Classify:
		return rounds * (2*o.For + setTakes)
	}
	return rounds * time.Duration(len(sc.Subjects)) * subjectTakes(sc, o)
}

// subjectTakes estimates one subject in one round.
func subjectTakes(sc scenario.Scenario, o Options) time.Duration { return peerTakes + sc.Lasts(o.For) }

// step says that work of this estimate is done, or will not be.
func (p *plan) step(d time.Duration) { p.done, p.left = p.done+d, p.left-d }

// remaining is how long the rest will take, at the pace so far. Before a tenth
// of the work is done the estimate stands as it is: the pace of one step is
// none.
func (p *plan) remaining(now time.Time) time.Duration {
	pace := 1.0
	if p.done > (p.done+p.left)/10 {
		pace = now.Sub(p.begin).Seconds() / p.done.Seconds()
	}
	return time.Duration(pace * float64(max(p.left, 0)))
}

// said adds to a text how long the rest will take.
func (p *plan) said(text string, now time.Time) string {
	left := p.remaining(now)
	if left < time.Minute {
		return fmt.Sprintf("%s; about %d s left", text, int(left.Seconds())+1)
	}
	return fmt.Sprintf("%s; about %d min left", text, int(left.Minutes()+0.5))
}
