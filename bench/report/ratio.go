package report

// Verdicts on a ratio.
const (
	Ahead     = "ahead"
	Behind    = "behind"
	NoWinner  = "no winner" // the spreads overlap
	TooFew    = "too few rounds"
	minRounds = 3 // fewer have no spread to speak of
)

// Ratio compares two figures of one case, round by round.
type Ratio struct {
	Scenario string  `json:"scenario"`
	Case     string  `json:"case"`
	Subject  string  `json:"subject"`
	Peer     string  `json:"peer"`
	Median   float64 `json:"median"`
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
	Rounds   int     `json:"rounds"` // that could be compared: the peer's was not zero
	Verdict  string  `json:"verdict"`
}

// Compare makes the ratio of a to b, of one case and unit. Both ran in turn,
// so round i of one is compared with round i of the other.
func Compare(a, b *Figure) Ratio {
	ratios := make([]float64, 0, len(a.Rounds))
	for i := range min(len(a.Rounds), len(b.Rounds)) {
		if b.Rounds[i] != 0 {
			ratios = append(ratios, a.Rounds[i]/b.Rounds[i])
		}
	}
	return Ratio{
		Scenario: a.Scenario, Case: a.Case, Subject: a.Subject, Peer: b.Subject, Rounds: len(ratios),
		Median: Quantile(ratios, 0.5), Min: Quantile(ratios, 0), Max: Quantile(ratios, 1),
		Verdict: verdict(a, b, ratios),
	}
}

// verdict names a winner only where every round of one is better than every
// round of the other.
func verdict(a, b *Figure, ratios []float64) string {
	if len(ratios) < minRounds {
		return TooFew
	}
	above, below := a.Min() > b.Max(), a.Max() < b.Min()
	if a.Better == Lower {
		above, below = below, above
	}
	switch {
	case above:
		return Ahead
	case below:
		return Behind
	}
	return NoWinner
}

// Ratios compares the figures of the first subject with those of each other
// subject, case by case. Shares in per cent are left out: the ratio of two
// losses says nothing.
func Ratios(figures []Figure) (out []Ratio) {
	if len(figures) == 0 {
		return nil
	}
	first := figures[0].Subject
	for i := range figures {
		a := &figures[i]
		if a.Subject != first || a.Unit == "%" {
			continue
		}
		for j := range figures {
			if b := &figures[j]; b.Subject != first && b.Scenario == a.Scenario && b.Case == a.Case {
				if r := Compare(a, b); r.Rounds > 0 { // to nothing there is no ratio
					out = append(out, r)
				}
			}
		}
	}
	return out
}
