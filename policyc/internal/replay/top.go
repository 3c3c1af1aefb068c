package replay

import (
	"cmp"
	"container/heap"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/flows"
)

// denial is a kind of connection that was denied.
type denial struct {
	from, to string
	proto    uint8
	dport    uint16
	rule     policy.RuleID
}

// maxKinds bounds the kinds that are counted.
const maxKinds = 4096

// top counts the most frequent kinds in bounded memory: when it is full a new
// kind takes the place, and the count, of the least (Space-Saving: Metwally et
// al., ICDT 2005). A count is then too high by what it took over, at the most;
// a kind that is more than one in maxKinds of all is never missed. With fewer
// kinds all counts are exact.
type top struct {
	kinds map[denial]*counted
	order leastFirst
}

type counted struct {
	kind        denial
	count, over uint64 // over: of count, what it took from another
	from, to    *ends
	sport       uint16
	at          int // in order
}

func (t *top) add(k denial, f *flows.Flow, from, to *ends) {
	if t.kinds == nil {
		t.kinds = map[denial]*counted{}
	}
	if c := t.kinds[k]; c != nil {
		c.count += f.Count
		heap.Fix(&t.order, c.at)
		return
	}
	c := &counted{kind: k, count: f.Count, from: from, to: to, sport: f.Sport}
	if len(t.order) >= maxKinds {
		least := heap.Pop(&t.order).(*counted)
		delete(t.kinds, least.kind)
		c.over = least.count
		c.count += least.count
	}
	t.kinds[k] = c
	heap.Push(&t.order, c)
}

// most returns the kinds that surely were the most frequent, at most n.
func (t *top) most(n int) []*counted {
	all := slices.SortedFunc(slices.Values(t.order), func(a, b *counted) int {
		return cmp.Or(cmp.Compare(b.count-b.over, a.count-a.over), compare(b, a))
	})
	return all[:min(n, len(all))]
}

// compare orders kinds, the least first; of equals the last by name.
func compare(a, b *counted) int {
	x, y := &a.kind, &b.kind
	return cmp.Or(cmp.Compare(a.count, b.count), cmp.Compare(y.from, x.from), cmp.Compare(y.to, x.to),
		cmp.Compare(y.proto, x.proto), cmp.Compare(y.dport, x.dport), cmp.Compare(y.rule, x.rule))
}

// leastFirst is a heap of kinds.
type leastFirst []*counted

func (h leastFirst) Len() int           { return len(h) }
func (h leastFirst) Less(i, j int) bool { return compare(h[i], h[j]) < 0 }
func (h leastFirst) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push is heap.Interface's.
func (h *leastFirst) Push(x any) {
	c := x.(*counted)
	c.at = len(*h)
	*h = append(*h, c)
}

// Pop is heap.Interface's.
func (h *leastFirst) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}
