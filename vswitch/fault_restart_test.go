package vswitch_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// F02, kill -9 and start: the switch dies under TCP and UDP and the next one takes over
// what the port helper holds. No connection ends, every byte of them arrives in its
// place, of the datagrams none is lost but those that the dead process had in hand (a
// batch a kill at the most), and what is denied stays so. The queues hold what comes in
// between: a TAP 500 frames, a packet port 512.
func TestFaultRestart(t *testing.T) {
	root(t)
	for _, driver := range []string{"tap", "packet"} {
		t.Run(driver, func(t *testing.T) {
			s := stage(t, driver, "")
			r := s.underWay(2, 4*time.Millisecond)
			for range times(100, 10) {
				r.again(syscall.SIGKILL)
				time.Sleep(20 * time.Millisecond)
			}
			r.hitless()
			r.row("F02", "kill -9 and take over, "+driver).report(t, r.mayLose(4*time.Millisecond))
		})
	}
}

// batchMost is what a worker has in hand at a time: what a kill may lose, or send twice.
const batchMost = 64

// restarts is a scene with connections and datagrams under way, and what came of
// killing its switch.
type restarts struct {
	*scene
	good, bad  *steady
	streams    []*stream
	kills      int
	ready, gap time.Duration // the longest: from the start to ready, and without a datagram
	sent, lost int
	leaked     int
}

// queued is for how long the queues hold what these tests send: 500 slots, for some 600
// frames a second with those of TCP.
const queued = 800 * time.Millisecond

// mayLose is how many datagrams may be lost: what is in hand at each kill, and what no
// queue has room for where the machine took longer to start the next switch.
func (r *restarts) mayLose(pace time.Duration) int {
	n := r.kills
	if r.gap > queued {
		n += r.kills * int((r.gap-queued)/pace)
	}
	return n
}

// underWay begins to send: bob to alice, which is allowed, by UDP, a datagram in each
// pace, and by so many connections of TCP, and mallory to bob, which is not.
func (s *scene) underWay(streams int, pace time.Duration) *restarts {
	s.t.Helper()
	r := &restarts{scene: s}
	for i := range streams {
		r.streams = append(r.streams, s.stream(bob, alice, 5101+i))
	}
	r.good = s.steady(bob, alice, 5100, "good", pace)
	r.bad = s.steady(mallory, bob, 5100, "bad", time.Millisecond)
	if _, came := r.good.comes(5 * time.Second); !came {
		s.t.Fatal("nothing passes")
	}
	for _, c := range r.streams {
		c.moves(5 * time.Second)
	}
	return r
}

// again ends the switch by a signal and starts the next one.
func (r *restarts) again(how syscall.Signal) {
	r.t.Helper()
	_ = r.daemon.Process.Signal(how)
	_ = r.daemon.Wait()
	r.startAgain()
}

// startAgain starts the next switch, and waits until it carries.
func (r *restarts) startAgain() {
	r.t.Helper()
	begun := time.Now()
	r.daemon = spawn(r.t, r.bin, r.config, r.own)
	r.pid = r.daemon.Process.Pid
	r.ready = max(r.ready, time.Since(begun))
	if _, came := r.good.comes(5 * time.Second); !came {
		r.t.Fatalf("after %d kills nothing passes that is allowed: %s", r.kills, logOf(r.config))
	}
	for _, c := range r.streams {
		c.moves(10 * time.Second)
	}
	r.kills++
}

// hitless ends what is under way and fails the test where a restart has cost something.
func (r *restarts) hitless() {
	r.t.Helper()
	for _, c := range r.streams {
		c.ends()
	}
	r.sent, r.lost = r.good.endsTwice(r.kills * batchMost)
	_, r.leaked = r.bad.counts()
	r.gap = r.good.longest()
}

func (r *restarts) row(id, what string) faultRow {
	bytes := 0
	for _, c := range r.streams {
		bytes += int(c.got.Load())
	}
	return faultRow{
		id: id, what: what, events: r.kills, sent: r.sent, lost: r.lost, leaked: r.leaked,
		figures: fmt.Sprintf("0 resets of %d connections, %d MB intact; %d twice; ready after %v, no datagram for %v, at the most",
			len(r.streams), bytes>>20, r.good.twice, r.ready.Round(time.Millisecond), r.gap.Round(time.Millisecond)),
	}
}

// spawn starts a daemon beside what is left of the one before, and waits until it is
// ready. The log goes on.
func spawn(t *testing.T, bin, config, netns string, more ...string) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(filepath.Dir(config), "log"), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Count(logOf(config), `"ready"`)
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + netns, bin, "run", "-c", config}, more...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait(); log.Close() })
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(2 * time.Millisecond) {
		if strings.Count(logOf(config), `"ready"`) > before {
			return cmd
		}
	}
	t.Fatalf("not ready: %s", logOf(config))
	return nil
}

// stream is a connection of TCP, by which one end sends a pattern to the other for as
// long as it lives.
type stream struct {
	t        *testing.T
	from, to net.Conn
	stop     atomic.Bool
	got      atomic.Int64
	done     chan error // of the sender, then of the receiver
}

// stream connects one of the scene with another.
func (s *scene) stream(from, to, port int) *stream {
	s.t.Helper()
	spaces := []string{s.mallory, s.alice, s.bob}
	c := &stream{t: s.t, done: make(chan error, 2)}
	var l net.Listener
	within(s.t, spaces[to], func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprint(":", port))
		return err
	})
	defer l.Close()
	within(s.t, spaces[from], func() (err error) {
		c.from, err = net.DialTimeout("tcp", net.JoinHostPort(sceneIP(to, 0), fmt.Sprint(port)), 5*time.Second)
		return err
	})
	var err error
	if c.to, err = l.Accept(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.from.Close(); c.to.Close() })
	go func() { c.done <- c.send() }()
	go func() { c.done <- c.receive() }()
	return c
}

// patternSize is what is sent at a time.
const patternSize = 8 << 10

func patternAt(n int64, b []byte) {
	for i := 0; i < len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], uint64(n)+uint64(i))
	}
}

func (c *stream) send() error {
	b, n := make([]byte, patternSize), int64(0)
	for !c.stop.Load() {
		patternAt(n, b)
		if _, err := c.from.Write(b); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		n += patternSize
		time.Sleep(10 * time.Millisecond)
	}
	return c.from.(*net.TCPConn).CloseWrite()
}

func (c *stream) receive() error {
	b, want := make([]byte, patternSize), make([]byte, patternSize)
	for {
		n := c.got.Load()
		switch _, err := io.ReadFull(c.to, b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		if patternAt(n, want); string(b) != string(want) {
			return fmt.Errorf("other bytes than were sent arrived at %d", n)
		}
		c.got.Add(patternSize)
	}
}

// moves waits until new bytes arrive.
func (c *stream) moves(within time.Duration) {
	c.t.Helper()
	before := c.got.Load()
	for begun := time.Now(); c.got.Load() == before; time.Sleep(time.Millisecond) {
		select {
		case err := <-c.done:
			c.t.Fatalf("a connection has ended: %v", err)
		default:
		}
		if time.Since(begun) > within {
			c.t.Fatalf("a connection stands still for %v", within)
		}
	}
}

// ends closes the connection as TCP does.
func (c *stream) ends() {
	c.t.Helper()
	c.stop.Store(true)
	for range 2 {
		select {
		case err := <-c.done:
			if err != nil {
				c.t.Error(err)
			}
		case <-time.After(20 * time.Second):
			c.t.Fatal("a connection does not end")
		}
	}
}

// endsTwice is ends for a fault in which so many may come twice.
func (f *steady) endsTwice(most int) (sent, lost int) {
	f.s.t.Helper()
	f.mu.Lock()
	before := f.twice
	f.twice = 0
	f.mu.Unlock()
	if before > most {
		f.s.t.Errorf("%s: %d came twice, %d may", f.marker, before, most)
	}
	sent, lost = f.ends()
	f.twice += before
	return sent, lost
}
