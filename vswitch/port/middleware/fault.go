package middleware

import (
	"math/rand/v2"
	"sync"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// Rates say what share of the frames, 0 to 1, meets which harm. A frame meets
// at most one; what there is on its way in comes from In, on its way out from
// Out. The same seed and the same frames give the same harm.
type Rates struct {
	Drop    float64 // vanishes: rx-error on the way in, tx-error on the way out
	Dup     float64 // comes twice
	Corrupt float64 // one bit is another
	Full    float64 // way out only: the device takes no more
}

// Faults is what Fault does.
type Faults struct {
	Seed    uint64
	In, Out Rates
	// Pool returns the pool of the worker that owns a queue, to which chunks of
	// frames that vanish on their way in go back. If it is nil, frames in
	// chunks do not vanish there.
	Pool func(queue int) *port.Pool
}

// Fault wraps a port in one that loses, doubles and corrupts frames. A frame
// that is doubled lies in memory of its own, so chunks stay conserved.
func Fault(p port.Port, f Faults) port.Port {
	out := &faulty{}
	out.wrapped = wrap(p, func(i int, q port.Queue) port.Queue {
		h := &harmful{Queue: q, faults: f, random: rand.New(rand.NewPCG(f.Seed, uint64(i)))}
		if f.Pool != nil {
			h.pool = f.Pool(i)
		}
		out.harmful = append(out.harmful, h)
		return h
	})
	return out
}

type faulty struct {
	*wrapped
	harmful []*harmful
}

// Stats implements port.Port: frames taken away count as drops.
func (f *faulty) Stats() port.Stats {
	s := f.wrapped.Stats()
	for _, q := range f.harmful {
		q.mu.Lock()
		s.RxFrames += q.extra.RxFrames - q.lost.RxFrames
		s.RxBytes += q.extra.RxBytes - q.lost.RxBytes
		for r, n := range q.extra.Drops {
			s.Drops[r] += n
		}
		q.mu.Unlock()
	}
	return s
}

// harmful is a queue that does harm.
type harmful struct {
	port.Queue
	faults Faults

	pool *port.Pool

	mu      sync.Mutex // guards the rest
	random  *rand.Rand
	extra   port.Stats      // to be added to the port's
	lost    port.Stats      // to be taken off the port's
	doubles []int           // scratch of Recv
	pass    []*packet.Frame // scratch of Send
}

// harm is what a frame meets.
type harm uint8

const (
	none harm = iota
	vanish
	double
	corrupt
	full
)

// choose draws a frame's harm.
func (h *harmful) choose(r Rates) harm {
	x := h.random.Float64()
	for _, c := range []struct {
		rate float64
		harm harm
	}{{r.Drop, vanish}, {r.Dup, double}, {r.Corrupt, corrupt}, {r.Full, full}} {
		if x < c.rate {
			return c.harm
		}
		x -= c.rate
	}
	return none
}

// flip changes one bit.
func (h *harmful) flip(b []byte) {
	if len(b) > 0 {
		b[h.random.IntN(len(b))] ^= 1 << h.random.IntN(8)
	}
}

// Recv implements port.Queue. What is doubled comes again at the batch's end.
func (h *harmful) Recv(b *packet.Batch) error {
	before := b.Len()
	err := h.Queue.Recv(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	keep, end, doubles := before, b.Len(), h.doubles[:0]
	for i := before; i < end; i++ {
		f := b.Frame(i)
		what := h.choose(h.faults.In)
		if what == vanish && h.steal(f) {
			continue
		}
		switch what {
		case double:
			doubles = append(doubles, keep)
		case corrupt:
			h.flip(f.Bytes())
		}
		if keep != i {
			*b.Frame(keep) = *f
		}
		keep++
	}
	for range end - keep {
		b.Undo()
	}
	for _, i := range doubles {
		h.again(b, b.Frame(i))
	}
	h.doubles = doubles
	return err
}

// steal takes a received frame away and gives its chunk back. It returns false
// if nobody said where to.
func (h *harmful) steal(f *packet.Frame) bool {
	if f.Chunk != 0 {
		if h.pool == nil {
			return false
		}
		h.pool.PutFrame(f)
	}
	h.lost.RxFrames++
	h.lost.RxBytes += uint64(f.Len())
	h.extra.Drops[drop.RxError]++
	return true
}

// again adds a frame to the batch once more, if it has room.
func (h *harmful) again(b *packet.Batch, f *packet.Frame) {
	twin := b.Next()
	if twin == nil {
		return
	}
	clone(twin, f)
	h.extra.RxFrames++
	h.extra.RxBytes += uint64(f.Len())
}

// clone makes twin the same frame in memory of its own.
func clone(twin, f *packet.Frame) {
	twin.Begin(append([]byte(nil), f.Buf...), f.Start, f.End, f.Ingress)
	twin.Offload, twin.Headers, twin.Egress, twin.Outer = f.Offload, f.Headers, f.Egress, f.Outer
}

// Send implements port.Queue.
func (h *harmful) Send(frames []*packet.Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pass := h.pass[:0]
	for _, f := range frames {
		switch h.choose(h.faults.Out) {
		case vanish:
			h.refuse(f, drop.TxError)
			continue
		case full:
			h.refuse(f, drop.TxFull)
			continue
		case double:
			twin := new(packet.Frame)
			clone(twin, f)
			pass = append(pass, twin)
		case corrupt:
			h.flip(f.Bytes())
		}
		pass = append(pass, f)
	}
	h.pass = pass
	h.Queue.Send(pass)
}

func (h *harmful) refuse(f *packet.Frame, r drop.Reason) {
	f.Reason = r
	h.extra.Drops[r]++
}
