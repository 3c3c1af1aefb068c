package vswitch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// F05, devices go: the device that mallory is on, or its namespace, is deleted under
// traffic, again and again. bob and alice lose nothing, mallory's port says that it
// is away, is up again when there is a device, and carries; and in the end the daemon
// holds no more of the system than before. A device that goes again and again is
// opened later each time, up to 16 s (mendMost): so the time it takes is not held.
func TestFaultDevice(t *testing.T) {
	root(t)
	for _, driver := range []string{"tap", "packet"} {
		t.Run(driver, func(t *testing.T) { devicesGo(t, driver) })
	}
}

func devicesGo(t *testing.T, driver string) {
	s := stage(t, driver, "")
	goes := s.vethGoes
	if driver == "tap" {
		goes = s.spaceGoes
	}
	good := s.steady(bob, alice, 5100, "good", time.Millisecond)
	var before held
	var free int
	n, slowest := times(20, 3), time.Duration(0)
	for i := range n {
		if i == 1 { // by then what is made once has been made
			before, free = s.held(), s.status().FramesFree
		}
		own := s.steady(mallory, alice, 5100, fmt.Sprint("life", i), 500*time.Microsecond)
		if _, came := own.comes(5 * time.Second); !came {
			t.Fatalf("life %d: the port is up, and nothing passes: %+v", i, s.port("mallory"))
		}
		slowest = max(slowest, goes(own))
	}
	sent, lost := good.ends()
	after, freeAfter := s.held(), s.status().FramesFree
	faultRow{
		id: "F05", what: "its device goes and comes back, " + driver, events: n, sent: sent, lost: lost,
		figures: fmt.Sprintf("up %v after it can be, at the most; %v, then %v; free frames %d, then %d", slowest.Round(time.Millisecond), before, after, free, freeAfter),
	}.report(t, 0)
	if after.files > before.files || after.threads > before.threads+4 || freeAfter < free-64 {
		t.Errorf("%s: held %v and %d frames free, and then %v and %d", driver, before, free, after, freeAfter)
	}
}

// vethGoes deletes mallory's veth under traffic and makes it anew.
func (s *scene) vethGoes(own *steady) time.Duration {
	s.t.Helper()
	host := s.hostEnd(mallory)
	sh(s.t, "ip -n "+s.own+" link del "+host)
	s.absent()
	own.leaves()
	sh(s.t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, s.own, s.mallory, sceneMACs[mallory]),
		"ip -n "+s.mallory+" link set eth0 up")
	return s.present()
}

// spaceGoes deletes mallory's namespace. A socket would keep it alive, so who sends
// there leaves right before.
func (s *scene) spaceGoes(own *steady) time.Duration {
	s.t.Helper()
	own.leaves()
	sh(s.t, "ip netns del "+s.mallory)
	s.absent()
	sh(s.t, "ip netns add "+s.mallory)
	return s.present()
}

// absent waits until mallory's port says that it is away, and why.
func (s *scene) absent() {
	s.t.Helper()
	for range 1000 {
		if p := s.port("mallory"); !p.Up && strings.TrimSpace(p.Error) != "" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("the device is gone, and the port does not say so: %+v", s.port("mallory"))
}

// present waits until mallory's port is up, and tells how long that took.
func (s *scene) present() time.Duration {
	s.t.Helper()
	begun := time.Now()
	for time.Since(begun) < 30*time.Second {
		if s.port("mallory").Up {
			return time.Since(begun)
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.t.Fatalf("the device is back, and the port is not up: %+v", s.port("mallory"))
	return 0
}
