package report

import "slices"

// Better says which way a figure improves.
type Better string

// The two ways.
const (
	Lower  Better = "lower"
	Higher Better = "higher"
)

// Value is one quantity of one round.
type Value struct {
	Case    string // e.g. "TCP round trip, p99"
	Unit    string // e.g. "us"
	Better  Better
	Value   float64
	Samples int // how many measurements it summarizes; 0: it is one by itself
}

// Figure is one quantity of one subject, measured in several rounds.
type Figure struct {
	Scenario string    `json:"scenario"`
	Case     string    `json:"case"`    // e.g. "64 B, 1000 sessions"
	Subject  string    `json:"subject"` // who was measured
	Unit     string    `json:"unit"`    // e.g. "ns/frame"; "Gb/s"
	Better   Better    `json:"better"`
	Rounds   []float64 `json:"rounds"`            // in the order of measuring
	Samples  int       `json:"samples,omitempty"` // the fewest of a round
	Note     string    `json:"note,omitempty"`    // what the subject is and does
}

// Add takes in one more round.
func (f *Figure) Add(v Value) {
	if len(f.Rounds) == 0 || v.Samples < f.Samples {
		f.Samples = v.Samples
	}
	f.Rounds = append(f.Rounds, v.Value)
}

// Median returns the middle round; zero without one.
func (f *Figure) Median() float64 { return Quantile(f.Rounds, 0.5) }

// Min returns the least round.
func (f *Figure) Min() float64 { return Quantile(f.Rounds, 0) }

// Max returns the largest round.
func (f *Figure) Max() float64 { return Quantile(f.Rounds, 1) }

// Quantile returns the q-th quantile, between neighbours by their distance;
// zero of nothing.
func Quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	at := q * float64(len(s)-1)
	lo := int(at)
	if lo == len(s)-1 {
		return s[lo]
	}
	return s[lo] + (at-float64(lo))*(s[lo+1]-s[lo])
}
