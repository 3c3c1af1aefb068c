//go:build !invariant

package invariant

// Enabled says whether checks are compiled in: guard with it what is costly
// to compute.
const Enabled = false

// Check panics unless ok, in builds with the tag "invariant".
func Check(ok bool, what string, args ...any) {}

// Owner notices two goroutines at once inside something that has one owner,
// in builds with the tag "invariant".
type Owner struct{}

// Enter is called on the way in.
func (*Owner) Enter() {}

// Leave is called on the way out.
func (*Owner) Leave() {}
