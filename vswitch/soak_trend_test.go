package vswitch_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// series is what was measured of one thing, in the order of time.
type series struct {
	at []float64 // seconds
	is []float64
}

func (s *series) add(at time.Duration, is float64) {
	s.at, s.is = append(s.at, at.Seconds()), append(s.is, is)
}

// after is the part of a series from a share of its samples on.
func (s *series) after(share float64) *series {
	from := int(float64(len(s.at)) * share)
	return &series{s.at[from:], s.is[from:]}
}

// grown is what the thing has grown by from the first sample to the last: by the
// median of the slopes of all pairs of samples (Theil and Sen). A garbage collector's
// saw, and a sample in three that is any other way wrong, do not show in it; what goes
// up a little at each turn does.
func (s *series) grown() float64 {
	var slopes []float64
	for i := range s.at {
		for j := range i {
			if s.at[i] > s.at[j] {
				slopes = append(slopes, (s.is[i]-s.is[j])/(s.at[i]-s.at[j]))
			}
		}
	}
	if len(slopes) == 0 {
		return math.NaN()
	}
	slices.Sort(slopes)
	return slopes[len(slopes)/2] * (s.at[len(s.at)-1] - s.at[0])
}

// What decides a soak must see a leak, and only a leak.
func TestSoakSeesALeakAndNoSaw(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 0))
	for _, c := range []struct {
		situation string
		of        func(i int) float64
		least     float64
		most      float64
	}{
		{"flat", func(int) float64 { return 40 }, 0, 0},
		{"flat, and a connection is open now and then", func(int) float64 { return 40 + float64(rng.IntN(4)/3) }, 0, 0},
		{"a descriptor in ten rounds", func(i int) float64 { return 40 + float64(i/10) }, 2.5, 3.5},
		{"a saw of 8 MB", func(i int) float64 { return 50e6 + float64(i%7)*8e6/6 }, -1e6, 1e6},
		{"a saw, and 200 KB a round", func(i int) float64 { return 50e6 + float64(i%7)*8e6/6 + float64(i)*2e5 }, 5e6, 7e6},
		{"a third is anything", func(i int) float64 { return map[bool]float64{true: 1e9, false: 40}[i%3 == 0] }, 0, 0},
	} {
		var s series
		for i := range 31 {
			s.add(time.Duration(i)*time.Second, c.of(i))
		}
		if got := s.grown(); got < c.least || got > c.most {
			t.Errorf("%s: grown by %v, want %v to %v", c.situation, got, c.least, c.most)
		}
	}
}
