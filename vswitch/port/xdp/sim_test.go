package xdp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// sim is a queue between a worker, whose part the test plays, and a fake
// kernel. Its steps come in an order that a seed chooses; after each one the
// accounts are held against each other.
type sim struct {
	*testing.T
	rng    *rand.Rand
	region *port.Region
	pool   *port.Pool // the worker's
	q      *queue
	k      *fakeKernel
	batch  packet.Batch
	made   packet.Batch // frames that the worker makes itself
	next   uint32       // number of the frame to be received next
	sent   [][]byte     // what Send took, in order
	rogue  bool         // the kernel gives nonsense
	mtu    int
}

// noise is what frames are filled with.
var noise = func() (b [1 << 15]byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}()

// rings and chunks are few, so that each is full and empty often.
func newSim(t *testing.T, seed uint64, rogue bool) *sim {
	return newSimBy(t, rand.New(rand.NewPCG(seed, 0)), []int{1500, 9000}[seed%2], rogue)
}

// newSimBy has rng choose.
func newSimBy(t *testing.T, rng *rand.Rand, mtu int, rogue bool) *sim {
	n := uint32(8) << rng.UintN(4)
	region, err := port.NewRegion(make([]byte, (int(n)+rng.IntN(3*int(n))+1)*port.ChunkSize))
	if err != nil {
		t.Fatal(err)
	}
	s := &sim{T: t, rng: rng, region: region, pool: port.NewPool(region), rogue: rogue, mtu: mtu}
	s.k = newFake(region.Memory(), n, rng)
	s.q = newQueue(s.k.socket, &Config{Name: "sim", MTU: s.mtu, Port: 5, Region: region})
	return s
}

func (s *sim) step() {
	before := s.k.calls
	bound := 0
	switch s.rng.IntN(12) {
	case 0, 1:
		s.k.look()
	case 2, 3:
		for range s.rng.IntN(20) {
			s.k.deliver(14 + s.rng.Uint32N(uint32(s.mtu)+1))
		}
	case 4, 5:
		s.receive()
		bound = 1
	case 6, 7:
		bound = s.send()
	case 8:
		s.endBatch()
	case 9:
		for range s.rng.IntN(20) {
			s.k.complete()
		}
	case 10:
		s.k.need(s.rng.IntN(2) == 0)
		s.k.moves = s.rng.IntN(4) != 0
		s.k.answer = []unix.Errno{0, 0, unix.EAGAIN, unix.EBUSY, unix.ENOBUFS}[s.rng.IntN(5)]
	case 11:
		if s.rogue {
			s.mischief()
		} else if s.rng.IntN(2) == 0 {
			s.k.take() // of its own accord
		}
	}
	if got := s.k.calls - before; got > bound {
		s.Fatalf("%d calls of the kernel, at most %d needed", got, bound)
	}
	s.conserved()
}

// receive takes in a batch, if the last one has ended.
func (s *sim) receive() {
	if s.batch.Len() > 0 {
		return
	}
	for range s.rng.IntN(2) * s.rng.IntN(packet.BatchSize) {
		s.batch.Next().Begin(nil, 0, 0, packet.NoPort) // another port's
	}
	own := s.batch.Len()
	if err := s.q.Recv(&s.batch); err != nil {
		s.Fatal(err)
	}
	for i := own; i < s.batch.Len(); i++ {
		s.look(s.batch.Frame(i))
	}
}

// look holds a frame received against what the kernel delivered.
func (s *sim) look(f *packet.Frame) {
	if f.Start < packet.Headroom || f.End < f.Start || int(f.End) > len(f.Buf) || (f.Chunk == 0) != (f.Len() > port.ChunkSize-kernelStart) && !s.rogue {
		s.Fatalf("frame [%d:%d] of %d bytes, chunk %d", f.Start, f.End, len(f.Buf), f.Chunk)
	}
	if s.rogue {
		return
	}
	b := f.Bytes()
	if got := binary.BigEndian.Uint32(b); got != s.next {
		s.Fatalf("frame %d came, %d is next", got, s.next)
	}
	for i := 4; i < len(b); i++ {
		if b[i] != byte(s.next)+byte(i) {
			s.Fatalf("frame %d changed at byte %d", s.next, i)
		}
	}
	s.next++
}

// send sends some of the batch, and some frames of other memory. It returns how
// many calls that may cost.
func (s *sim) send() int {
	var out []*packet.Frame
	for i := range s.batch.Len() {
		if f := s.batch.Frame(i); f.Ingress == s.q.id && f.Len() > 0 && s.rng.IntN(2) == 0 {
			out = append(out, f)
		}
	}
	s.made.Reset()
	for range s.rng.IntN(packet.BatchSize) {
		out = append(out, s.make())
	}
	want := make([][]byte, len(out))
	for i, f := range out {
		want[i] = append([]byte(nil), f.Bytes()...)
	}
	waiting := s.q.tx.mask + 1 - s.q.tx.space()
	s.q.Send(out)
	for i, f := range out {
		switch {
		case f.Reason == drop.None:
			if f.Chunk != 0 {
				s.Fatal("a frame that was sent still has its chunk")
			}
			f.Ingress = packet.NoPort // not again
			s.sent = append(s.sent, want[i])
			waiting += uint32(len(want[i]))/copyMax + 1
		case f.Reason == drop.TxOversize && (f.Len() > s.mtu+14 || f.Offload.GSO != packet.GSONone):
		case f.Reason == drop.TxFull:
		default:
			s.Fatalf("frame of %d bytes: %v", f.Len(), f.Reason)
		}
		f.Reason = drop.None
	}
	for i := range s.made.Len() {
		s.pool.PutFrame(s.made.Frame(i))
	}
	return int(waiting)/kickBatch + 1
}

// make makes a frame in a chunk, or in memory that is not the region's.
func (s *sim) make() *packet.Frame {
	f, n := s.made.Next(), 14+s.rng.IntN(s.mtu+10)
	if s.rng.IntN(2) == 0 || !s.pool.GetFrame(f, n, packet.NoPort) {
		f.Begin(make([]byte, packet.Headroom+n), packet.Headroom, uint32(packet.Headroom+n), packet.NoPort)
	}
	copy(f.Bytes(), noise[s.rng.IntN(len(noise)-packet.Headroom-n):])
	if s.rng.IntN(16) == 0 {
		f.Offload.GSO = packet.GSOTCP4
	}
	return f
}

func (s *sim) endBatch() {
	for i := range s.batch.Len() {
		s.pool.PutFrame(s.batch.Frame(i))
	}
	s.batch.Reset()
}

// mischief is what a kernel must not do.
func (s *sim) mischief() {
	switch s.rng.IntN(4) {
	case 0, 1:
		kernelGive(s.k.rx, s.k.nonsense())
	case 2:
		kernelGive(s.k.done, s.k.nonsense().Addr)
	case 3: // the same descriptor again
		if last := *s.k.rx.producer - 1; s.k.delivered > 0 {
			kernelGive(s.k.rx, s.k.rx.entries[last&s.k.rx.mask])
		}
	}
}

// conserved: each chunk is in one place.
func (s *sim) conserved() {
	s.Helper()
	held := 0
	for i := range s.batch.Len() {
		if s.batch.Frame(i).Chunk != 0 {
			held++
		}
	}
	c := s.q.counts()
	if sum := s.region.Free() + s.pool.Len() + c.Pooled + c.Receiving + c.Sending + held; sum != s.region.Chunks() {
		s.Fatalf("%d chunks of %d: %d free, %d the worker's, %d in batches, %+v", sum, s.region.Chunks(), s.region.Free(), s.pool.Len(), held, c)
	}
	if s.rogue {
		return
	}
	filled := len(s.k.filled) + len(s.k.tail) + int(*s.q.fill.producer-*s.q.fill.consumer) + int(*s.q.rx.producer-*s.q.rx.consumer)
	leaving := len(s.k.sending) + int(*s.q.tx.producer-*s.q.tx.consumer) + int(*s.q.done.producer-*s.q.done.consumer)
	if filled != c.Receiving || leaving != c.Sending {
		s.Fatalf("the kernel has %d to fill and %d to send; the books say %+v", filled, leaving, c)
	}
}

// finish lets everything come home, and looks that it is all there once.
func (s *sim) finish() {
	s.k.need(true)
	s.k.moves, s.k.answer = true, 0
	for range 4 * len(s.q.at) {
		s.k.take()
		s.k.complete()
		s.q.Send(nil)
	}
	s.endBatch()
	if c := s.q.counts(); !s.rogue && c.Sending != 0 {
		s.Fatalf("still sending: %+v", c)
	}
	if !s.rogue {
		for i := range s.sent {
			if i >= len(s.k.sent) || !bytes.Equal(s.sent[i], s.k.sent[i]) {
				s.Fatalf("frame %d of %d went out as another, or not at all", i, len(s.sent))
			}
		}
		if len(s.sent) != len(s.k.sent) {
			s.Fatalf("%d frames sent, the kernel has seen %d", len(s.sent), len(s.k.sent))
		}
	}
	s.q.reclaim()
	s.pool.Drain()
	seen := map[uint32]bool{}
	for {
		chunk, ok := s.pool.Get()
		if !ok {
			break
		}
		seen[chunk] = true
	}
	if len(seen) != s.region.Chunks() {
		s.Fatalf("%d of %d chunks came home", len(seen), s.region.Chunks())
	}
}

// simulations runs a number of seeds, or the one that is asked for:
// BULKHEAD_SEED=7 go test -run Simulat ./vswitch/port/xdp
func simulations(t *testing.T, n uint64, run func(seed uint64)) {
	if text := os.Getenv("BULKHEAD_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		run(seed)
		return
	}
	for seed := range n {
		run(seed)
		if t.Failed() {
			t.Fatalf("BULKHEAD_SEED=%d", seed)
		}
	}
}

const simSteps = 400

// choices is a source of randomness that a stranger's bytes are, and numbers of a
// fixed seed when they are used up.
type choices struct {
	b    []byte
	rest *rand.PCG
}

func (c *choices) Uint64() uint64 {
	if len(c.b) < 2 {
		c.b = nil
		return c.rest.Uint64()
	}
	v := uint64(c.b[0])<<56 | uint64(c.b[1])<<48 | c.rest.Uint64()>>16
	c.b = c.b[2:]
	return v
}

// FuzzRings has a stranger choose what worker and kernel do, and in which order: the
// kernel keeps to its word or lies about descriptors and indices. The oracle is the
// fake kernel, which knows where each chunk is and what was in each frame: every
// chunk is in one place after every step, what was delivered is received as it was,
// once and in order, what was sent is what the kernel gets, and in the end all
// chunks are there, once.
func FuzzRings(f *testing.F) {
	for seed := range uint64(16) {
		b := make([]byte, 256)
		rng := rand.NewPCG(seed, 1)
		for i := range b {
			b[i] = byte(rng.Uint64())
		}
		f.Add(b, seed%2 == 0, seed%4 < 2)
	}
	f.Fuzz(func(t *testing.T, b []byte, jumbo, rogue bool) {
		if len(b) > 2048 {
			return
		}
		source, mtu := &choices{b, rand.NewPCG(uint64(len(b)), 7)}, 1500
		if jumbo {
			mtu = 9000
		}
		s := newSimBy(t, rand.New(source), mtu, rogue)
		for len(source.b) > 0 {
			s.step()
		}
		s.finish()
	})
}

func TestSimulatedKernel(t *testing.T) { simulate(t, false) }

// Nothing that a kernel says may cost memory, a frame twice, or a panic.
func TestSimulatedKernelThatLies(t *testing.T) { simulate(t, true) }

func simulate(t *testing.T, rogue bool) {
	var frames, sent, refused, lies uint64
	simulations(t, 120, func(seed uint64) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			s := newSim(t, seed, rogue)
			for range simSteps {
				s.step()
			}
			s.finish()
			frames, sent = frames+s.q.stats.rxFrames, sent+s.q.stats.txFrames
			refused, lies = refused+s.q.stats.drops[drop.TxFull], lies+s.q.stats.drops[drop.RxDescriptor]
		})
	})
	t.Logf("%d frames in, %d out, %d refused, %d descriptors not believed", frames, sent, refused, lies)
	if frames == 0 || sent == 0 || refused == 0 || rogue != (lies > 0) {
		t.Error("the schedules miss what they are for")
	}
}

// F17, bad descriptors: a million of them, outside the region, across chunks, too long,
// too short, twice, of chunks that are elsewhere. None costs a panic, a chunk, or a byte
// outside the region: pages around it cannot be touched. Each is counted.
func TestFaultDescriptors(t *testing.T) {
	most := uint64(20_000)
	if os.Getenv("BULKHEAD_LONG") != "" {
		most = 1_000_000
	}
	lies, frames, seed := uint64(0), uint64(0), uint64(1_000_000)
	for ; lies < most && !t.Failed(); seed++ {
		s := newGuardedSim(t, seed)
		for range 10 * simSteps {
			s.mischief()
			s.step()
		}
		s.finish()
		lies, frames = lies+s.q.stats.drops[drop.RxDescriptor], frames+s.q.stats.rxFrames
	}
	t.Logf("F17: %d bad descriptors among %d frames, each counted, every chunk came home; seeds to %d", lies, frames, seed)
	if frames == 0 {
		t.Error("no good frame among them: this says nothing")
	}
}

// newGuardedSim is a rogue simulation whose region lies between two pages that end the
// process when they are touched.
func newGuardedSim(t *testing.T, seed uint64) *sim {
	t.Helper()
	s := newSim(t, seed, true)
	size := len(s.region.Memory())
	mem, err := unix.Mmap(-1, 0, size+2*port.ChunkSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	for _, page := range [][]byte{mem[:port.ChunkSize], mem[port.ChunkSize+size:]} {
		if err := unix.Mprotect(page, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if s.region, err = port.NewRegion(mem[port.ChunkSize : port.ChunkSize+size : port.ChunkSize+size]); err != nil {
		t.Fatal(err)
	}
	n := s.k.fill.mask + 1
	s.pool, s.k = port.NewPool(s.region), newFake(s.region.Memory(), n, s.rng)
	s.q = newQueue(s.k.socket, &Config{Name: "sim", MTU: s.mtu, Port: 5, Region: s.region})
	return s
}
