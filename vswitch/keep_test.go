package vswitch

import (
	"errors"
	"testing"
)

// A switch that could not have what the one before has left says why in its status.
func TestAColdStartSaysWhy(t *testing.T) {
	for _, why := range []string{"", "it was dropped"} {
		l := newLab(t, twoPorts())
		if why != "" {
			l.sw.Inherit(nil, errors.New(why))
		}
		if err := l.sw.Start(); err != nil {
			t.Fatal(err)
		}
		s, err := l.sw.Control("", nil).Status()
		if err != nil || s.TakenOver.Cold != why {
			t.Errorf("cold %q, want %q, %v", s.TakenOver.Cold, why, err)
		}
	}
}
