package dataplane_test

import (
	"fmt"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
)

// A batch is read ahead of the walk, and yet each frame is judged as if it had
// come alone: an answer finds the session that a frame before it in the batch
// has opened, and one that comes before its question is nobody's. The frames
// between put question and answer into one stretch, or into two.
func TestFramesOfABatchAreJudgedInTurn(t *testing.T) {
	answer := [2]string{"p2", "tcp 10.0.0.2:5432 > 10.0.0.1:40000 syn,ack seq=500 ack=101"}
	for between := range 40 {
		frames := [][2]string{answer, {"p1", "tcp 10.0.0.1:40000 > 10.0.0.2:5432 syn seq=100"}}
		for i := range between {
			frames = append(frames, [2]string{"p1", fmt.Sprintf("udp 10.0.0.1:%d > 10.0.0.2:8053", 1000+i)})
		}
		frames = append(frames, answer, [2]string{"p1", "tcp 10.0.0.1:40000 > 10.0.0.2:5433 syn"})
		alone, together := outcomes(t, frames, 1), outcomes(t, frames, packet.BatchSize)
		for i := range frames {
			if alone[i] != together[i] {
				t.Fatalf("%d frames between: %v ends as %q in a batch, as %q alone", between, frames[i], together[i], alone[i])
			}
		}
		if early, late := alone[0], alone[len(frames)-2]; early == late {
			t.Fatalf("an answer before its question and one behind it both end as %q", late)
		}
	}
}

// outcomes sends frames through a new switch, so many to a batch, and says how
// each ended.
func outcomes(t *testing.T, frames [][2]string, size int) (ends []string) {
	r := newSwitch(t)
	for len(frames) > 0 {
		n := min(size, len(frames))
		r.batch.Reset()
		for _, one := range frames[:n] {
			s, ingress := r.written(one[0], one[1])
			s.frame(r.batch.Next(), ingress)
		}
		dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
		for i := range n {
			f := r.batch.Frame(i)
			ends = append(ends, fmt.Sprintf("%s, port %d, rule %d", f.Reason, f.Egress, f.Rule))
		}
		frames = frames[n:]
	}
	return ends
}
