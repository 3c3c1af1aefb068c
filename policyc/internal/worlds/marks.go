package worlds

import (
	"math/rand/v2"
)

// Seconds are before, at and after the times at which rules begin and cease to
// speak.
var Seconds = []int64{1, 99, 100, 199, 200, 201}

// periods are when rules speak: mostly always.
var periods = []string{
	"", "", "", "", "valid = { from = 1970-01-01T00:01:40Z }\n", "valid = { until = 1970-01-01T00:01:40Z }\n",
	"valid = { from = 1970-01-01T00:01:40Z, until = 1970-01-01T01:03:20+01:00 }\n", "valid = { until = 1970-01-01T00:03:20Z }\n",
}

// marks draws what a rule says beside its verdict. Of an allow a third have no
// state, of a deny a third deny nothing yet.
func marks(r *rand.Rand, verdict string) string {
	out := oneOf(r, periods)
	if mark := map[string]string{"allow": "stateless", "deny": "audit"}[verdict]; mark != "" {
		if r.IntN(3) == 0 {
			out += mark + " = true\n"
		}
		if r.IntN(4) == 0 {
			out += "log = true\n"
		}
	}
	if r.IntN(6) == 0 {
		out += "owner = \"team\"\nreason = \"PCI 1.2.1\"\n"
	}
	return out
}
