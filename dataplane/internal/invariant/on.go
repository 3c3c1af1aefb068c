//go:build invariant

package invariant

import (
	"fmt"
	"sync/atomic"
)

// Enabled says whether checks are compiled in: guard with it what is costly
// to compute.
const Enabled = true

// Check panics unless ok.
func Check(ok bool, what string, args ...any) {
	if !ok {
		panic("invariant broken: " + fmt.Sprintf(what, args...))
	}
}

// Owner notices two goroutines at once inside something that has one owner.
type Owner struct{ inside atomic.Int32 }

// Enter is called on the way in.
func (o *Owner) Enter() {
	if !o.inside.CompareAndSwap(0, 1) {
		panic("invariant broken: two goroutines at once use what has one owner")
	}
}

// Leave is called on the way out.
func (o *Owner) Leave() { o.inside.Store(0) }
