package classify

import (
	"slices"

	"bulkhead/dataplane/policy"
)

// bundles are the distinct pairs of sources and destinations that rules have,
// numbered in the order of their first rules. Rules of one bundle differ in
// ports only: wherever one of them may match, so may the others.
type bundles struct {
	from, to [][]policy.SetID
	rules    [][]uint32 // ascending; those that no header can reach are left out
	total    []uint32   // a rule of the bundle that names every port, or noRule
}

const noRule = uint32(policy.NoRule)

func (b *bundles) len() int { return len(b.rules) }

func newBundles(rs *policy.Ruleset, ports *portLists) *bundles {
	b := &bundles{}
	var known interner
	var key []uint32
	for i := range rs.Rules {
		r := &rs.Rules[i]
		key = append(key[:0], uint32(len(r.From)))
		for _, s := range r.From {
			key = append(key, uint32(s))
		}
		for _, s := range r.To {
			key = append(key, uint32(s))
		}
		n := known.number(key)
		if int(n) == b.len() {
			b.from, b.to = append(b.from, r.From), append(b.to, r.To)
			b.rules, b.total = append(b.rules, nil), append(b.total, noRule)
		}
		if b.total[n] != noRule {
			continue // an earlier rule takes all that this one could
		}
		b.rules[n] = append(b.rules[n], uint32(i))
		if ports.total[ports.of[i]] {
			b.total[n] = uint32(i)
		}
	}
	return b
}

// shared appends the bundles that two ascending lists share, down to the first
// that a rule for every port leaves nothing to.
func (b *bundles) shared(out, x, y []uint32) []uint32 {
	end := noRule
	for len(x) > 0 && len(y) > 0 {
		switch {
		case x[0] == y[0]:
			if b.rules[x[0]][0] > end {
				return out
			}
			out = append(out, x[0])
			end = min(end, b.total[x[0]])
			x, y = x[1:], y[1:]
		case x[0] < y[0]:
			x = skip(x, y[0])
		default:
			y = skip(y, x[0])
		}
	}
	return out
}

// skip drops what is below least from an ascending list, in growing strides: a
// short list against a long one costs about what the short one is long.
func skip(list []uint32, least uint32) []uint32 {
	stride := 1
	for stride < len(list) && list[stride] < least {
		stride *= 2
	}
	from := stride / 2
	at, _ := slices.BinarySearch(list[from:min(stride, len(list))], least)
	return list[from+at:]
}

// merged appends the rules of several bundles, ascending.
func (b *bundles) merged(out, several []uint32) []uint32 {
	for _, n := range several {
		out = append(out, b.rules[n]...)
	}
	if len(several) > 1 && !slices.IsSorted(out) {
		slices.Sort(out)
	}
	return out
}
