package identity

import (
	"encoding/binary"
	"slices"

	"bulkhead/dataplane/internal/paged"
)

// numbers gives lists of sets their IDs, and takes back those that no address
// has any more. An ID is not used again for the table in which it is gone: that
// one is told apart from the table before by its numbers.
type numbers struct {
	of    map[string]ID
	sets  paged.VectorEditor[[]uint32] // by ID
	uses  []uint32                     // by ID: the addresses and prefixes that have it
	ids   rows
	fresh []ID // since the last table
	idle  []ID // that had no use at some time since the last table
}

func newNumbers() numbers {
	n := numbers{of: map[string]ID{}}
	n.ids.take() // nobody's
	*n.sets.Edit(0) = nil
	n.uses = []uint32{1}
	return n
}

// ID returns the identity of a sorted list of policy sets: the same for equal
// lists.
func (n *numbers) ID(sets []uint32) ID {
	key := keyOf(sets)
	if id, known := n.of[string(key)]; known {
		return id
	}
	id := ID(n.ids.take())
	*n.sets.Edit(uint32(id)) = slices.Clone(sets)
	if int(id) == len(n.uses) {
		n.uses = append(n.uses, 0)
	}
	n.of[string(key)] = id
	n.fresh = append(n.fresh, id)
	return id
}

// AllSets returns the policy sets of every identity that there is by now, by ID: the
// policy can be linked while the tables are made.
func (n *numbers) AllSets() [][]uint32 {
	all := make([][]uint32, n.ids.next)
	for id := range all {
		all[id] = *n.sets.At(uint32(id))
	}
	return all
}

func keyOf(sets []uint32) []byte {
	key := make([]byte, 0, 4*len(sets))
	for _, s := range sets {
		key = binary.LittleEndian.AppendUint32(key, s)
	}
	return key
}

// use is ID for an address, or a prefix, that has it from now on.
func (n *numbers) use(sets []uint32) ID {
	id := n.ID(sets)
	n.uses[id]++
	return id
}

// unuse says that an address has an identity no more.
func (n *numbers) unuse(id ID) {
	if n.uses[id]--; n.uses[id] == 0 {
		n.idle = append(n.idle, id)
	}
}

// settle returns what came up and what is gone. Who came and went since the
// last table is neither: nobody has heard of it.
func (n *numbers) settle() (fresh, gone []ID) {
	dead := map[ID]bool{}
	for _, id := range n.idle {
		if n.uses[id] == 0 && !dead[id] {
			dead[id] = true
			delete(n.of, string(keyOf(*n.sets.At(uint32(id)))))
			*n.sets.Edit(uint32(id)) = nil
			n.ids.give(uint32(id))
			gone = append(gone, id)
		}
	}
	if len(dead) > 0 {
		born := map[ID]bool{}
		for _, id := range n.fresh {
			born[id] = true
		}
		n.fresh = slices.DeleteFunc(n.fresh, func(id ID) bool { return dead[id] })
		gone = slices.DeleteFunc(gone, func(id ID) bool { return born[id] })
	}
	fresh, n.fresh, n.idle = n.fresh, nil, n.idle[:0]
	return fresh, gone
}
