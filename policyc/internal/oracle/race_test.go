//go:build race

package oracle

// slower is how many times fewer questions the race detector leaves time for.
const slower = 8
