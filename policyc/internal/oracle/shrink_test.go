package oracle

import (
	"slices"
	"strings"
	"testing"

	"bulkhead/policyc/internal/worlds"
)

// hold asks a property of a trial. Where it does not hold, statements are left
// out as long as it still does not, and what is left is printed.
func (x *trial) hold(t *testing.T, property func(*trial) string) {
	t.Helper()
	problem := property(x)
	if problem == "" {
		return
	}
	bad := func(some []worlds.Statement) bool {
		y := x.saying(some)
		if _, wrong := read(some); wrong != "" {
			return false // a service is gone that a rule names: not the mistake in question
		}
		found := property(y)
		if found != "" {
			problem = found
		}
		return found != ""
	}
	least := shrink(x.statements, bad)
	x.statements = leastLines(least, bad)
	t.Fatalf("%s\n%s", problem, x)
}

// leastLines leaves out what it can of each statement that is left: a mark, a
// rank, a condition.
func leastLines(list []worlds.Statement, bad func([]worlds.Statement) bool) []worlds.Statement {
	for i := range list {
		lines := shrink(strings.SplitAfter(list[i].Text, "\n"), func(some []string) bool {
			less := slices.Clone(list)
			less[i].Text = strings.Join(some, "")
			return bad(less)
		})
		list = slices.Clone(list)
		list[i].Text = strings.Join(lines, "")
	}
	return list
}

// shrink leaves out what it can of a list that is bad: halves first, then
// smaller pieces, until no single element can go (Zeller and Hildebrandt's
// ddmin, TSE 2002, without the test of the pieces alone).
//
// What had to stay for the sake of something that went later, as a service for
// its rule, goes in another round.
func shrink[T any](list []T, bad func([]T) bool) []T {
	for {
		less := shrinkOnce(list, bad)
		if len(less) == len(list) {
			return less
		}
		list = less
	}
}

func shrinkOnce[T any](list []T, bad func([]T) bool) []T {
	for piece := max(1, len(list)/2); len(list) > 0; piece /= 2 {
		for at := 0; at < len(list); {
			rest := slices.Concat(list[:at], list[min(at+piece, len(list)):])
			if bad(rest) {
				list = rest
			} else {
				at += piece
			}
		}
		if piece == 1 {
			break
		}
	}
	return list
}

// Of a list in which two elements make it bad those two are left.
func TestShrinkLeavesTheLeast(t *testing.T) {
	var list []int
	for i := range 1000 {
		list = append(list, i)
	}
	asked := 0
	least := shrink(list, func(some []int) bool {
		asked++
		return slices.Contains(some, 3) && slices.Contains(some, 900)
	})
	if !slices.Equal(least, []int{3, 900}) || asked > 200 {
		t.Errorf("%v after %d questions", least, asked)
	}
}
