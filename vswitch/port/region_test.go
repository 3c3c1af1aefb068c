package port

import (
	"sync"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/packet"
)

func region(t testing.TB, chunks int) *Region {
	t.Helper()
	r, err := NewRegion(make([]byte, chunks*ChunkSize))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRegionRefuses(t *testing.T) {
	for name, n := range map[string]int{"nothing": 0, "less than a chunk": 100, "part of a chunk": ChunkSize + 1} {
		if _, err := NewRegion(make([]byte, n)); err == nil {
			t.Errorf("%s: %d bytes were taken", name, n)
		}
	}
}

// Whatever pools do, each chunk is in one place, and none is lost.
func TestChunksAreConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.IntRange(1, 4*poolSize).Draw(t, "chunks")
		r, err := NewRegion(make([]byte, chunks*ChunkSize))
		if err != nil {
			t.Fatal(err)
		}
		pools := []*Pool{NewPool(r), NewPool(r), NewPool(r)}
		held := map[uint32]bool{}
		var order []uint32
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			p := pools[rapid.IntRange(0, 2).Draw(t, "pool")]
			n := rapid.IntRange(1, poolSize+10).Draw(t, "n")
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				for range n {
					c, ok := p.Get()
					if !ok {
						if p.Len() != 0 || r.Free() != 0 {
							t.Fatalf("none left, says a pool of %d over a region of %d", p.Len(), r.Free())
						}
						break
					}
					if held[c] || int(c) >= chunks {
						t.Fatalf("chunk %d of %d is held already", c, chunks)
					}
					held[c] = true
					order = append(order, c)
				}
			case 1:
				for range min(n, len(order)) {
					c := order[0]
					order = order[1:]
					delete(held, c)
					p.Put(c)
				}
			case 2:
				p.Drain()
			}
			sum := len(held) + r.Free()
			for _, p := range pools {
				sum += p.Len()
				if p.Len() > poolSize {
					t.Fatalf("a pool holds %d", p.Len())
				}
			}
			if sum != chunks {
				t.Fatalf("%d of %d chunks", sum, chunks)
			}
		}
	})
}

func TestPoolsOfSeveralWorkers(t *testing.T) {
	r := region(t, 3000)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p := NewPool(r)
			var mine []uint32
			for round := range 200 {
				for range 64 + 700*(round%2) {
					c, ok := p.Get()
					if !ok {
						break
					}
					r.Chunk(c)[0] = byte(worker) // the race detector watches
					mine = append(mine, c)
				}
				for _, c := range mine {
					if r.Chunk(c)[0] != byte(worker) {
						t.Errorf("chunk %d has two owners", c)
					}
					p.Put(c)
				}
				mine = mine[:0]
			}
			p.Drain()
		}()
	}
	wg.Wait()
	if r.Free() != r.Chunks() {
		t.Errorf("%d of %d chunks came home", r.Free(), r.Chunks())
	}
}

func TestChunkIsClipped(t *testing.T) {
	r := region(t, 3)
	c := r.Chunk(1)
	if len(c) != ChunkSize || cap(c) != ChunkSize {
		t.Fatalf("chunk of %d bytes, %d in all", len(c), cap(c))
	}
	c[0], c[ChunkSize-1] = 1, 2
	if m := r.Memory(); m[ChunkSize] != 1 || m[2*ChunkSize-1] != 2 {
		t.Error("chunk 1 is elsewhere")
	}
}

func TestPutTwiceIsNotKeptQuiet(t *testing.T) {
	p := NewPool(region(t, 1))
	c, _ := p.Get()
	p.Put(c)
	p.Put(c)
	defer func() {
		if recover() == nil {
			t.Error("a chunk was put back twice, and nobody minded")
		}
	}()
	p.Drain()
}

func TestGetFrame(t *testing.T) {
	p := NewPool(region(t, 1))
	const most = ChunkSize - packet.Headroom
	f := packet.Frame{Offload: packet.Offload{Checksum: packet.ChecksumBad}, Outer: 50}
	if p.GetFrame(&f, most+1, 3) {
		t.Error("a frame longer than a chunk was given")
	}
	if !p.GetFrame(&f, most, 3) {
		t.Fatal("the longest frame was not given")
	}
	if f.Len() != most || f.Start != packet.Headroom || f.Ingress != 3 || f.Outer != 0 || f.Offload != (packet.Offload{}) {
		t.Errorf("frame %+v", f)
	}
	var second packet.Frame
	if p.GetFrame(&second, 60, 3) || second.Chunk != 0 {
		t.Error("one chunk was given twice")
	}
	p.PutFrame(&f)
	p.PutFrame(&f) // has none any more
	if f.Chunk != 0 || p.Len() != 1 {
		t.Errorf("chunk %d, %d in the pool", f.Chunk, p.Len())
	}
}

func TestPoolDoesNotAllocate(t *testing.T) {
	p := NewPool(region(t, 2*poolSize))
	var list [poolSize + 100]uint32
	if n := testing.AllocsPerRun(10, func() {
		for i := range list {
			list[i], _ = p.Get()
		}
		for _, c := range list {
			p.Put(c)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPool(b *testing.B) {
	p := NewPool(region(b, 2*poolSize))
	for b.Loop() {
		c, _ := p.Get()
		p.Put(c)
	}
}
