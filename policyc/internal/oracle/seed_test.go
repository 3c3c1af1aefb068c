package oracle

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// long asks for a million questions instead of seconds' worth of them.
var long = os.Getenv("BULKHEAD_LONG") != ""

// seeds are those of n worlds: from the time of day, so that each run draws
// others; or the one of BULKHEAD_SEED.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	if text := os.Getenv("BULKHEAD_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("BULKHEAD_SEED: %v; it is the number that a failure prints", err)
		}
		return []uint64{seed}
	}
	first := uint64(time.Now().UnixMilli())
	t.Logf("seeds %d to %d", first, first+uint64(n)-1)
	var out []uint64
	for i := range uint64(n) {
		out = append(out, first+i)
	}
	return out
}

// numbers are the random numbers of a seed.
func numbers(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
