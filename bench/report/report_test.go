package report

import (
	"bytes"
	"strings"
	"testing"
)

func TestQuantiles(t *testing.T) {
	f := Figure{Rounds: []float64{5, 1, 3}}
	if f.Median() != 3 || f.Min() != 1 || f.Max() != 5 {
		t.Errorf("median %v min %v max %v of 1 3 5", f.Median(), f.Min(), f.Max())
	}
	even := Figure{Rounds: []float64{1, 2, 3, 4}}
	if even.Median() != 2.5 {
		t.Errorf("median of 1 2 3 4 is %v", even.Median())
	}
	var none Figure
	if none.Median() != 0 {
		t.Error("a figure without rounds has a median")
	}
}

func TestVerdictNeedsSpreadsApart(t *testing.T) {
	cases := []struct {
		name, better string
		a, b         []float64
		want         string
	}{
		{"clearly_faster", "higher", []float64{10, 11, 12}, []float64{5, 6, 7}, "ahead"},
		{"clearly_slower", "higher", []float64{5, 6, 7}, []float64{10, 11, 12}, "behind"},
		{"less_is_better", "lower", []float64{5, 6, 7}, []float64{10, 11, 12}, "ahead"},
		{"overlap", "higher", []float64{5, 9, 12}, []float64{4, 8, 10}, "no winner: the spreads overlap"},
		{"too_few", "higher", []float64{5}, []float64{1}, "too few rounds for a verdict"},
	}
	for _, c := range cases {
		r := Compare(&Figure{Better: c.better, Rounds: c.a}, &Figure{Better: c.better, Rounds: c.b})
		if r.Verdict != c.want {
			t.Errorf("%s: %q, want %q", c.name, r.Verdict, c.want)
		}
	}
}

func TestTextHasEveryFigure(t *testing.T) {
	r := Report{Command: "vsbench run x", Figures: []Figure{{Scenario: "x", Case: "c", Subject: "s", Unit: "ns", Rounds: []float64{1}}}}
	r.Ratios = []Ratio{Compare(&r.Figures[0], &r.Figures[0])}
	var out bytes.Buffer
	if err := r.Text(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"vsbench run x", "MEDIAN", "RATIO"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
