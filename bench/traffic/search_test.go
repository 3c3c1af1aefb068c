package traffic

import (
	"context"
	"errors"
	"math"
	"testing"
)

// The search finds the edge as near as it was asked to, from below, in few
// trials.
func TestSearchFindsTheEdge(t *testing.T) {
	for _, edge := range []float64{1, 1.5, 17, 999, 1000} {
		trials := 0
		got, err := search(1, 1000, 1.05, func(load float64) (bool, error) { trials++; return load <= edge, nil })
		if err != nil || got > edge || got*1.05 < edge {
			t.Errorf("%v: %v, %v", edge, got, err)
		}
		if most := (1 + verifications) * (2 + int(math.Ceil(math.Log2(math.Log(1050)/math.Log(1.05))))); trials > most {
			t.Errorf("%v: %d trials, at most %d", edge, trials, most)
		}
	}
	if got, err := search(10, 1000, 1.05, func(float64) (bool, error) { return false, nil }); got != 0 || err != nil {
		t.Errorf("nothing passes, and it found %v, %v", got, err)
	}
}

// A loss that does not come again is not believed; one that does is.
func TestSearchVerifiesLosses(t *testing.T) {
	trial := map[float64]int{}
	flaky := func(fails int) func(load float64) (bool, error) {
		clear(trial)
		return func(load float64) (bool, error) { trial[load]++; return trial[load] > fails, nil }
	}
	if got, _ := search(1, 100, 1.1, flaky(verifications)); got != 100 {
		t.Errorf("%v although a repetition passed", got)
	}
	if got, _ := search(1, 100, 1.1, flaky(verifications+1)); got != 0 {
		t.Errorf("%v although all repetitions failed", got)
	}
	broken := errors.New("broken")
	if _, err := search(1, 100, 1.1, func(float64) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// A path that drops every 5,000th frame carries bursts of fewer and no rate.
func TestLossFreeOverAWireThatDrops(t *testing.T) {
	l, err := FindLossFree(context.Background(), wire(t, "udp dport 5203-5210 udp length > 0 numgen inc mod 5000 == 4999 drop"), 64, Options{For: moment, Seed: 1})
	if err != nil || l.Burst < 100 || l.Burst > 5000*1.25 {
		t.Errorf("%+v, %v", l, err)
	}
}
