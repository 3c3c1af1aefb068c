package report

import (
	"math"
	"testing"
)

func TestQuantiles(t *testing.T) {
	f := Figure{Rounds: []float64{5, 1, 3}}
	if f.Median() != 3 || f.Min() != 1 || f.Max() != 5 {
		t.Errorf("median %v min %v max %v of 5 1 3", f.Median(), f.Min(), f.Max())
	}
	if f.Rounds[0] != 5 {
		t.Error("the order of the rounds is lost")
	}
	even := Figure{Rounds: []float64{1, 2, 3, 4}}
	if even.Median() != 2.5 {
		t.Errorf("median of 1 2 3 4 is %v", even.Median())
	}
	if q := Quantile([]float64{0, 10}, 0.9); q != 9 {
		t.Errorf("0.9 of the way from 0 to 10 is %v", q)
	}
	var none Figure
	if none.Median() != 0 {
		t.Error("a figure without rounds has a median")
	}
}

func TestAddKeepsTheFewestSamples(t *testing.T) {
	var f Figure
	for _, n := range []int{500, 300, 400} {
		f.Add(Value{Value: float64(n), Samples: n})
	}
	if f.Samples != 300 || len(f.Rounds) != 3 {
		t.Errorf("samples %d, rounds %v", f.Samples, f.Rounds)
	}
}

func TestVerdictNeedsSpreadsApart(t *testing.T) {
	cases := []struct {
		name   string
		better Better
		a, b   []float64
		want   string
	}{
		{"clearly_more", Higher, []float64{10, 11, 12}, []float64{5, 6, 7}, Ahead},
		{"clearly_less", Higher, []float64{5, 6, 7}, []float64{10, 11, 12}, Behind},
		{"less_is_better", Lower, []float64{5, 6, 7}, []float64{10, 11, 12}, Ahead},
		{"more_is_worse", Lower, []float64{10, 11, 12}, []float64{5, 6, 7}, Behind},
		{"overlap", Higher, []float64{5, 9, 12}, []float64{4, 8, 10}, NoWinner},
		{"touching", Higher, []float64{5, 6, 7}, []float64{7, 8, 9}, NoWinner},
		// Every round favours a, yet the machine's own swing is larger.
		{"each_round_ahead_but_overlapping", Higher, []float64{10, 20, 30}, []float64{9, 18, 27}, NoWinner},
		{"too_few", Higher, []float64{5, 6}, []float64{1, 2}, TooFew},
		{"peer_stood_still", Higher, []float64{5, 6, 7}, []float64{0, 0, 0}, TooFew},
		{"peer_stood_still_once", Higher, []float64{5, 6, 7, 8}, []float64{0, 1, 2, 3}, Ahead},
	}
	for _, c := range cases {
		r := Compare(&Figure{Better: c.better, Rounds: c.a}, &Figure{Better: c.better, Rounds: c.b})
		if r.Verdict != c.want {
			t.Errorf("%s: %q, want %q", c.name, r.Verdict, c.want)
		}
	}
}

// The ratio is of the same round: when the machine slows, both slow, and the
// ratio stays.
func TestRatioIsByRound(t *testing.T) {
	r := Compare(&Figure{Rounds: []float64{10, 20, 30}}, &Figure{Rounds: []float64{20, 40, 60}})
	if r.Median != 0.5 || r.Min != 0.5 || r.Max != 0.5 || r.Rounds != 3 {
		t.Errorf("%+v", r)
	}
	r = Compare(&Figure{Rounds: []float64{1, 2, 3}}, &Figure{Rounds: []float64{0, 4, 4}})
	if math.Abs(r.Median-0.625) > 1e-9 || r.Rounds != 2 {
		t.Errorf("a round without a peer counts: %+v", r)
	}
}

func TestRatiosAreOfTheFirstSubjectWithEachOther(t *testing.T) {
	var figures []Figure
	for _, subject := range []string{"ours", "bridge", "nft"} {
		for _, c := range []struct{ name, unit string }{{"rate", "kpps"}, {"lost", "%"}} {
			figures = append(figures, Figure{Scenario: "s", Case: c.name, Unit: c.unit, Subject: subject, Better: Higher, Rounds: []float64{1, 2, 3}})
		}
	}
	got := Ratios(figures)
	if len(got) != 2 || got[0].Peer != "bridge" || got[1].Peer != "nft" || got[0].Subject != "ours" || got[1].Case != "rate" {
		t.Errorf("%+v", got)
	}
	idle := []Figure{{Scenario: "s", Subject: "ours", Rounds: []float64{1}}, {Scenario: "s", Subject: "bridge", Rounds: []float64{0}}}
	if got := Ratios(idle); got != nil {
		t.Errorf("ratios to nothing: %+v", got)
	}
	if Ratios(nil) != nil {
		t.Error("ratios of nothing")
	}
}
