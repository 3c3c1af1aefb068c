package hashtab

import (
	"fmt"
	"math/bits"

	"bulkhead/dataplane/internal/hugemem"
)

// Lanes is the number of rows one bucket names.
const Lanes = 8

// MaxProbes is the number of tags that a lookup looks at, at most.
const MaxProbes = 2 * Lanes

// fill is the average number of rows a bucket when the index is full.
const fill = 4

// Bucket is one cache line of the index: the tags of eight rows, four to a
// word so that all are compared at once, and the rows' numbers. Tag zero is an
// empty lane.
type Bucket struct {
	tags    [2]uint64
	rows    [Lanes]uint32
	used    uint32 // lanes taken
	spilled uint32 // rows whose first bucket this is and which are in their second
	_       [8]byte
}

// Index finds row numbers by hash. The caller keeps the rows and compares the
// keys.
type Index struct {
	buckets *hugemem.Table[Bucket]
	rows    []Bucket // buckets.Rows, one load nearer
}

// Place says where in the index a row stands.
type Place uint32

// NewIndex makes an index for that many rows, 1 to 1<<28.
func NewIndex(rows uint32) (*Index, error) {
	if rows == 0 || rows > 1<<28 {
		return nil, fmt.Errorf("index of %d rows: must be 1 to %d", rows, 1<<28)
	}
	buckets, err := hugemem.Make[Bucket](int(rows/fill) + 2)
	if err != nil {
		return nil, fmt.Errorf("index of %d rows: %w", rows, err)
	}
	return &Index{buckets: buckets, rows: buckets.Rows}, nil
}

// Close frees the memory.
func (x *Index) Close() error {
	x.rows = nil
	return x.buckets.Close()
}

// Bytes returns the memory of the index, in bytes.
func (x *Index) Bytes() int { return x.buckets.Bytes() }

// Huge tells whether the index asked for huge pages and was heard.
func (x *Index) Huge() bool { return x.buckets.Huge() }

// Populate makes all pages of the index now.
func (x *Index) Populate() error { return x.buckets.Populate() }

// The bits of a hash: 0-15 the tag, 0-31 the first bucket (whose choice rests
// on the upper ones), 26-57 the second; 58-63 are left to who spreads tables
// over shards.
func (x *Index) first(hash uint64) uint32 {
	return uint32(uint64(uint32(hash)) * uint64(len(x.rows)) >> 32)
}

func (x *Index) second(hash uint64) uint32 {
	return uint32(uint64(uint32(hash>>26)) * uint64(len(x.rows)) >> 32)
}

// tag returns the part of the hash that a bucket keeps; never zero.
func tag(hash uint64) uint64 {
	t := hash & 0xffff
	if t == 0 {
		return 1
	}
	return t
}

// First returns the first bucket of a hash and the lanes that may hold it.
func (x *Index) First(hash uint64) (*Bucket, Match) {
	b := &x.rows[x.first(hash)]
	return b, b.match(tag(hash))
}

// Second returns the second bucket of a hash and the lanes that may hold it:
// none, without a look, if the first has never sent a row there.
func (x *Index) Second(hash uint64, first *Bucket) (*Bucket, Match) {
	if first.spilled == 0 {
		return first, 0
	}
	b := &x.rows[x.second(hash)]
	return b, b.match(tag(hash))
}

// Match is a set of lanes.
type Match uint64

// Lane returns a lane of the set, which must not be empty; Next takes it out.
func (m Match) Lane() int {
	i := bits.TrailingZeros64(uint64(m))
	return (i&1)<<2 | i>>4
}

// Next returns the set without the lane that Lane names.
func (m Match) Next() Match { return m & (m - 1) }

// Row returns the row number in a lane.
func (b *Bucket) Row(lane int) uint32 { return b.rows[lane&(Lanes-1)] }

const (
	ones = 0x0001_0001_0001_0001
	tops = 0x8000_8000_8000_8000
)

// match returns the lanes that hold the tag, exactly: a lane of x is zero iff
// neither its low 15 bits (which would carry into the top) nor its top is set.
func (b *Bucket) match(tag uint64) Match {
	x, y := b.tags[0]^tag*ones, b.tags[1]^tag*ones
	x = ^(x&^tops + ^uint64(tops) | x) & tops
	y = ^(y&^tops + ^uint64(tops) | y) & tops
	return Match(x>>15 | y>>14)
}

// Insert names a row in one of the hash's two buckets. added is false if both
// are full: Each lists who is in the way.
func (x *Index) Insert(hash uint64, row uint32) (at Place, added bool) {
	i := x.first(hash)
	b := &x.rows[i]
	if b.used >= fill {
		j := x.second(hash)
		if c := &x.rows[j]; c.used < b.used {
			b.spilled++
			i, b = j, c
		}
	}
	if b.used == Lanes {
		return 0, false
	}
	lane := b.match(0).Lane()
	b.set(lane, tag(hash))
	b.rows[lane] = row
	b.used++
	return Place(i*Lanes + uint32(lane)), true
}

// Row returns the number of the row at a place.
func (x *Index) Row(at Place) uint32 { return x.rows[at/Lanes].rows[at%Lanes] }

// Remove takes the row at a place out. hash is the one it was inserted with.
func (x *Index) Remove(at Place, hash uint64) {
	b := &x.rows[at/Lanes]
	b.set(int(at%Lanes), 0)
	b.used--
	if i := x.first(hash); i != uint32(at/Lanes) {
		x.rows[i].spilled--
	}
}

// set writes the tag of a lane.
func (b *Bucket) set(lane int, tag uint64) {
	w, shift := &b.tags[lane/4&1], uint(lane%4*16)
	*w = *w&^(0xffff<<shift) | tag<<shift
}

// Candidates writes the rows in the hash's two buckets into to and returns how
// many there are: who would have to go for a new row to come.
func (x *Index) Candidates(hash uint64, to *[MaxProbes]uint32) int {
	n := 0
	i, j := x.first(hash), x.second(hash)
	for k, at := range [2]uint32{i, j} {
		if k == 1 && i == j {
			break
		}
		b := &x.rows[at]
		for lane := range Lanes {
			if b.tags[lane/4]>>(lane%4*16)&0xffff != 0 {
				to[n] = b.rows[lane]
				n++
			}
		}
	}
	return n
}

// Touch reads the bucket of a hash and returns the row most likely meant there,
// or any: of the first bucket, and only if nothing there has the tag, of the
// second. A caller that touches a batch of hashes before it looks them up lets
// their cache misses overlap.
func (x *Index) Touch(hash uint64) uint32 {
	b, m := x.First(hash)
	if m == 0 && b.spilled != 0 {
		b, m = x.Second(hash, b)
	}
	return b.rows[m.Lane()&(Lanes-1)]
}

// Prefetch has the first bucket of a hash fetched without reading it: unlike
// Touch it needs no lock where goroutines share the index.
func (x *Index) Prefetch(hash uint64) { hugemem.Prefetch(&x.rows[x.first(hash)]) }

// TouchAll is Touch of as many hashes as there are rows to write, at most, with
// every bucket fetched before the first is read: the waits overlap.
func (x *Index) TouchAll(hashes []uint64, rows []uint32) {
	rows = rows[:len(hashes)]
	for i, hash := range hashes {
		rows[i] = x.first(hash) // the bucket's number stands where the row's is to be
	}
	hugemem.PrefetchRows(x.rows, rows)
	for i, hash := range hashes {
		b := &x.rows[rows[i]]
		m := b.match(tag(hash))
		if m == 0 && b.spilled != 0 {
			b, m = x.Second(hash, b)
		}
		rows[i] = b.rows[m.Lane()&(Lanes-1)]
	}
}
