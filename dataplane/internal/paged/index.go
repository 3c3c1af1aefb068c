package paged

import "errors"

const (
	probes    = 16 // the most slots that a look-up reads
	leafSlots = 1 << 10
	maxUsed   = leafSlots * 3 / 4 // of a leaf, so that there is always a gap
	maxDepth  = 22                // bits of a hash that choose a leaf: 10 + 32 + 22 = 64
)

// Index is a version of a hash table of numbers; what a number's key is, the
// caller knows. The zero value has none.
type Index struct {
	dir   []*leaf // by the high bits of a hash; a leaf may stand in several places
	shift uint8   // 64 less the number of these bits
}

// leaf is a page of slots, all of whose hashes begin with the same depth bits.
type leaf struct {
	slots [leafSlots]slot
	made  uint64 // the version that it was made for
	used  uint16
	depth uint8
}

type slot struct {
	tag   uint32 // of the hash, never zero in use
	value uint32
}

// tagOf takes the bits between those that choose the slot and the leaf.
func tagOf(hash uint64) uint32 { return uint32(hash>>10) | 1 }

// Find returns the number under a hash that is says is the right one.
func (x *Index) Find(hash uint64, is func(uint32) bool) (uint32, bool) {
	at := hash >> x.shift
	if at >= uint64(len(x.dir)) {
		return 0, false
	}
	l, want := x.dir[at], tagOf(hash)
	for i := uint64(0); i < probes; i++ {
		s := l.slots[(hash+i)%leafSlots]
		if s.tag == want && is(s.value) {
			return s.value, true
		}
		if s.tag == 0 {
			return 0, false
		}
	}
	return 0, false
}

// Bytes is what the index takes.
func (x *Index) Bytes() (n int) {
	n = 8 * len(x.dir)
	for i, l := range x.dir {
		if i == 0 || x.dir[i-1] != l {
			n += 8*leafSlots + 16
		}
	}
	return n
}

// IndexEditor makes versions of an index.
type IndexEditor struct {
	now   Index
	count uint64 // of versions published
	dir   bool   // the directory is this version's own
	hash  func(value uint32) uint64
}

// NewIndexEditor begins with an empty index. hash tells the hash of the key of
// a number that is in the index; it must be keyed (hashtab.Secret), so that
// nobody who chooses keys can choose where they fall.
func NewIndexEditor(hash func(value uint32) uint64) IndexEditor {
	return IndexEditor{now: Index{dir: []*leaf{{}}, shift: 64}, dir: true, hash: hash}
}

// ErrFull says that too many keys fall together: with a secret that nobody
// knows that does not happen, and with another one it is gone.
var ErrFull = errors.New("an index has too many keys of like hashes")

// Find finds a number as the index is by now.
func (e *IndexEditor) Find(hash uint64, is func(uint32) bool) (uint32, bool) {
	return e.now.Find(hash, is)
}

// Put adds a number; its key must be new. The caller's hash must know it.
func (e *IndexEditor) Put(value uint32) error {
	hash := e.hash(value)
	for !e.own(hash).put(hash, value) {
		if !e.split(hash) {
			return ErrFull
		}
	}
	return nil
}

// Remove takes a number out. The caller's hash must still know it.
func (e *IndexEditor) Remove(value uint32) {
	hash := e.hash(value)
	l := e.own(hash)
	for i := uint64(0); i < probes; i++ {
		at := (hash + i) % leafSlots
		if s := &l.slots[at]; s.tag != 0 && s.value == value {
			l.used--
			l.close(at, e.hash)
			return
		}
	}
}

// Publish returns the version made, which no edit from now on changes.
func (e *IndexEditor) Publish() Index {
	e.count++
	e.dir = false
	return e.now
}

// own returns the leaf of a hash, to be changed.
func (e *IndexEditor) own(hash uint64) *leaf {
	at := hash >> e.now.shift
	l := e.now.dir[at]
	if l.made == e.count {
		return l
	}
	mine := *l
	mine.made = e.count
	e.place(at, &mine)
	return &mine
}

// place puts a leaf wherever its bits are the first of a place's.
func (e *IndexEditor) place(at uint64, l *leaf) {
	if !e.dir {
		e.now.dir = append(make([]*leaf, 0, len(e.now.dir)), e.now.dir...)
		e.dir = true
	}
	places := uint64(1) << (64 - e.now.shift - l.depth)
	first := at &^ (places - 1)
	for i := range places {
		e.now.dir[first+i] = l
	}
}

// split cuts the leaf of a hash in two, by one bit more. Of what a half has no
// room for, that half is split in turn.
func (e *IndexEditor) split(hash uint64) bool {
	old := e.now.dir[hash>>e.now.shift]
	if old.depth == maxDepth {
		return false
	}
	if 64-e.now.shift == old.depth {
		e.double()
	}
	halves := [2]*leaf{{made: e.count, depth: old.depth + 1}, {made: e.count, depth: old.depth + 1}}
	var left []uint32
	for _, s := range old.slots {
		if s.tag == 0 {
			continue
		}
		h := e.hash(s.value)
		if !halves[h>>(63-old.depth)&1].put(h, s.value) {
			left = append(left, s.value)
		}
	}
	at := hash >> e.now.shift
	bit := uint64(1) << (63 - e.now.shift - old.depth)
	e.place(at&^bit, halves[0])
	e.place(at|bit, halves[1])
	for _, value := range left {
		if e.Put(value) != nil {
			return false
		}
	}
	return true
}

// double gives every place of the directory two, for one bit more.
func (e *IndexEditor) double() {
	dir := make([]*leaf, 0, 2*len(e.now.dir))
	for _, l := range e.now.dir {
		dir = append(dir, l, l)
	}
	e.now.dir, e.dir = dir, true
	e.now.shift--
}

func (l *leaf) put(hash uint64, value uint32) bool {
	if l.used >= maxUsed {
		return false
	}
	for i := uint64(0); i < probes; i++ {
		if s := &l.slots[(hash+i)%leafSlots]; s.tag == 0 {
			*s = slot{tagOf(hash), value}
			l.used++
			return true
		}
	}
	return false
}

// close empties a slot: what a look-up would reach only by way of it moves up.
func (l *leaf) close(gap uint64, hash func(uint32) uint64) {
	for at := (gap + 1) % leafSlots; l.slots[at].tag != 0; at = (at + 1) % leafSlots {
		home := hash(l.slots[at].value)
		if (at-home)%leafSlots >= (at-gap)%leafSlots { // the gap is not before its home
			l.slots[gap] = l.slots[at]
			gap = at
		}
	}
	l.slots[gap] = slot{}
}
