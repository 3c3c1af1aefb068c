// Package nearest finds the right name that a wrong one was probably meant to
// be. It is for diagnostics: it never decides what a policy means.
package nearest

import "strings"

// Name returns the candidate with the fewest edits (insert, delete, replace,
// swap neighbours) from name, or "" if none is near enough to be a plausible
// typo: more than a third of the name, or more than three edits. Case counts
// little: it is no edit, but as many others do the one of the same case wins.
// Of equals it is the first in the order of the alphabet, whatever order they
// come in: they may come from a map.
func Name(name string, candidates []string) string {
	best, bestCost := "", 2*limit(name)+2
	lower := strings.ToLower(name)
	for _, c := range candidates {
		if 2*abs(len(c)-len(name)) > bestCost {
			continue
		}
		folded := distance(lower, strings.ToLower(c), bestCost/2)
		cost := 2 * folded
		if cost <= bestCost && distance(name, c, folded) > folded {
			cost++
		}
		if cost < bestCost || cost == bestCost && c < best {
			best, bestCost = c, cost
		}
	}
	return best
}

func limit(name string) int {
	return min(3, max(1, (len(name)+1)/3))
}

// distance is the Damerau-Levenshtein distance in its restricted form, by
// bytes: three rows, O(len(a) x len(b)). Beyond most it may return any
// number that is: of thousands of candidates nearly all end after a few rows.
func distance(a, b string, most int) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > most {
			return least // no row's least is below that of the row before
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
