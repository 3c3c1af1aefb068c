package port

import (
	"fmt"
	"sync"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
)

// ChunkSize is the size of one chunk of the frame region, in bytes: a page, as
// AF_XDP wants it. A frame of up to ChunkSize - packet.Headroom fits.
const ChunkSize = 4096

// Region is the memory that all ports' frames of ordinary size share, so that
// a frame moves from one AF_XDP port to another as a number, not as bytes.
// It is cut into chunks; each is in exactly one place at any time: a pool, a
// ring, or a batch.
type Region struct {
	mem    []byte
	mu     sync.Mutex // guards free
	free   []uint32   // chunk numbers
	chunks int
}

// NewMemory maps memory for a region of so many chunks. FreeMemory undoes it.
func NewMemory(chunks int) ([]byte, error) { return sys.MapAnonymous(chunks * ChunkSize) }

// SharedMemory is NewMemory in a memory file, which another process may map as well.
func SharedMemory(chunks int) (mem []byte, fd int, err error) {
	return sys.MapShared("bulkhead-frames", chunks*ChunkSize)
}

// FreeMemory unmaps a region's memory. No port may be open over it.
func FreeMemory(mem []byte) { _ = sys.Unmap(mem) }

// NewRegion makes a region of mem, whose length is a multiple of ChunkSize.
// The memory must stay mapped for as long as any port is open.
func NewRegion(mem []byte) (*Region, error) {
	if len(mem) == 0 || len(mem)%ChunkSize != 0 {
		return nil, fmt.Errorf("frame region of %d bytes: must be a positive multiple of %d", len(mem), ChunkSize)
	}
	r := &Region{mem: mem, chunks: len(mem) / ChunkSize}
	r.free = make([]uint32, r.chunks)
	for i := range r.free {
		r.free[i] = uint32(r.chunks - 1 - i)
	}
	return r, nil
}

// Memory returns the whole region, for registering it with a socket.
func (r *Region) Memory() []byte { return r.mem }

// Chunks returns the number of chunks.
func (r *Region) Chunks() int { return r.chunks }

// Chunk returns chunk i's memory, clipped to it.
func (r *Region) Chunk(i uint32) []byte {
	at := int(i) * ChunkSize
	return r.mem[at : at+ChunkSize : at+ChunkSize]
}

// Free returns how many chunks lie in the region itself, in no pool.
func (r *Region) Free() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.free)
}

// take moves up to len(dst) chunks out of the region and returns how many.
func (r *Region) take(dst []uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(dst), len(r.free))
	copy(dst[:n], r.free[len(r.free)-n:])
	r.free = r.free[:len(r.free)-n]
	return n
}

// give puts chunks back. More than there are means that one was put back twice
// and two owners will write to it: nothing can be right after that.
func (r *Region) give(src []uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.free)+len(src) > r.chunks {
		panic("port: a chunk of the frame region was put back twice")
	}
	r.free = append(r.free, src...)
}

// poolSize bounds the chunks a pool holds back; beyond it half go back to the
// region, so that no worker starves another.
const poolSize = 1024

// Pool is one worker's stock of free chunks. Its methods are called by that
// worker only; the region's lock is taken once in hundreds of calls.
type Pool struct {
	region *Region
	free   []uint32
}

// NewPool makes an empty pool over the region.
func NewPool(r *Region) *Pool {
	return &Pool{region: r, free: make([]uint32, 0, poolSize)}
}

// Region returns the region under the pool.
func (p *Pool) Region() *Region { return p.region }

// Get takes a chunk; ok is false when none is left anywhere.
func (p *Pool) Get() (chunk uint32, ok bool) {
	if len(p.free) == 0 {
		n := p.region.take(p.free[:poolSize/2])
		p.free = p.free[:n]
		if n == 0 {
			return 0, false
		}
	}
	chunk = p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return chunk, true
}

// Put gives a chunk back.
func (p *Pool) Put(chunk uint32) {
	if len(p.free) == poolSize {
		p.region.give(p.free[poolSize/2:])
		p.free = p.free[:poolSize/2]
	}
	p.free = append(p.free, chunk)
}

// PutFrame gives back the frame's chunk, if it still has one.
func (p *Pool) PutFrame(f *packet.Frame) {
	if f.Chunk != 0 {
		p.Put(f.Chunk - 1)
		f.Chunk = 0
	}
}

// GetFrame takes a chunk and makes f a frame of n bytes in it, with headroom,
// that came in by port. It returns false if no chunk is left or n is too long.
func (p *Pool) GetFrame(f *packet.Frame, n int, ingress packet.PortID) bool {
	if n > ChunkSize-packet.Headroom {
		return false
	}
	chunk, ok := p.Get()
	if !ok {
		return false
	}
	f.Begin(p.region.Chunk(chunk), packet.Headroom, uint32(packet.Headroom+n), ingress)
	f.Chunk = chunk + 1
	return true
}

// Len returns the number of chunks in the pool.
func (p *Pool) Len() int { return len(p.free) }

// Drain gives every chunk back to the region: the worker is about to end.
func (p *Pool) Drain() {
	p.region.give(p.free)
	p.free = p.free[:0]
}
