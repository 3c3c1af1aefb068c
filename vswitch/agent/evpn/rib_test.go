package evpn

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"
)

// What a lost neighbour said is kept, as stale, until it has said everything anew, or
// for as long as is configured.
func TestRib(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.101")
	start := time.Unix(1000, 0)
	cfg := &Config{Keep: time.Minute, Neighbours: []Neighbour{{Address: a, MaxRoutes: 2}, {Address: b, MaxRoutes: 2}}}
	one, two := Route{Kind: MACIP, RD: "1:1", VNI: 1}, Route{Kind: MACIP, RD: "1:2", VNI: 2}
	r := newRib(start, cfg)
	now := start
	up := func(at netip.Addr, since time.Time, through bool, routes ...Route) {
		r.take(now, &Status{Address: at, Up: true, Since: since, Through: through, Routes: routes})
	}
	down := func(at netip.Addr) { r.take(now, &Status{Address: at}) }
	expect := func(what string, fresh, stale int, settled bool) {
		t.Helper()
		all, is := r.heard(now)
		n := 0
		for _, h := range all {
			if h.Stale {
				n++
			}
		}
		if len(all)-n != fresh || n != stale || is != settled {
			t.Errorf("%s: %d fresh, %d stale, settled %v; wanted %d, %d, %v", what, len(all)-n, n, is, fresh, stale, settled)
		}
	}
	expect("nothing yet", 0, 0, false)
	up(a, now, false, one)
	expect("one neighbour speaks", 1, 0, false)
	up(a, now, true, one, two)
	up(b, now, true)
	expect("both are through", 2, 0, true)
	now = now.Add(time.Second)
	down(a)
	expect("one is lost", 0, 2, true)
	now = now.Add(10 * time.Second)
	up(a, now, false, two)
	expect("it is there again, and not through", 1, 1, true)
	now = now.Add(time.Second)
	up(a, now, false)
	expect("it was lost and came back between two looks", 0, 2, true)
	up(a, now, true, two)
	expect("it is through: what it has not said is gone", 1, 0, true)
	again := now
	down(a)
	now = again.Add(throughTime)
	up(a, again, false, one)
	expect("who never tells that he is through has his time", 1, 1, true)
	now = now.Add(time.Second)
	up(a, again, false, one)
	expect("and then is taken to be", 1, 0, true)
	down(a)
	now = now.Add(cfg.Keep + time.Second)
	down(a)
	expect("it has been away too long", 0, 0, true)
}

// Who was lost before he had said all that he has has not told anything that is gone.
func TestRibLostHalfway(t *testing.T) {
	a, start := netip.MustParseAddr("192.0.2.100"), time.Unix(1000, 0)
	r := newRib(start, &Config{Keep: time.Minute, Neighbours: []Neighbour{{Address: a, MaxRoutes: 1}}})
	r.take(start, &Status{Address: a, Up: true, Since: start, Routes: []Route{{Kind: MACIP, VNI: 1}}})
	r.take(start.Add(time.Second), &Status{Address: a})
	if all, settled := r.heard(start.Add(time.Second)); len(all) != 1 || settled {
		t.Errorf("%d routes, settled %v", len(all), settled)
	}
}

// Who never comes is not waited for longer than what is lost is kept.
func TestRibNeverThere(t *testing.T) {
	start := time.Unix(1000, 0)
	r := newRib(start, &Config{Keep: time.Minute, Neighbours: []Neighbour{{Address: netip.MustParseAddr("192.0.2.100")}}})
	if _, settled := r.heard(start.Add(time.Minute)); settled {
		t.Error("it is not waited for")
	}
	if _, settled := r.heard(start.Add(time.Minute + 1)); !settled {
		t.Error("it is waited for too long")
	}
}

// Who comes and goes and is never through, with other routes each time, has as many kept
// as it may say and no more, those it said last; and each for its time, however often it
// has been there since.
func TestRibFlaps(t *testing.T) {
	const most = 100
	a, now := netip.MustParseAddr("192.0.2.100"), time.Unix(1000, 0)
	r := newRib(now, &Config{Keep: time.Minute, Neighbours: []Neighbour{{Address: a, MaxRoutes: most}}})
	routes := func(flap, n int) (list []Route) {
		for i := range n {
			list = append(list, Route{Kind: MACIP, RD: fmt.Sprintf("%d:%d", flap, i), VNI: uint32(flap)})
		}
		return list
	}
	expect := func(what string, wanted map[uint32]int) {
		t.Helper()
		all, _ := r.heard(now)
		is := map[uint32]int{} // by the flap that it was said in
		for _, h := range all {
			is[h.VNI]++
		}
		if !maps.Equal(is, wanted) {
			t.Fatalf("%s: by flap there are %v; wanted %v", what, is, wanted)
		}
	}
	flap := func(n, routesOfIt int) {
		now = now.Add(10 * time.Second)
		r.take(now, &Status{Address: a, Up: true, Since: now, Routes: routes(n, routesOfIt)})
	}
	for n := range uint32(50) {
		flap(int(n), most)
		expect("all that it may say", map[uint32]int{n: most})
	}
	flap(50, 60)
	expect("what is stale makes room", map[uint32]int{50: 60, 49: 40})
	flap(51, 30)
	expect("the oldest goes first", map[uint32]int{51: 30, 50: 60, 49: 10})
	r.take(now.Add(time.Second), &Status{Address: a})
	expect("lost, it is all kept", map[uint32]int{51: 30, 50: 60, 49: 10})
	now = now.Add(time.Second)
	for n := 52; n < 58; n++ { // of these nothing is said: time alone takes what there is
		flap(n, 0)
	}
	expect("71 s after flap 49 was lost, 61 s after 50 was, 60 s after 51 was", map[uint32]int{51: 30})
	flap(58, 0)
	expect("and it, too", map[uint32]int{})
}

// What is said anew is no longer stale: taken back, it is gone, and does not come back.
func TestRibTakenBack(t *testing.T) {
	a, now := netip.MustParseAddr("192.0.2.100"), time.Unix(1000, 0)
	r := newRib(now, &Config{Keep: time.Minute, Neighbours: []Neighbour{{Address: a, MaxRoutes: 2}}})
	one := []Route{{Kind: MACIP, VNI: 1}}
	r.take(now, &Status{Address: a, Up: true, Since: now, Routes: one})
	r.take(now, &Status{Address: a})
	r.take(now, &Status{Address: a, Up: true, Since: now, Routes: one})
	r.take(now, &Status{Address: a, Up: true, Since: now})
	if all, _ := r.heard(now); len(all) != 0 {
		t.Errorf("%d routes are there that it has taken back", len(all))
	}
}
