package porttest

import (
	"bytes"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// Run holds a port to the contract. open is called once a case; it may fail or
// skip the test, and must register nothing that outlives Rig.Port.Close but
// with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Rig) {
	for _, c := range []struct {
		name string
		run  func(*bench)
	}{
		{"info", info},
		{"frames in", framesIn},
		{"frames out", framesOut},
		{"a batch is never overfilled", batchRoom},
		{"order", order},
		{"memory is the worker's until the next Recv", lending},
		{"offloads in", offloadsIn},
		{"offloads out", offloadsOut},
		{"too long", tooLong},
		{"full", full},
		{"link down and up", linkDown},
		{"device gone", gone},
		{"close leaves nothing", closing},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{T: t, Rig: open(t)}
			t.Cleanup(func() { b.Port.Close() }) // a second close does nothing
			c.run(b)
		})
	}
}

// bench is a rig in use.
type bench struct {
	*testing.T
	Rig
	batch packet.Batch
}

func (b *bench) up() {
	b.Helper()
	if err := b.Port.Up(); err != nil {
		b.Fatal(err)
	}
	if s := b.Port.Status(); !s.Up {
		b.Fatalf("after Up: %+v", s)
	}
}

func (b *bench) inject(frame []byte, o packet.Offload) {
	b.Helper()
	if err := b.End.Inject(frame, o); err != nil {
		b.Fatal(err)
	}
}

// recv empties the batch and waits until the port has filled it with at least
// one frame; it returns how many.
func (b *bench) recv() int {
	b.Helper()
	b.batch.Reset()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		for _, q := range b.Port.Queues() {
			if err := q.Recv(&b.batch); err != nil {
				b.Fatal(err)
			}
			if b.batch.Len() > 0 {
				return b.batch.Len()
			}
		}
		b.sleep(deadline)
	}
	b.Fatalf("nothing was received; %+v, drops %v", b.Port.Status(), dropped(b.Port.Stats()))
	return 0
}

// sleep waits as a worker does, on the descriptors if the port has them.
func (b *bench) sleep(deadline time.Time) {
	var fds []int
	for _, q := range b.Port.Queues() {
		if q.FD() >= 0 {
			fds = append(fds, q.FD())
		}
	}
	if len(fds) == 0 {
		time.Sleep(time.Millisecond)
		return
	}
	if _, err := sys.Poll(time.Until(deadline), fds...); err != nil {
		b.Fatal(err)
	}
}

// done gives a batch's chunks back, as a worker does.
func (b *bench) done() {
	for i := range b.batch.Len() {
		b.Pool.PutFrame(b.batch.Frame(i))
	}
	b.batch.Reset()
}

// frame makes a frame to send, in a chunk of the pool if it fits one.
func (b *bench) frame(bytes []byte, o packet.Offload) *packet.Frame {
	b.Helper()
	f := new(packet.Frame)
	if !b.Pool.GetFrame(f, len(bytes), packet.NoPort) {
		buf := make([]byte, packet.Headroom+len(bytes))
		f.Begin(buf, packet.Headroom, uint32(len(buf)), packet.NoPort)
	}
	copy(f.Bytes(), bytes)
	f.Offload = o
	f.Send(b.ID)
	return f
}

// send sends frames through the first queue and gives their chunks back.
func (b *bench) send(frames ...*packet.Frame) {
	b.Helper()
	b.Port.Queues()[0].Send(frames)
	for _, f := range frames {
		b.Pool.PutFrame(f)
		if r := f.Reason; r != drop.None && r.Stage() != "tx" {
			b.Errorf("Send dropped a frame as %v, of stage %q", r, r.Stage())
		}
	}
}

func (b *bench) take() ([]byte, packet.Offload) {
	b.Helper()
	frame, o, ok := b.End.Take(patience)
	if !ok {
		b.Fatalf("nothing came out; drops %v", dropped(b.Port.Stats()))
	}
	return frame, o
}

func (b *bench) injects() {
	if b.Replay {
		b.Skip("the port replays: nobody can inject")
	}
}

// same compares a frame on a wire: a short one may have been padded.
func same(got, want []byte) bool {
	return len(got) >= len(want) && bytes.Equal(got[:len(want)], want) && (len(got) == len(want) || len(got) <= 60)
}

// dropped names what a port has dropped.
func dropped(s port.Stats) map[string]uint64 {
	m := map[string]uint64{}
	for r, n := range s.Drops {
		if n != 0 {
			m[drop.Reason(r).String()] = n
		}
	}
	return m
}

// sizes are frame lengths around every bound that a driver may have.
func sizes(p port.Port) []int {
	all := []int{60, 61, 64, 127, 128, 129, 576, 1023, 1024, 1513, 1514}
	if most := p.Info().Caps.MaxFrame; most > 1514 {
		// Around what fits a page, and two of them, behind any headroom.
		for _, n := range []int{3839, 3840, 3841, 3968, 3969, 4096, 4097, 7680, 7681, 7936, 7937} {
			if n < most-1 {
				all = append(all, n)
			}
		}
		all = append(all, most-1, most)
	}
	return all
}

// descriptors counts the open ones of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// closing closes a port that has carried frames, and looks for what is left.
func closing(b *bench) {
	before := goleak.IgnoreCurrent()
	fds := descriptors(b.T)
	b.up()
	b.send(b.frame(plain(100, 1), packet.Offload{}))
	if !b.Replay {
		b.inject(plain(100, 2), packet.Offload{})
		b.recv()
		b.done()
	}
	if err := b.Port.Close(); err != nil {
		b.Fatal(err)
	}
	if err := b.Port.Close(); err != nil {
		b.Errorf("second Close: %v", err)
	}
	if s := b.Port.Status(); s.Up {
		b.Error("a closed port is up")
	}
	goleak.VerifyNone(b.T, before)
	if now, own := descriptors(b.T), descriptorsOf(b.Port); now > fds-own {
		b.Errorf("%d descriptors before Close, %d after: at least %d were the port's", fds, now, own)
	}
	b.conserved()
	if b.Gone != nil {
		b.Gone(b.T)
	}
}

// descriptorsOf returns how many descriptors the port's queues showed.
func descriptorsOf(p port.Port) (n int) {
	for _, q := range p.Queues() {
		if q.FD() >= 0 {
			n++
		}
	}
	return n
}

// conserved checks that every chunk is in the pool or the region.
func (b *bench) conserved() {
	b.Helper()
	r := b.Pool.Region()
	if have := b.Pool.Len() + r.Free(); have != r.Chunks() {
		b.Errorf("%d of %d chunks are left", have, r.Chunks())
	}
}
