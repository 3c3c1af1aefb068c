package sys

import (
	"strings"
	"testing"
)

// A thread's status has to say all that is asked of it.
func TestHasNone(t *testing.T) {
	const good = "Name:\tx\nUid:\t1\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n"
	if err := hasNone(good); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ from, to string }{
		{"CapEff:\t0000000000000000", "CapEff:\t0000000000001000"},
		{"CapPrm:\t0000000000000000", "CapPrm:\t0000000000001000"},
		{"CapInh:\t0000000000000000", "CapInh:\t0000000000001000"},
		{"CapAmb:\t0000000000000000", "CapAmb:\t0000000000001000"},
		{"NoNewPrivs:\t1", "NoNewPrivs:\t0"},
		{"CapEff:\t0000000000000000\n", ""},
	} {
		if err := hasNone(strings.Replace(good, c.from, c.to, 1)); err == nil {
			t.Errorf("%q instead of %q is taken for unprivileged", c.to, c.from)
		}
	}
}
