package helper

import (
	"net"
	"strings"
	"testing"
	"time"
)

// hangs is a helper that says hello and from then on takes what is asked and answers
// nothing, until it is told to.
func hangs(t *testing.T, path string, again <-chan struct{}) {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for first := true; ; first = false {
			u, err := l.AcceptUnix()
			if err != nil {
				return
			}
			c := conn{u}
			var r request
			fds, _ := c.receive(&r, func() int { return r.Parts })
			closeAll(fds)
			select {
			case <-again:
				first = true
			default:
			}
			if first {
				_ = c.send(&answer{}, nil)
			}
		}
	}()
}

// A helper that hangs holds a call up for the patience there is, once; the error says
// what it did not answer. After that calls fail at once, also while it is called again,
// and when it answers again it is back.
func TestAHelperThatHangs(t *testing.T) {
	w := newWorld(t)
	again := make(chan struct{})
	hangs(t, w.path, again)
	c := w.dial()
	defer c.end()
	c.patience = 300 * time.Millisecond
	begun := time.Now()
	_, err := w.open(c, w.text, "a", 1)
	took := time.Since(begun)
	if err == nil || !strings.Contains(err.Error(), `the port helper is away (it hangs: no answer to "open" within 300ms)`) {
		t.Errorf("the error is %v", err)
	}
	if took < c.patience || took > 20*c.patience {
		t.Errorf("it took %v", took)
	}
	begun = time.Now()
	for range 50 {
		if _, err := w.open(c, w.text, "b", 2); err == nil || c.Away() == "" {
			t.Fatal("it is not away")
		}
		time.Sleep(10 * time.Millisecond) // so that it is called again meanwhile
	}
	if took := time.Since(begun); took > 20*c.patience {
		t.Errorf("50 calls of a helper that is away took %v", took)
	}
	close(again)
	for deadline := time.Now().Add(20 * time.Second); c.Away() != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it answers, and is not back")
		}
	}
}
