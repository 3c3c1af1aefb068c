package helper

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
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

// Who closes ports of a helper that hangs does not wait for it, also while it is called
// again. When it answers it is told of all of them before it is back, and no AF_XDP
// port's running half closes before that.
func TestClosesOfAHelperThatHangs(t *testing.T) {
	const ports = 50
	for _, driver := range []string{"xdp", "tap"} {
		w := newWorld(t)
		release := make(chan struct{})
		w.driver, w.hang, w.text = driver, release, "[[segments]]\nname = \"s\"\n"
		for i := range ports + 2 {
			w.text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"s\"\nnetns = \"n\"\ndevice = \"eth%d\"\n", i, i)
		}
		w.serve()
		c := w.dial()
		c.patience = 300 * time.Millisecond
		var all []port.Port
		for i := range ports + 2 {
			p, err := w.open(c, w.text, fmt.Sprintf("p%d", i), packet.PortID(i))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		stays, first, rest := all[0], all[1], all[2:]
		if err := first.Close(); err == nil || !strings.Contains(err.Error(), "it hangs") {
			t.Fatalf("the first: %v", err)
		}
		var took time.Duration
		for _, p := range rest {
			time.Sleep(10 * time.Millisecond) // so that it is called again meanwhile
			begun := time.Now()
			if err := p.Close(); err == nil || !strings.Contains(err.Error(), "the port helper is away") {
				t.Fatalf("it is not away: %v", err)
			}
			took += time.Since(begun)
			if half := p.(*lent).Port.(*pipePort).closed.String(); (half == "") != (driver == "xdp") {
				t.Errorf("%s: the running half has closed %q", driver, half)
			}
		}
		if took > c.patience {
			t.Errorf("%s: %d closes of a helper that is away took %v", driver, ports, took)
		}
		close(release)
		for deadline := time.Now().Add(20 * time.Second); c.Away() != ""; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it answers, and is not back")
			}
		}
		if closed := len(strings.Fields(w.closed.String())); closed != ports+1 {
			t.Errorf("%s: the helper has closed %d of %d ports", driver, closed, ports+1)
		}
		for _, p := range all[1:] {
			if p.(*lent).Port.(*pipePort).closed.String() == "" {
				t.Errorf("%s: the running half of %s is open", driver, p.Info().Name)
			}
		}
		if err := stays.Up(); err != nil {
			t.Errorf("%s: the port that stays: %v", driver, err)
		}
		if err := errors.Join(c.Close(), <-w.served); err != nil {
			t.Error(err)
		}
	}
}

// Another helper is told of a port with descriptors of its own, which stay when the
// port's close, and not of one that was let go of.
func TestAPortThatIsLetGoOfMeanwhile(t *testing.T) {
	c := &Client{}
	p := &lent{client: c, id: 1, handed: port.Handed{FDs: events(t, 3)}}
	h, err := c.again(p)
	if err != nil || h == nil || len(h.FDs) != 3 {
		t.Fatalf("%+v, %v", h, err)
	}
	closeAll(p.handed.FDs)
	for _, fd := range h.FDs {
		if _, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Error(err)
		}
	}
	closeAll(h.FDs)
	why := errors.New("away")
	c.awayNow.Store(&why)
	if waits, err := c.let(p); waits || !errors.Is(err, why) {
		t.Errorf("waits %v, %v", waits, err)
	}
	if h, err := c.again(p); h != nil || err != nil {
		t.Errorf("%+v, %v", h, err)
	}
}
