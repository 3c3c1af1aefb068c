package xdp

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/vswitch/port"
)

// What a descriptor may say, each of a chunk that the kernel had been given.
// Whatever it is, the chunk is not lost.
func TestDescriptors(t *testing.T) {
	const room = port.ChunkSize - kernelStart
	for _, c := range []struct {
		name   string
		change func(d *unix.XDPDesc)
		taken  bool
	}{
		{"good", func(d *unix.XDPDesc) {}, true},
		{"as long as fits", func(d *unix.XDPDesc) { d.Len = room }, true},
		{"a byte longer", func(d *unix.XDPDesc) { d.Len = room + 1 }, false},
		{"as long as can be said", func(d *unix.XDPDesc) { d.Len = 1<<32 - 1 }, false},
		{"nothing: the parser's affair", func(d *unix.XDPDesc) { d.Len = 0 }, true},
		{"a runt: the parser's affair", func(d *unix.XDPDesc) { d.Len = 13 }, true},
		{"just enough headroom", func(d *unix.XDPDesc) { d.Addr -= kernelStart - packet.Headroom }, true},
		{"too little headroom", func(d *unix.XDPDesc) { d.Addr -= kernelStart - packet.Headroom + 1 }, false},
		{"no headroom", func(d *unix.XDPDesc) { d.Addr -= kernelStart }, false},
		{"the chunk's last byte", func(d *unix.XDPDesc) { d.Addr += room - 1; d.Len = 1 }, true},
		{"over the chunk's end", func(d *unix.XDPDesc) { d.Addr += room - 1; d.Len = 2 }, false},
	} {
		s := newSim(t, 1, true)
		var b packet.Batch
		for range 3 * s.region.Chunks() { // more often than there are chunks to lose
			b.Reset()
			if err := s.q.Recv(&b); err != nil {
				t.Fatal(err)
			}
			s.k.look()
			d := unix.XDPDesc{Addr: s.k.filled[0] + kernelStart, Len: 60}
			s.k.filled = s.k.filled[1:]
			c.change(&d)
			kernelGive(s.k.rx, d)
			if err := s.q.Recv(&b); err != nil {
				t.Fatal(err)
			}
			if taken := b.Len() == 1; taken != c.taken {
				t.Fatalf("%s: taken: %v", c.name, taken)
			}
			for i := range b.Len() {
				if f := b.Frame(i); f.Len() != int(d.Len) {
					t.Errorf("%s: %d bytes of %d", c.name, f.Len(), d.Len)
				}
				s.pool.PutFrame(b.Frame(i))
			}
			s.pool.Drain()
			if len(s.k.filled) == 0 && kernelReady(s.q.fill) == 0 {
				t.Fatalf("%s: the chunks have run out: %+v", c.name, s.q.counts())
			}
		}
		if refused := s.q.stats.drops[drop.RxDescriptor]; (refused == 0) != c.taken {
			t.Errorf("%s: %d counted", c.name, refused)
		}
		s.conserved()
	}
}

// When there is no other memory a queue receives into what it has sent, though
// nobody sends any more.
func TestReceivesIntoWhatWasSent(t *testing.T) {
	s := newSim(t, 2, false)
	sent := 0
	for chunk, ok := s.pool.Get(); ok; chunk, ok = s.pool.Get() {
		if kernelGive(s.k.done, uint64(chunk)*port.ChunkSize) {
			s.q.at[chunk] = sending
			sent++
		}
	}
	var b packet.Batch
	if err := s.q.Recv(&b); err != nil {
		t.Fatal(err)
	}
	if n := int(kernelReady(s.q.fill)); n != sent || n == 0 {
		t.Errorf("it can receive into %d chunks, and has sent %d", n, sent)
	}
}

// Indices that no kernel should write: nothing of ours is overwritten, and what
// is read is bounded.
func TestIndicesOutOfRange(t *testing.T) {
	for _, off := range []uint32{1, 7, 1 << 16, 1 << 31, 1<<32 - 9} {
		r := plainRing[uint64](8, 1<<32-3)
		*r.consumer += off // it has consumed what there is not
		if n := r.space(); n != 0 {
			t.Errorf("consumer %d ahead: room for %d", int32(off), n)
		}
		r = plainRing[uint64](8, 1<<32-3)
		*r.producer += off
		if n := r.ready(); n > r.mask+1 {
			t.Errorf("producer %d ahead: %d ready", int32(off), n)
		}
		s := newSim(t, 2, true)
		*s.q.rx.producer += off
		*s.q.done.producer += off
		*s.q.tx.consumer += off
		*s.q.fill.consumer += off
		for range 100 {
			s.receive()
			s.send()
			s.endBatch()
			s.conserved()
		}
	}
}

// The kernel runs beside the switch: every frame comes once and goes back once,
// in order, and nobody touches a chunk that is not his (the race detector
// looks).
func TestSimulatedKernelBesideTheSwitch(t *testing.T) {
	const frames = 4000
	s := newSim(t, 3, false)
	s.k.rng = rand.New(rand.NewPCG(4, 0)) // not the worker's
	s.k.wakeSend = func(int) unix.Errno { return unix.EAGAIN }
	s.k.wakeFill = func(int) {}
	var sent atomic.Uint32
	done := make(chan struct{})
	go func() {
		defer close(done)
		rng := s.k.rng
		for sent.Load() < frames {
			s.k.look()
			if s.k.delivered < frames {
				s.k.deliver(14 + rng.Uint32N(1500))
			}
			for s.k.take() && rng.IntN(3) != 0 {
				sent.Add(1)
			}
			sent.Store(uint32(len(s.k.sent)))
			for s.k.complete() && rng.IntN(3) != 0 {
			}
			s.k.need(rng.IntN(2) == 0)
			runtime.Gosched()
		}
	}()
	for sent.Load() < frames {
		s.receive()
		var out []*packet.Frame
		for i := range s.batch.Len() {
			if f := s.batch.Frame(i); f.Chunk != 0 {
				out = append(out, f)
			}
		}
		for len(out) > 0 { // what is refused goes again
			s.q.Send(out)
			var again []*packet.Frame
			for _, f := range out {
				if f.Reason == drop.TxFull {
					f.Reason = drop.None
					again = append(again, f)
				}
			}
			out = again
			runtime.Gosched()
		}
		s.endBatch()
	}
	<-done
	for i, b := range s.k.sent {
		if got := binary.BigEndian.Uint32(b); got != uint32(i) {
			t.Fatalf("frame %d came back as number %d", got, i)
		}
	}
	if s.next != frames {
		t.Errorf("%d frames came, of %d", s.next, frames)
	}
	s.conserved()
	s.k.sent = nil // looked at
	s.finish()
}

// A frame of TCP in by the rings, parsed as the walk does, and out again.
func BenchmarkRings(b *testing.B) {
	region, err := port.NewRegion(make([]byte, 4096*port.ChunkSize))
	if err != nil {
		b.Fatal(err)
	}
	frame := ether(packettest.IPv4(packettest.A4, packettest.B4), packettest.TCP(1, 2, packet.TCPAckFlag), packettest.Payload(10))
	for i := range uint32(region.Chunks()) {
		copy(region.Chunk(i)[kernelStart:], frame)
	}
	k := newFake(region.Memory(), 1024, rand.New(rand.NewPCG(1, 1)))
	q := newQueue(k.socket, &Config{Name: "bench", MTU: 1500, Port: 5, Region: region})
	var batch packet.Batch
	var list [packet.BatchSize]*packet.Frame
	b.ReportAllocs()
	for n := 0; n < b.N; {
		batch.Reset()
		if err := q.Recv(&batch); err != nil {
			b.Fatal(err)
		}
		for i := range batch.Len() {
			list[i] = batch.Frame(i)
			if reason := packet.Parse(list[i]); reason != drop.None {
				b.Fatal(reason)
			}
		}
		q.Send(list[:batch.Len()])
		n += batch.Len()
		k.forward(uint32(len(frame)))
	}
}

// forward delivers what there is to fill, and completes what there is to send.
func (k *fakeKernel) forward(n uint32) {
	for addr, ok := kernelTake(k.fill); ok; addr, ok = kernelTake(k.fill) {
		kernelGive(k.rx, unix.XDPDesc{Addr: addr + kernelStart, Len: n})
	}
	for d, ok := kernelTake(k.tx); ok; d, ok = kernelTake(k.tx) {
		kernelGive(k.done, d.Addr)
	}
}
