package paged

// Rows is the length of a page of a Vector. A power of two, so that a row is
// found by a shift and a mask.
const Rows = 1 << rowBits

const rowBits = 9

// Vector is a version of an array. The zero value has no rows.
type Vector[T any] struct{ pages []*[Rows]T }

// At returns row i, which must be below Len. It is not to be changed.
func (v *Vector[T]) At(i uint32) *T { return &v.pages[i>>rowBits][i&(Rows-1)] }

// Has tells whether there is a row i.
func (v *Vector[T]) Has(i uint32) bool { return int(i>>rowBits) < len(v.pages) }

// Len is the number of rows that there is memory for: whole pages. Rows that
// were never set are zero.
func (v *Vector[T]) Len() int { return Rows * len(v.pages) }

// VectorEditor makes versions of a vector. The zero value begins with none.
type VectorEditor[T any] struct {
	now   Vector[T]
	made  []uint64 // by page: the version that it was made for
	count uint64   // of versions published
	dir   bool     // the directory is this version's own
}

// At returns row i as it is by now; it is not to be changed, and not to be kept
// over a change.
func (e *VectorEditor[T]) At(i uint32) *T { return e.now.At(i) }

// Has tells whether there is a row i.
func (e *VectorEditor[T]) Has(i uint32) bool { return e.now.Has(i) }

// Edit returns row i to be changed, until the next Publish. Rows up to it are
// made if there are none.
func (e *VectorEditor[T]) Edit(i uint32) *T {
	at := int(i >> rowBits)
	if !e.dir {
		e.now.pages = append(make([]*[Rows]T, 0, max(at+1, len(e.now.pages))), e.now.pages...)
		e.dir = true
	}
	for at >= len(e.now.pages) {
		e.now.pages, e.made = append(e.now.pages, new([Rows]T)), append(e.made, e.count)
	}
	if e.made[at] != e.count {
		page := *e.now.pages[at]
		e.now.pages[at], e.made[at] = &page, e.count
	}
	return &e.now.pages[at][i&(Rows-1)]
}

// Publish returns the version made, which no edit from now on changes.
func (e *VectorEditor[T]) Publish() Vector[T] {
	e.count++
	e.dir = false
	return e.now
}
