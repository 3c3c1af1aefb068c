package meter

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// bucket is the slow twin: tokens, as everybody draws them.
type bucket struct {
	rate, tokens float64 // a second; those there are
	last         int64
}

func (b *bucket) take(now int64, n int) bool {
	most := b.rate * Burst / 1e9
	b.tokens = min(b.tokens+float64(now-b.last)*b.rate/1e9, most)
	b.last = now
	if b.tokens < 0 {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// Random arrivals, against the bucket of tokens: the same passes, but for what
// the resolution rounds.
func TestAgainstTokens(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		perSecond := uint64(1) << r.IntN(34)
		var m Meter
		twin := bucket{rate: float64(perSecond), tokens: float64(perSecond) * Burst / 1e9}
		now, passed, twins, offered := int64(1e9), 0, 0, 0
		twin.last = now
		for range 3000 {
			now += r.Int64N(1 + 4_000_000_000/int64(min(perSecond, 1e9)))
			n := 1 + r.IntN(3)
			offered += n
			if m.Take(Of(perSecond), now, n) {
				passed += n
			}
			if twin.take(now, n) {
				twins += n
			}
		}
		if diff := passed - twins; diff > 3+offered/100 || -diff > 3+offered/100 {
			t.Fatalf("at %d a second %d pass, by tokens %d, of %d", perSecond, passed, twins, offered)
		}
	}
}

// Offered ten times the rate, it passes the rate, and one burst.
func TestHoldsTheRate(t *testing.T) {
	for _, c := range []struct {
		name      string
		perSecond uint64
		n         int // a frame's
	}{
		{"packets", 1000, 1}, {"one packet a second", 1, 1}, {"64 bytes at 10 Gb/s", 1_250_000_000, 64},
		{"superframes at 1 Mb/s", 125_000, 65_000}, {"superframes in segments", 10_000, 44},
	} {
		var m Meter
		gap := float64(c.n) / float64(c.perSecond) * 1e9 / 10
		passed, now := 0, float64(1e9)
		seconds := max(0.2, min(10, 2e6*gap/1e9)) // some million frames
		for now < 1e9+seconds*1e9 {
			if m.Take(Of(c.perSecond), int64(now), c.n) {
				passed += c.n
			}
			now += gap
		}
		seconds = (now - 1e9) / 1e9
		budget := float64(c.perSecond) * (seconds + Burst/1e9)
		if got := float64(passed); got > budget*1.02+float64(c.n) || got < float64(c.perSecond)*seconds*0.98-float64(c.n) {
			t.Errorf("%s: %d passed in %.3f s at %d a second", c.name, passed, seconds, c.perSecond)
		}
	}
}

// Workers that share a meter share its rate.
func TestSharedByWorkers(t *testing.T) {
	var m Meter
	var passed atomic.Int64
	var clock atomic.Int64
	clock.Store(1e9)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for now := clock.Add(100); now < 3e9; now = clock.Add(1000) {
				if m.Take(Of(10_000), now, 1) {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n < 20_000 || n > 20_510 {
		t.Errorf("%d passed in 2 s at 10,000 a second", n)
	}
}

func TestNoBound(t *testing.T) {
	var m Meter
	for range 1000 {
		if !m.Take(Of(0), 1, 65535) {
			t.Fatal("no bound bounds")
		}
	}
	if Of(0).Bound() || !Of(1).Bound() {
		t.Error("Bound")
	}
}

func BenchmarkTake(b *testing.B) {
	var m Meter
	rate := Of(1 << 40)
	for i := range b.N {
		m.Take(rate, int64(i), 64)
	}
}
