package xdp

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// plainRing is a ring over plain memory, whose indices begin at first.
func plainRing[T any](n, first uint32) *ring[T] {
	producer, consumer := first, first
	return &ring[T]{producer: &producer, consumer: &consumer, flags: new(uint32), entries: make([]T, n), mask: n - 1}
}

// The kernel's side of a ring: it consumes what we produce, and the other way
// round.

func kernelReady[T any](r *ring[T]) uint32 { return atomic.LoadUint32(r.producer) - *r.consumer }

func kernelTake[T any](r *ring[T]) (v T, ok bool) {
	if kernelReady(r) == 0 {
		return v, false
	}
	v = r.entries[*r.consumer&r.mask]
	atomic.StoreUint32(r.consumer, *r.consumer+1)
	return v, true
}

func kernelGive[T any](r *ring[T], v T) bool {
	if *r.producer-atomic.LoadUint32(r.consumer) > r.mask {
		return false
	}
	r.entries[*r.producer&r.mask] = v
	atomic.StoreUint32(r.producer, *r.producer+1)
	return true
}

// fakeKernel is the other side of a queue's rings, in the same process. It is
// used from one goroutine, but for what is atomic.
type fakeKernel struct {
	*socket
	mem       []byte
	rng       *rand.Rand
	filled    []uint64       // taken from the fill ring, not delivered yet
	sending   []unix.XDPDesc // taken from the transmit ring, not completed yet
	delivered uint32         // good frames, by number
	sent      [][]byte       // what was taken from the transmit ring
	tail      []unix.XDPDesc // pieces of a frame, still to be delivered
	coming    []byte         // pieces of a frame that is not whole yet
	moves     bool           // being called makes the transmit ring move
	calls     int            // of wakeSend and wakeFill
	answer    unix.Errno     // to wakeSend
}

// newFake makes rings of n entries, whose indices begin just before they wrap.
func newFake(mem []byte, n uint32, rng *rand.Rand) *fakeKernel {
	first := func() uint32 { return -rng.Uint32N(4 * n) }
	k := &fakeKernel{mem: mem, rng: rng, moves: true}
	k.socket = &socket{
		fd:   0,
		fill: plainRing[uint64](n, first()), done: plainRing[uint64](n, first()),
		rx: plainRing[unix.XDPDesc](n, first()), tx: plainRing[unix.XDPDesc](n, first()),
		wakeFill: func(int) { k.calls++ },
		wakeSend: k.wake,
	}
	return k
}

// wake is the call to send: the kernel takes a batch, or is busy.
func (k *fakeKernel) wake(int) unix.Errno {
	k.calls++
	if k.answer == 0 && k.moves {
		for range kickBatch {
			if !k.take() {
				break
			}
		}
	}
	return k.answer
}

// need says whether the kernel wants to be called.
func (k *fakeKernel) need(wakeup bool) {
	var flag uint32
	if wakeup {
		flag = unix.XDP_RING_NEED_WAKEUP
	}
	atomic.StoreUint32(k.tx.flags, flag)
	atomic.StoreUint32(k.fill.flags, flag)
}

// look takes what is in the fill ring.
func (k *fakeKernel) look() {
	for {
		addr, ok := kernelTake(k.fill)
		if !ok {
			return
		}
		k.filled = append(k.filled, addr)
	}
}

// kernelStart is where the kernel puts a frame in a chunk, in copy mode.
const kernelStart = 256

// deliver puts a frame of n bytes, which says its number, into the receive
// ring, in pieces where it is longer than a chunk.
func (k *fakeKernel) deliver(n uint32) bool {
	const most = port.ChunkSize - kernelStart
	pieces := int(n+most-1) / most
	if k.late(); len(k.tail) > 0 || len(k.filled) < pieces || *k.rx.producer-atomic.LoadUint32(k.rx.consumer)+uint32(pieces) > k.rx.mask+1 {
		return false
	}
	frame := make([]byte, n)
	for i := range frame {
		frame[i] = byte(k.delivered) + byte(i)
	}
	binary.BigEndian.PutUint32(frame, k.delivered)
	for len(frame) > 0 {
		d := unix.XDPDesc{Addr: k.filled[0] + kernelStart, Len: uint32(min(len(frame), most))}
		copy(k.mem[d.Addr:], frame[:d.Len])
		if frame = frame[d.Len:]; len(frame) > 0 {
			d.Options = unix.XDP_PKT_CONTD
		}
		k.filled = k.filled[1:]
		k.tail = append(k.tail, d)
	}
	k.delivered++
	k.late()
	return true
}

// late gives the pieces of the last frame that are still to come; some come
// after the worker has looked.
func (k *fakeKernel) late() {
	for len(k.tail) > 0 {
		kernelGive(k.rx, k.tail[0])
		if k.tail = k.tail[1:]; k.rng.IntN(4) == 0 {
			return
		}
	}
}

// take takes one descriptor from the transmit ring.
func (k *fakeKernel) take() bool {
	d, ok := kernelTake(k.tx)
	if ok {
		k.sending = append(k.sending, d)
		k.coming = append(k.coming, k.mem[d.Addr:d.Addr+uint64(d.Len)]...)
		if d.Options&unix.XDP_PKT_CONTD == 0 {
			k.sent, k.coming = append(k.sent, k.coming), nil
		}
	}
	return ok
}

// complete says of the oldest frame that it has been sent.
func (k *fakeKernel) complete() bool {
	if len(k.sending) == 0 || !kernelGive(k.done, k.sending[0].Addr) {
		return false
	}
	d := k.sending[0]
	clear(k.mem[d.Addr : d.Addr+uint64(d.Len)]) // nobody reads it any more
	k.sending = k.sending[1:]
	return true
}

// nonsense is a descriptor that no kernel should give. It may say that the
// frame goes on.
func (k *fakeKernel) nonsense() unix.XDPDesc {
	d := k.nonsensePiece()
	d.Options = k.rng.Uint32N(3)
	return d
}

func (k *fakeKernel) nonsensePiece() unix.XDPDesc {
	chunk := k.rng.Uint64N(uint64(len(k.mem)) / port.ChunkSize) // anybody's
	switch k.rng.IntN(6) {
	case 0: // outside the region
		return unix.XDPDesc{Addr: uint64(len(k.mem)) + k.rng.Uint64N(1<<40), Len: 100}
	case 1: // an address that wraps when the length is added
		return unix.XDPDesc{Addr: -k.rng.Uint64N(200), Len: 1 << 31}
	case 2: // longer than the chunk
		return unix.XDPDesc{Addr: chunk*port.ChunkSize + kernelStart, Len: port.ChunkSize - kernelStart + 1 + k.rng.Uint32N(1<<31)}
	case 3: // without headroom
		return unix.XDPDesc{Addr: chunk*port.ChunkSize + k.rng.Uint64N(packet.Headroom), Len: 60}
	case 4: // nothing, or a runt
		return unix.XDPDesc{Addr: chunk*port.ChunkSize + kernelStart, Len: k.rng.Uint32N(14)}
	default: // well-formed, but of a chunk that may be anywhere
		return unix.XDPDesc{Addr: chunk*port.ChunkSize + kernelStart, Len: 60}
	}
}
