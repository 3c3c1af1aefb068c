package vswitch

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// worker carries frames: a locked thread that owns one queue of each port, its
// lane of the dataplane and its pool of frame memory. It sleeps in epoll when
// nothing comes, and while frames come it goes round the queues that have some.
type worker struct {
	number int
	sw     *Switch
	lane   *dataplane.Worker
	pool   *port.Pool
	epoll  *sys.Epoll

	batch  packet.Batch
	out    outlets
	active []packet.PortID // ports whose queue may have frames
	queued []bool          // by port: it is in active

	commands struct {
		sync.Mutex // guards list
		list       []func()
		waiting    atomic.Bool // list is not empty: looked at without the lock
	}
	live     *live                 // what the worker has last loaded
	watched  map[packet.PortID]int // descriptors that epoll has, by port
	polled   []packet.PortID       // ports without a descriptor: asked in turn
	lastBusy time.Time             // when it last had a port with frames
	stopped  chan struct{}
	stop     atomic.Bool
}

// lookAround is how many rounds a busy worker makes before it asks the kernel
// which other ports have frames.
const lookAround = 4

// spinFor is how long a worker that has just had frames goes on looking before
// it sleeps: an answer to what it has just sent often comes sooner than a
// sleeping thread is awake again. A silent switch does not spin.
const spinFor = 50 * time.Microsecond

// sweepEvery and sweepBuckets are how often the first worker looks for learned
// MACs that have aged, and at how many buckets of them.
const (
	sweepEvery   = 256
	sweepBuckets = 16
)

// pollEvery is how often a port without a descriptor is asked (captures).
const pollEvery = time.Millisecond

// idleWait bounds a sleep, so that sessions expire on a silent switch, too.
const idleWait = 500 * time.Millisecond

func newWorker(sw *Switch, number int) (*worker, error) {
	epoll, err := sys.NewEpoll()
	if err != nil {
		return nil, err
	}
	return &worker{
		number:  number,
		sw:      sw,
		lane:    dataplane.NewWorker(sw.state, number, sw.workerCount),
		pool:    port.NewPool(sw.region),
		epoll:   epoll,
		queued:  make([]bool, packet.MaxPorts),
		watched: map[packet.PortID]int{},
		stopped: make(chan struct{}),
	}, nil
}

// run is the worker's life; close(stopped) is its last act.
func (w *worker) run() {
	defer close(w.stopped)
	runtime.LockOSThread()
	for round := 0; !w.stop.Load(); round++ {
		w.obey()
		if live := w.sw.live.Load(); live != w.live {
			w.adopt(live)
		}
		switch {
		case len(w.active) > 0:
			w.lastBusy = time.Now()
			if round%lookAround == 0 {
				w.wait(0)
			}
		case time.Since(w.lastBusy) < spinFor:
			w.wait(0)
		default:
			w.wait(idleWait)
			w.tick()
		}
		if round%sweepEvery == 0 && w.number == 0 {
			w.sw.state.FDB.Expire(w.sw.now(), sweepBuckets)
		}
		w.round()
	}
	w.pool.Drain()
	w.epoll.Close()
}

// wait asks the kernel which ports have frames.
func (w *worker) wait(timeout time.Duration) {
	if w.commands.waiting.Load() {
		timeout = 0
	}
	if len(w.polled) > 0 {
		timeout = min(timeout, pollEvery)
		for _, id := range w.polled {
			w.activate(id)
		}
	}
	err := w.epoll.Wait(timeout, func(tag int32) { w.activate(packet.PortID(tag)) })
	if err != nil {
		w.sw.log.Error("worker-wait", "worker", w.number, "error", err)
	}
}

func (w *worker) activate(id packet.PortID) {
	if !w.queued[id] {
		w.queued[id] = true
		w.active = append(w.active, id)
	}
}

// round serves each active port once; one that had nothing is active no more.
func (w *worker) round() {
	keep := w.active[:0]
	for _, id := range w.active {
		if w.serve(id) {
			keep = append(keep, id)
		} else {
			w.queued[id] = false
		}
	}
	w.active = keep
}

// serve takes one batch from a port through the switch. It says whether there
// was one.
func (w *worker) serve(id packet.PortID) bool {
	queue := w.live.queue(id, w.number)
	if queue == nil {
		return false
	}
	w.batch.Reset()
	if err := queue.Recv(&w.batch); err != nil {
		w.sw.receiveFailed(id, err)
		if errors.Is(err, port.ErrGone) {
			w.unwatch(id)
		}
	}
	if w.batch.Len() == 0 {
		return false
	}
	dataplane.Run(w.lane, w.live.snapshot, w.sw.now(), &w.batch)
	w.sw.captures.see(&w.batch)
	w.send()
	return true
}

// tick lets time pass on an idle switch: an empty batch expires sessions.
func (w *worker) tick() {
	w.batch.Reset()
	dataplane.Run(w.lane, w.live.snapshot, w.sw.now(), &w.batch)
}

// adopt makes live what the worker goes by: it watches the queues of new
// ports and forgets those that are gone.
func (w *worker) adopt(live *live) {
	for id, fd := range w.watched {
		if q := live.queue(id, w.number); q == nil || q.FD() != fd || !live.owns(id, w.number) {
			w.epoll.Remove(fd)
			delete(w.watched, id)
		}
	}
	w.live, w.polled = live, w.polled[:0]
	for i := range live.ports {
		id := packet.PortID(i)
		q := live.queue(id, w.number)
		if q == nil || !live.owns(id, w.number) {
			continue
		}
		if q.FD() < 0 {
			w.polled = append(w.polled, id)
			continue
		}
		if _, already := w.watched[id]; already {
			continue
		}
		if err := w.epoll.Add(q.FD(), int32(id)); err != nil {
			w.sw.log.Error("worker-watch", "port", live.ports[i].name, "error", err)
			continue
		}
		w.watched[id] = q.FD()
		w.activate(id)
	}
	w.lane.Counters.Rules = live.ruleHits[w.number]
}

func (w *worker) unwatch(id packet.PortID) {
	if fd, watched := w.watched[id]; watched {
		w.epoll.Remove(fd)
		delete(w.watched, id)
	}
}

// do runs f on the worker, between batches, and waits for it. It returns
// false, without having run f, if the worker has stopped.
func (w *worker) do(f func()) bool {
	done := make(chan struct{})
	w.commands.Lock()
	w.commands.list = append(w.commands.list, func() { f(); close(done) })
	w.commands.waiting.Store(true)
	w.commands.Unlock()
	w.epoll.Wake()
	select {
	case <-done:
		return true
	case <-w.stopped:
		return false
	}
}

// obey runs what others have asked for.
func (w *worker) obey() {
	if !w.commands.waiting.Load() {
		return
	}
	w.commands.Lock()
	list := w.commands.list
	w.commands.list = nil
	w.commands.waiting.Store(false)
	w.commands.Unlock()
	for _, f := range list {
		f()
	}
}
