package helper

import (
	"errors"
	"strings"
	"testing"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// die ends a switch's talk as a kill does: without a good-bye.
func die(c *Client) { c.Leave() }

// inherited tells whether a port was there before its switch.
func inherited(t *testing.T, p port.Port, err error) bool {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return p.Info().Inherited
}

// The next switch is handed the ports that the dead one had, under its own numbers;
// what it has not asked for once it has started is closed.
func TestWhatADeadSwitchLeft(t *testing.T) {
	w := newWorld(t)
	w.driver = "tap"
	w.serve()
	first := w.dial()
	for i, name := range []string{"a", "b"} {
		p, err := w.open(first, w.text, name, packet.PortID(3+i))
		if inherited(t, p, err) {
			t.Errorf("%s was there before the first switch", name)
		}
	}
	if err := first.Begun(); err != nil {
		t.Fatal(err)
	}
	die(first)
	second := w.dial()
	p, err := w.open(second, w.text, "a", 9)
	if !inherited(t, p, err) {
		t.Error("a is opened anew")
	}
	if w.closed.String() != "" {
		t.Errorf("closed %q", w.closed.String())
	}
	if err := second.Begun(); err != nil || w.closed.String() != "b" {
		t.Errorf("once it has started %q is closed, %v", w.closed.String(), err)
	}
	p, err = w.open(second, w.text, "b", 10)
	if inherited(t, p, err) {
		t.Error("b was closed, and is inherited")
	}
	if err := errors.Join(second.Close(), <-w.served); err != nil {
		t.Error(err)
	}
}

// A port that is made of other things now, or has other queues, is closed and opened
// anew; one that is not in the file any more is closed.
func TestWhatIsLeftAndHasChanged(t *testing.T) {
	for _, k := range []struct{ situation, from, to, closed string }{
		{"another address", `name = "a"`, "name = \"a\"\nmac = \"02:00:00:00:00:01\"\nips = [\"10.0.0.1\"]", "a"},
		{"another device", `device = "eth1"`, `device = "eth2"`, "b"},
		{"more queues", `name = "a"`, "name = \"a\"\nqueues = 2", "a"},
		{"another name", `name = "a"`, `name = "c"`, "a"},
		{"another switch's affair", `name = "s"`, "name = \"s\"\nvni = 7", ""},
	} {
		w := newWorld(t)
		w.driver = "tap"
		w.serve()
		first := w.dial()
		for i, name := range []string{"a", "b"} {
			if _, err := w.open(first, w.text, name, packet.PortID(i)); err != nil {
				t.Fatal(err)
			}
		}
		_ = first.Begun()
		die(first)
		w.mu.Lock()
		w.text = strings.Replace(w.text, k.from, k.to, 1)
		w.mu.Unlock()
		second := w.dial()
		for i, name := range []string{"a", "b", "c"} {
			if strings.Contains(w.text, `"`+name+`"`) {
				p, err := w.open(second, w.text, name, packet.PortID(i))
				if want := name != k.closed && name != "c"; inherited(t, p, err) != want {
					t.Errorf("%s: %s inherited is %v, want %v", k.situation, name, !want, want)
				}
			}
		}
		if w.closed.String() != k.closed {
			t.Errorf("%s: closed %q, want %q", k.situation, w.closed.String(), k.closed)
		}
		_ = errors.Join(second.Close(), <-w.served)
	}
}

// What two switches in a row have not started with is not handed to the third, which is
// told why; one that starts ends the count, and its own is handed on.
func TestWhatSwitchesDieOfIsDropped(t *testing.T) {
	w := newWorld(t)
	w.serve()
	first := w.dial()
	if _, cold := first.Before(); cold != nil || first.Begun() != nil {
		t.Fatal(cold)
	}
	die(first)
	for round := range 2 {
		for try := range 4 {
			c := w.dial()
			fd, cold := c.Before()
			if got := fd >= 0; got != (try < 2) || got != (cold == nil) {
				t.Errorf("round %d, switch %d: descriptor %d, cold %v", round, try, fd, cold)
			}
			if cold != nil && !strings.Contains(cold.Error(), "2 switches in a row have not started with what was left") {
				t.Errorf("it says %v", cold)
			}
			closeOne(&fd)
			if try == 3 {
				if err := c.Begun(); err != nil {
					t.Error(err)
				}
			}
			die(c)
		}
	}
	c := w.dial()
	fd, cold := c.Before()
	if fd < 0 || cold != nil {
		t.Errorf("after one that has started: descriptor %d, cold %v", fd, cold)
	}
	closeOne(&fd)
	if err := errors.Join(c.Close(), <-w.served); err != nil {
		t.Error(err)
	}
}

// A switch that cannot start takes nothing along: neither by closing what it had taken
// over, nor by dying in the middle.
func TestASwitchThatCannotStart(t *testing.T) {
	w := newWorld(t)
	w.driver = "tap"
	w.serve()
	first := w.dial()
	if _, err := w.open(first, w.text, "a", 1); err != nil {
		t.Fatal(err)
	}
	_ = first.Begun()
	die(first)
	for range 3 {
		c := w.dial()
		p, err := w.open(c, w.text, "a", 1)
		if !inherited(t, p, err) {
			t.Fatal("opened anew")
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		die(c)
	}
	if w.closed.String() != "" {
		t.Errorf("closed %q", w.closed.String())
	}
	c := w.dial()
	if err := errors.Join(c.Close(), <-w.served); err != nil || w.closed.String() != "a" {
		t.Errorf("good-bye has closed %q, %v", w.closed.String(), err)
	}
}
