//go:build invariant

package invariant

import (
	"fmt"
	"sync/atomic"
)

// Enabled says whether checks are compiled in: every check stands behind it.
const Enabled = true

// Broken panics.
func Broken(what string, args ...any) {
	panic("invariant broken: " + fmt.Sprintf(what, args...))
}

// Owner notices two goroutines at once inside something that has one owner.
type Owner struct{ inside atomic.Int32 }

// Enter is called on the way in.
func (o *Owner) Enter() {
	if !o.inside.CompareAndSwap(0, 1) {
		Broken("two goroutines at once use what has one owner")
	}
}

// Leave is called on the way out.
func (o *Owner) Leave() { o.inside.Store(0) }
