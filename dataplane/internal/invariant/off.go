//go:build !invariant

package invariant

// Enabled says whether checks are compiled in: every check stands behind it.
const Enabled = false

// Broken is never called without the tag.
func Broken(what string, args ...any) {}

// Owner notices two goroutines at once inside something that has one owner,
// in builds with the tag "invariant".
type Owner struct{}

// Enter is called on the way in.
func (*Owner) Enter() {}

// Leave is called on the way out.
func (*Owner) Leave() {}
