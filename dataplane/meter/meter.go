// Package meter bounds how much passes in a second: packets, or bytes.
//
// # The algorithm
//
// A token bucket in the form that ATM calls the virtual scheduling algorithm
// (ITU-T I.371, the GCRA): what is kept is not how many tokens there are but
// one time, at which the bucket will be full again. What passes moves it on by
// what it costs; what comes when it lies further in the future than the burst
// does not pass. So the state is one word, and workers that share a port share
// it by one compare-and-swap, without a lock: the bound is the port's, however
// many workers serve it.
//
// A superframe passes whole or not at all, and then owes for all of it: nothing
// passes until that is paid. So a rate below a superframe a second holds, too.
//
// Nothing here allocates. Time is an argument, in nanoseconds.
package meter

import "sync/atomic"

// unit is the resolution of times here: a sixteenth of a nanosecond, so that 64
// bytes at 100 Gb/s are not rounded by more than 2 %. It lasts for 18 years.
const unit = 16

// Burst is how much may pass at once: what the rate gives in so many
// nanoseconds, 50 ms. Less, and TCP cannot use the rate; more, and a second has
// noticeably more than the rate says.
const Burst = 50_000_000

// Rate is how much may pass in a second. The zero value is no bound.
type Rate struct {
	cost float64 // of one packet or byte, in units
}

// Of returns the rate of so much a second; 0 is no bound.
func Of(perSecond uint64) Rate {
	if perSecond == 0 {
		return Rate{}
	}
	return Rate{cost: 1e9 * unit / float64(perSecond)}
}

// Bound tells whether the rate bounds anything.
func (r Rate) Bound() bool { return r.cost != 0 }

// Meter is what has passed under a rate. The zero value has seen nothing.
type Meter struct {
	full atomic.Int64 // when the bucket is full again, in units
}

// Take lets n packets or bytes pass at the time now, or says that they may not,
// and then they cost nothing. n is at most a superframe's.
func (m *Meter) Take(r Rate, now int64, n int) bool {
	if r.cost == 0 {
		return true
	}
	at, cost := now*unit, int64(float64(n)*r.cost)
	for {
		was := m.full.Load()
		if was-at > Burst*unit {
			return false
		}
		if m.full.CompareAndSwap(was, max(was, at)+cost) {
			return true
		}
	}
}
