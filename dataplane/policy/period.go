package policy

import (
	"errors"
	"math"
	"slices"
	"time"
)

// Period is a stretch of time: from From on, Until excluded, in seconds since
// 1970 in UTC. A zero is an end that is open; the zero value is always.
type Period struct{ From, Until int64 }

// MaxTime is the last second of the year 9999, which is the last that RFC 3339
// can write.
const MaxTime = 253402300799

// Always tells whether the period has no end at either side.
func (p Period) Always() bool { return p == Period{} }

// Has tells whether a second is in the period.
func (p Period) Has(now int64) bool {
	return now >= p.From && (p.Until == 0 || now < p.Until)
}

// Over tells whether the period is over.
func (p Period) Over(now int64) bool { return p.Until != 0 && now >= p.Until }

func (p Period) validate() error {
	switch {
	case p.From < 0 || p.Until < 0 || p.From > MaxTime || p.Until > MaxTime:
		return errors.New("a time before 1970 or after 9999")
	case p.Until != 0 && p.From >= p.Until:
		return errors.New("its time ends before it begins")
	}
	return nil
}

// String says the period as "from TIME on", "until TIME", "from TIME until
// TIME" or "always", times as in RFC 3339.
func (p Period) String() string {
	switch {
	case p.Always():
		return "always"
	case p.Until == 0:
		return "from " + FormatTime(p.From) + " on"
	case p.From == 0:
		return "until " + FormatTime(p.Until)
	}
	return "from " + FormatTime(p.From) + " until " + FormatTime(p.Until)
}

// FormatTime writes a second as RFC 3339 does, in UTC.
func FormatTime(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339) }

// At is the ruleset as it is at a time: rules that are not valid then are
// Dormant. They keep their places, so that a RuleID is the same rule at all
// times. It is the ruleset itself where no rule has a time; otherwise the rules
// are copied and the sets shared.
//
// A ruleset that is no view has every rule speak: that is what a policy costs
// at the most, and no switch may go by it.
func (rs *Ruleset) At(now int64) *Ruleset {
	if !rs.Timed() {
		return rs
	}
	out := *rs
	out.Rules = slices.Clone(rs.Rules)
	for i := range out.Rules {
		out.Rules[i].Dormant = !out.Rules[i].Valid.Has(now)
	}
	return &out
}

// Timed tells whether a rule has a time.
func (rs *Ruleset) Timed() bool {
	return slices.ContainsFunc(rs.Rules, func(r Rule) bool { return !r.Valid.Always() })
}

// Around is the longest period around a time in which every view of the ruleset
// is the same. Its ends are the last time at which a rule began or ceased to
// speak, and the next one.
func (rs *Ruleset) Around(now int64) Period {
	around := Period{Until: math.MaxInt64}
	for i := range rs.Rules {
		for _, at := range [2]int64{rs.Rules[i].Valid.From, rs.Rules[i].Valid.Until} {
			switch {
			case at == 0:
			case at <= now:
				around.From = max(around.From, at)
			default:
				around.Until = min(around.Until, at)
			}
		}
	}
	if around.Until == math.MaxInt64 {
		around.Until = 0
	}
	return around
}
