package vswitch_test

import (
	"fmt"
	"testing"
	"time"
)

// F04, a port that flaps: mallory's end of the device goes down and up, ten times a
// second. bob and alice lose nothing, the daemon holds no more of the system than
// before, takes no more of a processor than five in a hundred, and mallory's port
// carries when it is over.
func TestFaultFlapping(t *testing.T) {
	root(t)
	for _, driver := range []string{"tap", "packet", "xdp"} {
		t.Run(driver, func(t *testing.T) { flaps(t, driver) })
	}
}

func flaps(t *testing.T, driver string) {
	s := stage(t, driver, "")
	good := s.steady(bob, alice, 5100, "good", time.Millisecond)
	flap := func(n int) {
		for range n {
			sh(t, "ip -n "+s.mallory+" link set eth0 down")
			time.Sleep(50 * time.Millisecond)
			sh(t, "ip -n "+s.mallory+" link set eth0 up")
			time.Sleep(50 * time.Millisecond)
		}
	}
	flap(5)
	before, kept := s.held(), s.keeps()
	idle := cpu(t, s.pid, time.Second)
	n := times(6000, 30)
	begun, used := time.Now(), ticks(t, s.pid)
	flap(n)
	took := time.Since(begun)
	share := float64(ticks(t, s.pid)-used) / took.Seconds() // of a hundred ticks a second
	after := s.held()
	own := s.steady(mallory, alice, 5100, "own", time.Millisecond)
	again, came := own.comes(5 * time.Second)
	sent, lost := good.ends()
	more := share - idle.Seconds()*100
	faultRow{
		id: "F04", what: "a port flaps, " + driver, events: n, sent: sent, lost: lost,
		figures: fmt.Sprintf("%.1f a second; CPU %+.1f %%; carries %v after; %v, then %v", float64(n)/took.Seconds(), more, again.Round(time.Millisecond), before, after),
	}.report(t, 0)
	if !came {
		t.Errorf("%s: it flaps no more, and carries nothing: %+v", driver, s.port("mallory"))
	}
	if after.files > before.files || after.threads > before.threads+4 || after.bytes > before.bytes+before.bytes/4+16<<20 || s.keeps() != kept {
		t.Errorf("%s: held %v and %s, and then %v and %s", driver, before, kept, after, s.keeps())
	}
	if more > 5 {
		t.Errorf("%s: the flaps take %.1f %% of a processor", driver, more)
	}
}
