package vswitch

import (
	"time"

	"bulkhead/dataplane/policy"
)

// Rules may have times. What the workers go by is the view of the policy at the
// time when it was published, and the period in which that view stays right. The
// keeper of the time publishes the next view as soon as the clock of the wall is
// no more in that period: at its end, and if the clock is set, forwards or back.
// That is a generation like others, so every open session is asked again at its
// next packet.
//
// The clock is read once a second, and at each end of a period: Go's timers do
// not see that it was set. Workers never read it.

// lookEvery is how often the clock is read: the longest that rules of another
// time speak after it was set.
const lookEvery = time.Second

// view is the policy at a time, kept as long as it is right: what is made of it,
// the index, then stays, too.
type view struct {
	of, rules *policy.Ruleset
	around    policy.Period
}

// viewOf returns the view of rules now, and the period in which it is right. The
// caller holds mu.
func (sw *Switch) viewOf(rules *policy.Ruleset) (*policy.Ruleset, policy.Period) {
	if rules == nil || sw.shut && rules == sw.rules {
		return nil, policy.Period{}
	}
	now := sw.wall().Unix()
	if v := &sw.view; v.of != rules || !v.around.Has(now) {
		*v = view{rules, rules.At(now), rules.Around(now)}
	}
	return sw.view.rules, sw.view.around
}

// keepTime is the life of the keeper of the time; Close ends it.
func (sw *Switch) keepTime() {
	defer close(sw.timed)
	for {
		timer := time.NewTimer(sw.untilNext())
		select {
		case <-sw.done:
			timer.Stop()
			return
		case <-timer.C:
		}
		sw.turn()
	}
}

// untilNext is how long the clock need not be read.
func (sw *Switch) untilNext() time.Duration {
	l := sw.live.Load()
	if l == nil || l.around.Until == 0 {
		return lookEvery
	}
	left := time.Unix(l.around.Until, 0).Sub(sw.wall())
	return min(max(left, time.Millisecond), lookEvery)
}

// turn publishes the view of now, if it is another. Rules that cannot be linked
// would leave those of another time in force, which may allow what has expired:
// so nothing is allowed until they can, and the status says so.
func (sw *Switch) turn() {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	l := sw.live.Load()
	if !sw.closed && l != nil {
		sw.turnShadow()
	}
	if sw.closed || l == nil || l.around.Has(sw.wall().Unix()) && !sw.shut {
		return
	}
	was := sw.shut
	sw.shut = false
	err := sw.publish(sw.cfg, sw.roster, sw.rules, sw.keepPorts())
	if err == nil {
		if was {
			sw.rulesErr = ""
		}
		around := sw.live.Load().around
		sw.log.Info("policy-time", "valid", around.String(), "generation", sw.generation)
		return
	}
	sw.shut = true
	if was {
		return
	}
	sw.rulesErr = "the rules that are valid now cannot be linked, so nothing is allowed: " + err.Error()
	sw.log.Error("policy-time", "error", err, "effect", "everything is denied", "cure", "load another policy")
	if err := sw.publish(sw.cfg, sw.roster, sw.rules, sw.keepPorts()); err != nil {
		sw.log.Error("policy-time", "error", err)
	}
}
