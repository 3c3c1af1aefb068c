package traffic

import (
	"math"
	"time"
)

// Times are round trips, sorted.
type Times struct {
	Sorted []time.Duration
	Lost   int // datagrams without an answer within the patience of a socket
}

// minBeyond is how many samples a percentile needs beyond it: without one it
// would be the maximum by another name. How far it jumps from round to round is
// told by its spread.
const minBeyond = 1

// Percentile returns the p-th percentile by nearest rank, in microseconds, and whether there
// are samples enough to state it.
func (t *Times) Percentile(p float64) (us float64, enough bool) {
	n := float64(len(t.Sorted))
	beyond := n * (100 - p) / 100
	if n == 0 || beyond < minBeyond {
		return 0, false
	}
	return micro(t.Sorted[int(math.Ceil(n*p/100))-1]), true
}

// Max returns the longest round trip, in microseconds; zero without one.
func (t *Times) Max() float64 {
	if len(t.Sorted) == 0 {
		return 0
	}
	return micro(t.Sorted[len(t.Sorted)-1])
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
