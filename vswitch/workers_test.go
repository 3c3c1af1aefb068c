package vswitch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
)

// Every queue is served, with more workers than queues and with fewer.
func TestEveryQueueIsServed(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 5} {
		for _, queues := range []int{1, 2, 3, 8} {
			more := fmt.Sprintf("queues = %d", queues)
			l := started(t, fmt.Sprintf("workers = %d\npolicy = \"both.bhp\"\n", workers)+labSegment+member("a", 1, more)+member("b", 2, ""))
			for queue := range queues {
				if !l.passes(l.port("a"), queue, frame(1, 2, packet.ProtoTCP, 1000+uint16(queue), 80, packet.TCPSyn), l.port("b")) {
					t.Errorf("%d workers: queue %d of %d is not served", workers, queue, queues)
				}
			}
		}
	}
}

// Both directions of many sessions go by different workers at the same time;
// each flow's frames come out in the order in which they went in.
func TestTwoWorkersShareSessionsAndKeepOrder(t *testing.T) {
	l := newLab(t, twoWorkers+"policy = \"both.bhp\"\n"+twoPorts())
	const flows, each = 16, 300
	l.depth = 2 * flows * each // nothing is lost for want of room
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	a, b := l.port("a"), l.port("b")
	for i := range 2 * flows { // the clients speak first
		if !l.passes(a, i/flows, numbered(1, i, 0), b) {
			t.Fatal("the rule does not allow it")
		}
	}
	var work sync.WaitGroup
	for half := range 2 {
		for n := range 2 { // what the client sends by one queue is answered by the other
			work.Go(func() { talk([]*labPort{a, b}[n], n+1, half, half^n, flows, each) })
		}
	}
	late := make(chan struct{})
	timer := time.AfterFunc(20*time.Second, func() { close(late) })
	defer timer.Stop()
	for _, p := range []*labPort{a, b} {
		for queue := range 2 {
			work.Go(func() { hear(t, p, queue, flows*each, late) })
		}
	}
	work.Wait()
	if n := l.sessions(); n != 2*flows {
		t.Errorf("%d sessions, not %d: the directions do not share them", n, 2*flows)
	}
	for _, p := range []*labPort{a, b} {
		if c := l.counters(p.id); c.In != c.Out || c.In != p.Stats().RxFrames {
			t.Errorf("port %s: %d in, %d out, %d received: %v", p.Info().Name, c.In, c.Out, p.Stats().RxFrames, c.Drops)
		}
	}
}

// numbered is the n-th frame of a flow, from endpoint 1, the client, or 2.
func numbered(from, flow, n int) []byte {
	src, dst := uint16(2000+flow), uint16(53)
	if from == 2 {
		src, dst = dst, src
	}
	b := frame(from, 3-from, packet.ProtoUDP, src, dst, 0)
	binary.BigEndian.PutUint32(b[42:], uint32(n))
	binary.BigEndian.PutUint16(b[40:], 0) // no checksum
	return b
}

// talk sends the numbered frames of half of the flows by a queue.
func talk(p *labPort, from, half, queue, flows, each int) {
	for n := range each {
		for f := range flows {
			p.inject(queue, numbered(from, half*flows+f, n+1))
		}
	}
}

// hear takes frames out of a queue until want of them came by any, or it is
// late; each flow's numbers must rise.
func hear(t *testing.T, p *labPort, queue, want int, late <-chan struct{}) {
	last := map[uint32]uint32{}
	for heard := 0; heard < want; {
		s, ok := p.Take(queue)
		if !ok {
			select {
			case <-late:
				t.Errorf("queue %d of %s gave out %d of %d frames", queue, p.Info().Name, heard, want)
				return
			case <-time.After(50 * time.Microsecond):
			}
			continue
		}
		heard++
		flow, n := binary.BigEndian.Uint32(s.Bytes[34:]), binary.BigEndian.Uint32(s.Bytes[42:])
		if n <= last[flow] {
			t.Errorf("flow %08x: frame %d comes after %d", flow, n, last[flow])
			return
		}
		last[flow] = n
	}
}

func (l *lab) sessions() int {
	l.t.Helper()
	s, err := l.sw.Control("", nil).Sessions(10000)
	if err != nil {
		l.t.Fatal(err)
	}
	return len(s.Sessions)
}

// paired is a queue whose every batch asks for both of two services, from a
// source port that is new each time.
type paired struct {
	labQueue
	n   uint16
	buf [packet.BatchSize][512]byte
}

func (q *paired) FD() int { return -1 }

func (q *paired) Recv(b *packet.Batch) error {
	for i := 0; b.Room() > 0 && i < packet.BatchSize; i++ {
		q.n++
		raw := frame(1, 2, packet.ProtoTCP, q.n, uint16(80+i%2), packet.TCPSyn)
		start := packet.Headroom
		copy(q.buf[i][start:], raw)
		b.Next().Begin(q.buf[i][:], uint32(start), uint32(start+len(raw)), q.of.id)
	}
	return nil
}

// oneService is a queue that notes when a batch came with frames of both.
type oneService struct {
	labQueue
	seen  [2]atomic.Uint64
	mixed atomic.Uint64
}

func (q *oneService) Send(frames []*packet.Frame) {
	var got [2]uint64
	for _, f := range frames {
		got[f.Bytes()[37]&1]++
	}
	if got[0] > 0 && got[1] > 0 {
		q.mixed.Add(1)
	}
	q.seen[0].Add(got[0])
	q.seen[1].Add(got[1])
}

// A batch is judged by one snapshot from its first frame to its last: with a
// policy that allows one service, and then the other, none passes both.
func TestABatchHasOneSnapshot(t *testing.T) {
	l := newLab(t, "policy = \"web.bhp\"\n"+twoPorts())
	sink := &oneService{}
	l.odd["a"] = func(p *labPort, i int) port.Queue { return &paired{labQueue: labQueue{p.Port.Queues()[i], p}} }
	l.odd["b"] = func(p *labPort, i int) port.Queue {
		sink.labQueue = labQueue{p.Port.Queues()[i], p}
		return sink
	}
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		name := []string{"alt.bhp", "web.bhp"}[i%2]
		if err := l.reload(fmt.Sprintf("policy = %q\n", name) + twoPorts()); err != nil {
			t.Fatal(err)
		}
	}
	if n := sink.mixed.Load(); n > 0 {
		t.Errorf("%d batches were judged by two snapshots", n)
	}
	if sink.seen[0].Load() == 0 || sink.seen[1].Load() == 0 {
		t.Errorf("%d and %d frames passed: the test proves nothing", sink.seen[0].Load(), sink.seen[1].Load())
	}
}

// failingQueue is readable for ever and cannot be read until it is mended.
type failingQueue struct {
	labQueue
	fd     int
	asked  atomic.Uint64
	mended atomic.Bool
}

func (q *failingQueue) FD() int { return q.fd }

func (q *failingQueue) Recv(b *packet.Batch) error {
	q.asked.Add(1)
	if !q.mended.Load() {
		return errors.New("input/output error")
	}
	return q.labQueue.Recv(b)
}

// A queue that stays readable and cannot be read does not keep a worker busy,
// is in the status, and is served again when it can be read.
func TestAFailingQueueIsNotSpunOn(t *testing.T) {
	l := newLab(t, "policy = \"web.bhp\"\n"+twoPorts())
	fd, err := unix.Eventfd(1, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	bad := &failingQueue{fd: fd}
	l.odd["a"] = func(p *labPort, i int) port.Queue {
		bad.labQueue = labQueue{p.Port.Queues()[i], p}
		return bad
	}
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the status names the error", func() bool { return strings.Contains(strings.Join(l.status(), "\n"), "input/output error") })
	before := bad.asked.Load()
	time.Sleep(100 * time.Millisecond)
	if n := bad.asked.Load() - before; n > 300 {
		t.Errorf("asked %d times in 100 ms: it spins", n)
	}
	bad.mended.Store(true)
	if !l.passes(l.port("a"), 0, frame(1, 2, packet.ProtoTCP, 1, 80, packet.TCPSyn), l.port("b")) {
		t.Error("a queue that can be read again is not served")
	}
	if text := l.status(); len(text) != 0 {
		t.Errorf("the status still says %q", text)
	}
}

// silentQueue never says that it has frames.
type silentQueue struct {
	labQueue
	fd int
}

func (q *silentQueue) FD() int { return q.fd }

// A queue that does not say that it has frames is asked all the same now and
// then, while others are busy, too: one that had no memory to receive into
// never would.
func TestASilentQueueIsAskedNowAndThen(t *testing.T) {
	l := newLab(t, "policy = \"web.bhp\"\n"+twoPorts()+member("c", 3, ""))
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	l.odd["a"] = func(p *labPort, i int) port.Queue { return &silentQueue{labQueue{p.Port.Queues()[i], p}, fd} }
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	if !l.passes(l.port("a"), 0, frame(1, 2, packet.ProtoTCP, 1, 80, packet.TCPSyn), l.port("b")) {
		t.Error("nothing passes on a switch that is idle")
	}
	stop := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() { l.chatter("c", 0, stop) })
	l.port("a").inject(0, frame(1, 2, packet.ProtoTCP, 2, 80, packet.TCPSyn))
	eventually(t, "the frame is received while another port is busy", func() bool { return l.counters(l.port("a").id).In == 2 })
	close(stop)
	busy.Wait()
}

// A device that goes while the switch runs: its port is absent, the status
// says why, the others go on; when it is there again so is the port.
func TestADeviceThatGoesComesBack(t *testing.T) {
	l := started(t, twoWorkers+"policy = \"both.bhp\"\n"+twoPorts()+member("c", 3, ""))
	a, b := l.port("a"), l.port("b")
	l.breaks("a", errors.New("device \"a\" is not there; make it"))
	a.Destroy()
	eventually(t, "the status says what is to be done", func() bool { return strings.Contains(strings.Join(l.status(), "\n"), "make it") })
	if !a.closed.Load() {
		t.Error("a port whose device is gone is not closed")
	}
	if !l.passes(l.port("c"), 1, frame(3, 2, packet.ProtoTCP, 7, 80, packet.TCPSyn), b) {
		t.Error("the other ports do not go on")
	}
	if l.passes(b, 0, frame(2, 1, packet.ProtoTCP, 7, 80, packet.TCPSyn), l.port("c")) {
		t.Error("a frame for the absent port came out elsewhere")
	}
	if err := l.reload(twoWorkers + "policy = \"both.bhp\"\n" + twoPorts()); err == nil {
		t.Error("a reload with a port that cannot be opened succeeds")
	}
	l.breaks("a", nil)
	eventually(t, "port a is up again", func() bool { return l.port("a") != a && l.port("a").Status().Up && len(l.status()) <= 1 })
	if !l.passes(l.port("a"), 1, frame(1, 2, packet.ProtoTCP, 9, 80, packet.TCPSyn), b) {
		t.Error("nothing passes by the port that is open again")
	}
}

// A workload that takes its device away as soon as it is there again is left
// alone for longer each time: each opening links a snapshot, by which every
// session of everybody is judged again, and holds up the operator's calls.
func TestADeviceThatGoesAgainAndAgainIsLeftAlone(t *testing.T) {
	l := started(t, "policy = \"web.bhp\"\n"+twoPorts())
	before, _ := l.opened()
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if p := l.port("a"); !p.closed.Load() && p.Status().Up {
			p.Destroy()
		}
	}
	after, _ := l.opened()
	if n := after - before; n < 2 || n > 12 {
		t.Errorf("the port was opened %d times in a second", n)
	}
	eventually(t, "port a is up again", func() bool { return l.port("a").Status().Up })
}

// Calls meet a switch that goes down: none crashes, hangs, or changes it
// afterwards, and no goroutine and no descriptor is left.
func TestCloseUnderCalls(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	before := openFiles(t)
	for range 8 {
		l := started(t, twoWorkers+"policy = \"both.bhp\"\n"+twoPorts())
		op := l.sw.Control("", func() error { return l.reload(twoPorts()) })
		stop := make(chan struct{})
		var calls sync.WaitGroup
		for _, call := range []func(){
			func() { _, _ = op.FDB() }, func() { _, _ = op.Status() }, func() { _, _ = op.Sessions(10) },
			func() { _, _ = op.Counters() }, func() { _, _ = op.Ports() }, func() { _, _ = op.Policy() },
			func() { _ = l.load("web.bhp") }, func() { _, _ = op.Reload() },
		} {
			calls.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						call()
					}
				}
			})
		}
		time.Sleep(time.Millisecond)
		if err := l.sw.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
		close(stop)
		calls.Wait()
		if l.sw.Reload(l.config(twoPorts())) == nil || l.load("web.bhp") == nil {
			t.Error("a closed switch can be changed")
		}
	}
	goleak.VerifyNone(t, leaks)
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors are open, were %d", after, before)
	}
}

// A call that comes after the end wakes nobody: the number of the worker's
// descriptor is another file's by then.
func TestNoWakeAfterTheEnd(t *testing.T) {
	l := started(t, twoPorts())
	if err := l.sw.Close(); err != nil {
		t.Fatal(err)
	}
	var fds []int
	for range 32 { // the lowest free numbers: the worker's were among them
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds = append(fds, fd)
	}
	if l.sw.onWorker(0, func(*worker) {}) || l.sw.Answer(time.Second) == nil {
		t.Error("a worker that has stopped has answered")
	}
	for _, fd := range fds {
		var count [8]byte
		if n, _ := unix.Read(fd, count[:]); n == len(count) {
			t.Errorf("descriptor %d was written to", fd)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A start that fails half-way leaves nothing open, and closing it is no error.
func TestStartThatFails(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	before := openFiles(t)
	l := newLab(t, twoPorts()+member("c", 3, ""))
	l.breaks("c", errors.New("no such device"))
	if err := l.sw.Start(); err == nil || !strings.Contains(err.Error(), `open port "c": no such device`) {
		t.Errorf("start: %v", err)
	}
	if ever, now := l.opened(); ever != 2 || now != 0 {
		t.Errorf("%d ports were opened, %d are", ever, now)
	}
	if err := l.sw.Close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, leaks)
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors are open, were %d", after, before)
	}
}

// Two reloads at a time: the one that is read last is in force at the end.
func TestReloadsDoNotOvertake(t *testing.T) {
	l := started(t, twoPorts())
	file := l.path("now")
	read := func() (*config.Config, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return l.config(string(text)), nil
	}
	var work sync.WaitGroup
	for i := range 40 {
		mtu := 1000 + i
		if err := os.WriteFile(file+".new", []byte(strings.Replace(twoPorts(), labSegment, fmt.Sprintf("%smtu = %d\n", labSegment, mtu), 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		work.Go(func() { _ = l.sw.ReloadFrom(read) })
	}
	work.Wait()
	if mtu := l.sw.cfg.Segments[0].MTU; mtu != 1039 {
		t.Errorf("MTU %d of an older file is in force", mtu)
	}
}
