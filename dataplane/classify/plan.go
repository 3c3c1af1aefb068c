package classify

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
)

// What the tables of pairs may take. A policy that no plan brings under is
// refused, with the rules that reach furthest.
const (
	maxCells = 1 << 24 // of matrices: 64 MiB
	maxPairs = 1 << 24 // in sparse tables: 366 MiB
	maxWords = 1 << 26 // bundles of all classes, while linking: 256 MiB

	oneMatrix = 1 << 18 // cells that one matrix for all may always have: 1 MiB
)

// The bytes of a cell, and of a pair in a table that is 70 % full. A pair is
// looked up in twice the time of a cell: a matrix may be twice as large, and a small
// one always.
const (
	cellSize, pairSize, wordSize = 4, 23, 4

	smallMatrix = 1 << 14 // cells: 64 KiB
)

// plan says which sets are broad on either side, and which of the four tables
// are matrices.
type plan struct {
	src, dst split
	matrix   [2][2]bool // by part of the source, part of the destination
	cells    int        // of the matrices
	pairs    int        // in the sparse tables, at the most
}

// single tells whether every set is broad: one table, one look.
func (p *plan) single() bool { return p.src.limit == allBroad && p.dst.limit == allBroad }

// fits tells whether a plan is within the bounds.
func (p *plan) fits() bool {
	return p.cells <= maxCells && p.pairs <= maxPairs && p.src.words+p.dst.words <= maxWords &&
		slices.Max(append(p.src.classes[:], p.dst.classes[:]...)) < 1<<joinBits
}

// cost is the bytes of a plan. A table is looked up in a fourth of the time
// that four are: it may be twice as large.
func (p *plan) cost() int {
	bytes := cellSize*p.cells + pairSize*p.pairs + wordSize*(p.src.words+p.dst.words)
	if p.single() {
		return bytes / 2
	}
	return bytes
}

// newPlan picks the split of either side whose tables are least.
func newPlan(b *bundles, src, dst *side) (plan, error) {
	sources, dests := src.splits(), dst.splits()
	if p := (plan{src: sources[0], dst: dests[0], cells: sources[0].classes[broad] * dests[0].classes[broad]}); p.cells <= oneMatrix && p.fits() {
		p.matrix[broad][broad] = true
		return p, nil
	}
	reachS, reachD := reaches(b.from, src, sources), reaches(b.to, dst, dests)
	var best plan
	found := false
	for i := range sources {
		for j := range dests {
			p := plan{src: sources[i], dst: dests[j]}
			p.layOut(reachS[i], reachD[j])
			if p.fits() && (!found || p.cost() < best.cost()) {
				best, found = p, true
			}
		}
	}
	if !found {
		return plan{}, errTooMany
	}
	return best, nil
}

var errTooMany = errors.New("the policy tells too many pairs apart")

// layOut makes a matrix of each table that is smaller as one. reachS and
// reachD are the classes of either part that a bundle names.
func (p *plan) layOut(reachS, reachD [2][]uint32) {
	for s := range reachS {
		for d := range reachD {
			cells, pairs := p.src.classes[s]*p.dst.classes[d], 0
			for n := range reachS[s] {
				pairs += int(reachS[s][n]) * int(reachD[d][n])
			}
			p.matrix[s][d] = cells <= smallMatrix || cellSize*cells <= 2*pairSize*pairs
			if p.matrix[s][d] {
				p.cells += cells
			} else {
				p.pairs += pairs
			}
		}
	}
}

// reaches returns, by split, part and bundle, how many classes a bundle names.
func reaches(sides [][]policy.SetID, s *side, splits []split) [][2][]uint32 {
	out := make([][2][]uint32, len(splits))
	for i := range splits {
		for part := range out[i] {
			out[i][part] = make([]uint32, len(sides))
			for n, sets := range sides {
				for _, set := range sets {
					out[i][part][n] += splits[i].reach[part][s.kindOf[set]]
				}
			}
		}
	}
	return out
}

// blame says which rules make a policy too large: those that name the most
// pairs of identities.
func blame(rs *policy.Ruleset, b *bundles, src, dst *side) string {
	order := make([]int, b.len())
	pairs := make([]int, b.len())
	for n := range order {
		order[n] = n
		var from, to int
		for _, set := range b.from[n] {
			from += int(src.breadth[src.kindOf[set]])
		}
		for _, set := range b.to[n] {
			to += int(dst.breadth[dst.kindOf[set]])
		}
		pairs[n] = from * to
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(pairs[y], pairs[x]) })
	var names []string
	for _, n := range order[:min(3, len(order))] {
		names = append(names, fmt.Sprintf("%q (%d pairs)", rs.Rules[b.rules[n][0]].Name, pairs[n]))
	}
	return fmt.Sprintf("%d kinds of source x %d of destination take more than %d cells and %d pairs; put endpoints in services, or let fewer of them be told apart by rules; those that reach furthest are %s",
		src.whole.len(), dst.whole.len(), maxCells, maxPairs, strings.Join(names, ", "))
}
