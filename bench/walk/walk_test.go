package walk

import "testing"

// Every frame of a rig is of an open session, so every one is sent on, and
// none costs memory.
func TestRigSendsEverythingAndAllocatesNothing(t *testing.T) {
	for _, c := range []Case{{Sessions: 1}, {Sessions: 1000, IMIX: true}} {
		r, err := NewRig(c, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if n := r.Batch(); n != 64 {
			t.Errorf("%s: %d of 64 frames were sent on", c.Name(), n)
		}
		if n := testing.AllocsPerRun(100, func() { r.Batch() }); n != 0 {
			t.Errorf("%s: %v allocations a batch", c.Name(), n)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, c := range Cases() {
		b.Run(c.Name(), func(b *testing.B) {
			r, err := NewRig(c, 1)
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			for b.Loop() {
				r.Batch()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/frame")
		})
	}
}
