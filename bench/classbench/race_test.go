//go:build race

package classbench

// raced tells that the race detector is on. It makes the sets of 100,000 rules
// take minutes, and has nothing to find: linking is one goroutine.
const raced = true
