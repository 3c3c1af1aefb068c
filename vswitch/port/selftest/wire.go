package selftest

import (
	"sync"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// wire carries frames between two ports, a goroutine each way, until stop: the
// dumbest switch there is. It parses them, as any switch does, because that is
// where a checksum which only may be partial is found out.
func wire(a, b port.Port, pools [2]*port.Pool) (stop func()) {
	done := make(chan struct{})
	var wait sync.WaitGroup
	for i, way := range [][2]port.Port{{a, b}, {b, a}} {
		wait.Add(1)
		go func() {
			defer wait.Done()
			carry(way[0].Queues()[0], way[1].Queues()[0], pools[i], done)
		}()
	}
	return func() { close(done); wait.Wait() }
}

func carry(from, to port.Queue, pool *port.Pool, done <-chan struct{}) {
	var batch packet.Batch
	var out [packet.BatchSize]*packet.Frame
	for {
		select {
		case <-done:
			return
		default:
		}
		batch.Reset()
		if err := from.Recv(&batch); err != nil {
			return // the probe under way will say that nothing comes
		}
		n := 0
		for i := range batch.Len() {
			if f := batch.Frame(i); packet.Parse(f) == drop.None {
				out[n] = f
				n++
			}
		}
		to.Send(out[:n])
		for i := range batch.Len() {
			pool.PutFrame(batch.Frame(i))
		}
		if batch.Len() == 0 {
			_, _ = sys.Poll(20*time.Millisecond, from.FD())
		}
	}
}
