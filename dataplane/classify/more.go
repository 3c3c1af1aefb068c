package classify

import (
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/paged"
)

// more is the pairs of classes of which one, or both, came after the link. It
// has versions, as package paged has them: the pairs of a new class are added
// for the next engine, and the one before does not see them.
type more struct {
	secret hashtab.Secret
	index  paged.Index
	rows   paged.Vector[pair]
}

func (m *more) program(src, dst uint32) uint32 {
	if m == nil {
		return 0
	}
	at, found := m.index.Find(m.secret.Pair(uint64(src), uint64(dst)), func(i uint32) bool {
		p := m.rows.At(i)
		return p.src == src && p.dst == dst
	})
	if !found {
		return 0
	}
	return m.rows.At(at).program
}

const moreSize = 12 // bytes of a row

func (m *more) bytes() int {
	if m == nil {
		return 0
	}
	return m.index.Bytes() + moreSize*m.rows.Len()
}

// moreEditor makes the versions of more.
type moreEditor struct {
	secret hashtab.Secret
	index  *paged.IndexEditor
	rows   *paged.VectorEditor[pair]
	free   []uint32
	next   uint32
}

func newMore() moreEditor {
	m := moreEditor{secret: hashtab.NewSecret(), rows: &paged.VectorEditor[pair]{}}
	secret, rows := m.secret, m.rows
	index := paged.NewIndexEditor(func(i uint32) uint64 {
		p := rows.At(i)
		return secret.Pair(uint64(p.src), uint64(p.dst))
	})
	m.index = &index
	return m
}

// len is the number of pairs.
func (m *moreEditor) len() int { return int(m.next) - len(m.free) }

// put adds a pair, which must be new.
func (m *moreEditor) put(p pair) error {
	i := m.next
	if n := len(m.free); n > 0 {
		i, m.free = m.free[n-1], m.free[:n-1]
	} else {
		m.next++
	}
	*m.rows.Edit(i) = p
	return m.index.Put(i)
}

// remove takes a pair out.
func (m *moreEditor) remove(src, dst uint32) {
	at, found := m.index.Find(m.secret.Pair(uint64(src), uint64(dst)), func(i uint32) bool {
		p := m.rows.At(i)
		return p.src == src && p.dst == dst
	})
	if found {
		m.index.Remove(at)
		m.free = append(m.free, at)
	}
}

func (m *moreEditor) publish() *more {
	return &more{secret: m.secret, index: m.index.Publish(), rows: m.rows.Publish()}
}
