package walk

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/bench/clock"
	"bulkhead/dataplane/packet"
)

// Every frame of a rig is of an open session, so every one is sent on, and
// none costs memory.
func TestRigSendsEverythingAndAllocatesNothing(t *testing.T) {
	for _, c := range []Case{{Sessions: 1}, {Sessions: 1000, IMIX: true}} {
		r, err := NewRig(c.Sessions, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		r.Load(c.IMIX)
		if n := r.Batch(); n != packet.BatchSize {
			t.Errorf("%s: %d of %d frames were sent on", c.Name(), n, packet.BatchSize)
		}
		if n := testing.AllocsPerRun(100, func() { r.Batch() }); n != 0 {
			t.Errorf("%s: %v allocations a batch", c.Name(), n)
		}
	}
}

// IMIX is what it says, also across batches.
func TestIMIXIsSevenFourOne(t *testing.T) {
	r, err := NewRig(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Load(true)
	sizes := map[int]int{}
	for range len(imix) {
		r.Batch()
		for i := range r.batch.Len() {
			sizes[r.batch.Frame(i).Len()]++
		}
	}
	n := packet.BatchSize
	if len(sizes) != 3 || sizes[60] != 7*n || sizes[566] != 4*n || sizes[1514] != n {
		t.Errorf("%v, want 7:4:1 of 60, 566 and 1514 B in %d frames", sizes, 12*n)
	}
}

// Every session that a case is named after gets its share of the frames.
func TestOrderHoldsEverySession(t *testing.T) {
	r, err := NewRig(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := map[uint32]bool{}
	for _, k := range r.order {
		seen[k] = true
	}
	if len(seen) != 1000 {
		t.Errorf("frames of %d sessions, want all 1000", len(seen))
	}
}

// One seed gives one order of sessions, another seed another.
func TestSeedOrdersSessions(t *testing.T) {
	order := func(seed uint64) []uint32 {
		r, err := NewRig(1000, seed)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return r.order
	}
	differ := func(a, b []uint32) (n int) {
		for i := range a {
			if a[i] != b[i] {
				n++
			}
		}
		return n
	}
	if n := differ(order(1), order(1)); n != 0 {
		t.Errorf("the same seed gave %d differences", n)
	}
	if n := differ(order(1), order(2)); n < 900 {
		t.Errorf("two seeds differ in only %d of 1000", n)
	}
}

func TestMeasureRunsEveryCaseInEveryRound(t *testing.T) {
	var said []string
	cases := []Case{{Sessions: 1}, {Sessions: 1, IMIX: true}, {Sessions: 100}}
	o := Options{Rounds: 2, For: 3 * time.Millisecond, Seed: 1, Progress: func(s string) { said = append(said, s) }}
	figures, err := Measure(context.Background(), cases, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range figures {
		if f.Case != cases[i].Name() || len(f.Rounds) != 2 || f.Min() <= 0 || f.Samples < packet.BatchSize {
			t.Errorf("%+v", f)
		}
	}
	// Two rigs are opened, then A B C A B C.
	want := []string{"walk: 64 B, 1 sessions, round 1 of 2", "walk: IMIX, 1 sessions, round 1 of 2", "walk: 64 B, 100 sessions, round 1 of 2", "walk: 64 B, 1 sessions, round 2 of 2"}
	if len(said) != 2+6 {
		t.Fatalf("%d steps: %q", len(said), said)
	}
	for i, w := range want {
		if said[2+i] != w {
			t.Errorf("step %d: %q, want %q", i, said[2+i], w)
		}
	}
}

func TestMeasureEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Measure(ctx, Cases(), Options{Rounds: 1, For: time.Hour, Progress: func(string) {}}); err == nil {
		t.Error("measured although it was cancelled")
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, c := range Cases() {
		b.Run(c.Name(), func(b *testing.B) {
			r, err := NewRig(c.Sessions, 1)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			r.Load(c.IMIX)
			for b.Loop() {
				r.Batch()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packet.BatchSize, "ns/frame")
		})
	}
}

// Workers that share the sessions lose no frame, whoever runs when.
func TestWorkersShareSessions(t *testing.T) {
	rigs, err := NewRigs(2, 1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rigs[0].Close()
	var done sync.WaitGroup
	for _, r := range rigs {
		done.Go(func() {
			for range 200 {
				if n := r.Batch(); n != packet.BatchSize {
					t.Errorf("%d of %d frames were sent on", n, packet.BatchSize)
				}
			}
		})
	}
	done.Wait()
}

// BenchmarkWorkers is CPU time a frame, of one worker alone, of one with a
// table that workers share, and of two at once.
func BenchmarkWorkers(b *testing.B) {
	for _, sessions := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint("alone-", sessions), func(b *testing.B) {
			r, err := NewRig(sessions, 1)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			timeWorkers(b, []*Rig{r})
		})
		for _, busy := range []int{1, 2} {
			b.Run(fmt.Sprintf("shared-%d-busy-%d", sessions, busy), func(b *testing.B) {
				rigs, err := NewRigs(2, sessions, 1)
				if err != nil {
					b.Fatal(err)
				}
				defer rigs[0].Close()
				timeWorkers(b, rigs[:busy])
			})
		}
	}
}

func timeWorkers(b *testing.B, rigs []*Rig) {
	var done sync.WaitGroup
	var spent atomic.Int64
	b.ResetTimer()
	for _, r := range rigs {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			start, err := clock.Thread()
			for range b.N {
				r.Batch()
			}
			end, err2 := clock.Thread()
			if err != nil || err2 != nil {
				b.Error(err, err2)
			}
			spent.Add(int64(end - start))
		})
	}
	done.Wait()
	b.ReportMetric(float64(spent.Load())/float64(b.N*len(rigs))/packet.BatchSize, "cpu-ns/frame")
}
