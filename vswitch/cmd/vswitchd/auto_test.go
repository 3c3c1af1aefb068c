package main

import (
	"errors"
	"testing"
	"time"
)

// A driver that has failed is tried again after a while, and no more once it has
// worked.
func TestAFailureIsTriedAgainLater(t *testing.T) {
	start, runs := time.Now(), 0
	outcome := errors.New("frame memory is used up")
	try := func() error { runs++; return outcome }
	for _, step := range []struct {
		after time.Duration
		fixed bool
		runs  int
		fails bool
	}{
		{0, false, 1, true},
		{failedFor - 1, true, 1, true},
		{failedFor, true, 2, false},
		{failedFor * 1000, true, 2, false},
	} {
		if step.fixed {
			outcome = nil
		}
		err := tried("a driver of "+t.Name(), start.Add(step.after), try)
		if runs != step.runs || (err != nil) != step.fails {
			t.Errorf("after %v: run %d times, %v", step.after, runs, err)
		}
	}
}
