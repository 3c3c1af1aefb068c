package traffic

import (
	"context"
	"fmt"
	"math"
)

// verifications is how often a trial that lost something is repeated at the
// same load before the loss is believed: binary search with loss verification
// (ETSI GS NFV-TST 009, 12.3.3; RFC 9004, 5.3, for bursts). What else a shared
// machine does drops a frame now and then; a switch that cannot keep up drops
// in every trial.
const verifications = 2

// search finds the largest load from low to high without loss, by halving, up
// to a factor of resolution. trial tells whether a load was carried without
// loss. It returns zero if not even low was.
//
// It takes at most 1 + log2(log(high/low)/log(resolution)) loads, each in at
// most 1 + verifications trials. Halving is on the logarithm: a search over
// three decades is as exact at its lower end as at its upper.
func search(low, high, resolution float64, trial func(load float64) (bool, error)) (best float64, err error) {
	carried := func(load float64) (ok bool, err error) {
		for range 1 + verifications {
			if ok, err = trial(load); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
	ok, err := carried(high)
	if err != nil || ok {
		return high, err
	}
	lower := low / resolution // below all that is asked for: nothing is known to pass
	for high/lower > resolution {
		middle := math.Sqrt(lower * high)
		if ok, err = carried(middle); err != nil {
			return best, err
		}
		if ok {
			lower, best = middle, middle
		} else {
			high = middle
		}
	}
	return best, nil
}

// What a search tries, and how exact it is. A trial is shorter than the 60 s of
// RFC 2544, 24, so that a run ends on the same day: a rate found is one that
// holds for so long, and its spread over the rounds tells how well.
const (
	leastRate      = 1e3 // frames a second
	mostRate       = 3e6
	rateResolution = 1.05
	leastBurst     = 16 // frames
	mostBurst      = 16384
	burstSteps     = 1.25
)

// LossFree is what a path carries without a loss.
type LossFree struct {
	Rate  float64 // frames a second that arrived in the best trial
	Burst float64 // frames back to back, at the pace of the generator
}

// FindLossFree searches for both. Every frame is read and is of its own number.
func FindLossFree(ctx context.Context, p Path, frame int, o Options) (l LossFree, err error) {
	top, err := Frames(ctx, p, Load{Frame: frame}, o)
	if err != nil {
		return l, err
	}
	// No rate beyond what the generator can do is worth a trial.
	high := min(mostRate, float64(top.Sent)/top.For.Seconds())
	if _, err = search(leastRate, max(high, leastRate), rateResolution, func(rate float64) (bool, error) {
		c, err := Frames(ctx, p, Load{Frame: frame, Rate: rate, Verify: true}, o)
		if err == nil && c.Arrived == c.Sent {
			l.Rate = max(l.Rate, c.Rate()*1e3)
		}
		return c.Arrived == c.Sent, err
	}); err != nil {
		return l, fmt.Errorf("rate without loss: %w", err)
	}
	l.Burst, err = search(leastBurst, mostBurst, burstSteps, func(n float64) (bool, error) {
		c, err := Frames(ctx, p, Load{Frame: frame, Most: uint64(n), Verify: true}, o)
		return c.Arrived == c.Sent, err
	})
	if err != nil {
		return l, fmt.Errorf("burst without loss: %w", err)
	}
	return l, nil
}
