package helper

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
)

// pipePort is a port of so many descriptors, which are of an empty file each.
type pipePort struct {
	port.Port
	name   string
	driver string
	fds    []int
	closed *names
	up     error
	hang   <-chan struct{} // until then it does not close; nil: it closes
}

func (p *pipePort) Info() port.Info     { return port.Info{Name: p.name, Driver: p.driver, MTU: 1500} }
func (p *pipePort) Status() port.Status { return port.Status{Up: true} }
func (p *pipePort) Hand() (port.Handed, error) {
	return port.Handed{Info: p.Info(), FDs: p.fds, Detail: []byte("{}")}, nil
}
func (p *pipePort) Up() error { return p.up }
func (p *pipePort) Close() error {
	if p.hang != nil {
		<-p.hang
	}
	p.closed.add(p.name)
	closeAll(p.fds)
	return nil
}

// names is a list that several goroutines write to.
type names struct {
	mu   sync.Mutex
	list []string
}

func (n *names) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, name)
}

func (n *names) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.list, " ")
}

func events(t *testing.T, n int) (fds []int) {
	t.Helper()
	for range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	return fds
}

// world is a server over ports of the test's own, and what it did.
type world struct {
	t              *testing.T
	mu             sync.Mutex // guards text
	path           string
	text           string // the configuration file
	fds            int    // of a port
	driver         string
	up             error
	hang           <-chan struct{} // until then the helper does not close a port
	closed, helped names           // ports closed, and kept for a helper before
	served         chan error
	server         *Server
	log            *slog.Logger
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "p"), fds: 2, driver: "xdp", log: slog.New(slog.DiscardHandler)}
	w.text = "[[segments]]\nname = \"s\"\n[[ports]]\nname = \"a\"\nsegment = \"s\"\nnetns = \"n\"\n[[ports]]\nname = \"b\"\nsegment = \"s\"\nnetns = \"n\"\ndevice = \"eth1\"\n"
	return w
}

func (w *world) serve() {
	w.t.Helper()
	s, err := Listen(Options{
		Path: w.path, UID: os.Getuid(), Linger: 10 * time.Second, Log: w.log,
		Load: func() (*config.Config, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return config.Parse("f", []byte(w.text))
		},
		Begin: func(*config.Config, func(*config.Port) bool) error { return nil },
		Open: func(c *config.Port, _ vswitch.Opening) (port.Port, error) {
			return &pipePort{name: c.Name, driver: w.driver, fds: events(w.t, w.fds), closed: &w.closed, up: w.up, hang: w.hang}, nil
		},
		Keep: func(c *config.Port, _ vswitch.Opening, h port.Handed) (port.Port, error) {
			w.helped.add(c.Name)
			return &pipePort{name: c.Name, driver: w.driver, fds: h.FDs, closed: &w.closed}, nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.server, w.served = s, make(chan error, 1)
	go func() { w.served <- s.Serve() }()
}

func (w *world) dial() *Client {
	w.t.Helper()
	mem, fd, err := port.SharedMemory(4)
	if err != nil {
		w.t.Fatal(err)
	}
	keep := events(w.t, 1)[0]
	w.t.Cleanup(func() { port.FreeMemory(mem); closeAll([]int{fd, keep}) })
	c, err := Dial(w.path, time.Second, fd, keep, func(c *config.Port, _ vswitch.Opening, h port.Handed) (port.Port, error) {
		return &pipePort{name: c.Name, driver: w.driver, fds: h.FDs, closed: &names{}}, nil
	}, w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// open has a client open a port of the file's text.
func (w *world) open(c *Client, text, name string, id packet.PortID) (port.Port, error) {
	w.t.Helper()
	cfg, err := config.Parse("f", []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	p := cfg.Port(name)
	return c.Open(p, vswitch.Opening{ID: id, Segment: cfg.Segment(p.Segment), VTEP: cfg.VTEP})
}

// More descriptors than one message takes arrive, each once, and are of the same
// files; the port goes when both have closed it.
func TestDescriptorsArrive(t *testing.T) {
	w := newWorld(t)
	w.fds = 256 // two families' lanes and 128 queues
	w.serve()
	c := w.dial()
	p, err := w.open(c, w.text, "a", 7)
	if err != nil {
		t.Fatal(err)
	}
	got := p.(*lent).handed.FDs
	if len(got) != w.fds {
		t.Fatalf("%d descriptors of %d", len(got), w.fds)
	}
	for i, fd := range got {
		if _, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Fatalf("descriptor %d: %v", i, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.Close(), <-w.served); err != nil {
		t.Error(err)
	}
	if w.closed.String() != "a" {
		t.Errorf("closed %q", w.closed.String())
	}
}

// A switch gets what the file has and nothing else, whatever it asks for.
func TestOnlyWhatTheFileHas(t *testing.T) {
	w := newWorld(t)
	w.serve()
	c := w.dial()
	defer func() { _ = errors.Join(c.Close(), <-w.served) }()
	for _, k := range []struct{ situation, port, from, to string }{
		{"another namespace", "a", `netns = "n"`, `netns = "/proc/1/ns/net"`},
		{"another device", "b", `device = "eth1"`, `device = "eth2"`},
		{"another driver", "b", "netns = \"n\"\ndevice", "driver = \"packet\"\ndevice"},
		{"another address", "b", `name = "b"`, "name = \"b\"\nmac = \"02:00:00:00:00:01\"\nips = [\"10.0.0.1\"]"},
		{"another name", "z", `name = "b"`, `name = "z"`},
	} {
		_, err := w.open(c, strings.Replace(w.text, k.from, k.to, 1), k.port, 1)
		if err == nil || !strings.Contains(err.Error(), "is not in the configuration file") {
			t.Errorf("%s: %v", k.situation, err)
		}
	}
	more := strings.Replace(w.text, `"eth1"`, `"eth2"`, 1)
	w.mu.Lock()
	w.text = more
	w.mu.Unlock()
	if _, err := w.open(c, more, "b", 1); err != nil {
		t.Errorf("once the file has it: %v", err)
	}
	if _, err := w.open(c, more, "a", 1); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("a number that is taken: %v", err)
	}
}

// What a helper cannot do comes as its words, and the talk goes on.
func TestErrorsCross(t *testing.T) {
	w := newWorld(t)
	w.up = errors.New("no such route")
	w.serve()
	c := w.dial()
	p, err := w.open(c, w.text, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Up(); err == nil || err.Error() != "no such route" {
		t.Errorf("up: %v", err)
	}
	if c.Away() != "" {
		t.Errorf("away: %s", c.Away())
	}
	if err := errors.Join(c.Close(), <-w.served); err != nil {
		t.Error(err)
	}
	if w.closed.String() != "a" {
		t.Errorf("good-bye has closed %q", w.closed.String())
	}
}

// A helper that follows another is told of what is open. What was closed meanwhile
// gives its memory back only then.
func TestAnotherHelper(t *testing.T) {
	w := newWorld(t)
	w.serve()
	c := w.dial()
	a, err := w.open(c, w.text, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.open(c, w.text, "b", 2)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.breakOff(errors.New("the test"))
	c.mu.Unlock()
	if err := b.Close(); err == nil || !strings.Contains(err.Error(), "away (the test)") {
		t.Errorf("closed without a helper: %v", err)
	}
	half := b.(*lent).Port.(*pipePort).closed
	for i := 0; c.Away() != ""; i++ {
		if i > 1000 {
			t.Fatal("nobody calls back")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := a.Up(); err != nil {
		t.Errorf("a port that stayed: %v", err)
	}
	if w.closed.String() != "b" || half.String() != "b" {
		t.Errorf("the helper has closed %q, the switch %q", w.closed.String(), half)
	}
	if err := errors.Join(c.Close(), <-w.served); err != nil {
		t.Error(err)
	}
}

// Two builds that do not understand each other do not begin.
func TestAnotherLayout(t *testing.T) {
	w := newWorld(t)
	a, _ := (&Server{}).answer(&request{Op: opHello, Layout: layout + 1}, events(t, 1))
	if !strings.Contains(a.Error, "start both of one build") {
		t.Errorf("said %q", a.Error)
	}
	for _, r := range []request{{Op: opOpen}, {Op: opKeep}, {Op: "sing"}, {Op: opUp, ID: 3}} {
		if a, _ := (&Server{Options: Options{Log: w.log}}).answer(&r, events(t, 1)); a.Error == "" {
			t.Errorf("%s was done", r.Op)
		}
	}
}

// A talk that works is not begun anew: told of a break that is over, or by a helper
// that refused at first, the switch has one connection and its calls are answered.
func TestOneTalkAtATime(t *testing.T) {
	w := newWorld(t)
	w.serve()
	c := w.dial()
	a, err := w.open(c, w.text, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	c.lost <- struct{}{}
	time.Sleep(3 * again)
	done := make(chan error, 1)
	go func() { done <- a.Up() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("a call is not answered")
	}
	if err := errors.Join(c.Close(), <-w.served); err != nil {
		t.Error(err)
	}
}
