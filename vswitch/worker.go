package vswitch

import (
	"sync/atomic"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// worker carries frames: a locked thread that owns its queues of the ports, its
// lane of the dataplane and its pool of frame memory. It sleeps in epoll when
// nothing comes, and while frames come it goes round the queues that have some.
type worker struct {
	number int
	sw     *Switch
	lane   *dataplane.Worker
	pool   *port.Pool
	epoll  poller

	batch packet.Batch
	out   outlets
	sources

	commands commands
	live     *live     // what the worker has last loaded
	lastBusy time.Time // when it last had a queue with frames
	askedAll time.Time // when it last asked every queue
	load     load
	lostTold uint64 // of the lane's journal: how many lost events have been told
	stopped  chan struct{}
	stop     atomic.Bool
	rounds   atomic.Uint64 // for the watchdog
}

// load is what a worker did with its time since it began.
type load struct {
	began           time.Time
	asleep          time.Duration
	batches, frames uint64
}

// lookAround is how many rounds a busy worker makes before it asks the kernel
// which other ports have frames.
const lookAround = 4

// spinFor is how long a worker that has just had frames goes on looking before
// it sleeps: an answer to what it has just sent often comes sooner than a
// sleeping thread is awake again. A silent switch does not spin. It yields before
// each look: the kernel likes to wake who gets a frame on the CPU that sent it, the
// worker's, and would let that one wait there until the worker has done. Without it
// 1 % of round trips over TAP took twice as long with more threads than CPUs.
const spinFor = 50 * time.Microsecond

// sweepEvery and sweepBuckets are how often the first worker looks for learned
// MACs that have aged, and at how many buckets of them.
const (
	sweepEvery   = 256
	sweepBuckets = 16
)

// pollEvery is how often a queue is asked that cannot be waited for: it has no
// descriptor (captures), or could not be read.
const pollEvery = time.Millisecond

// idleWait bounds a sleep, so that sessions expire on a silent switch, too. As
// often every queue is asked: one that had no memory to receive into gets no
// frame of which its descriptor could tell.
const idleWait = 500 * time.Millisecond

func newWorker(sw *Switch, number int) (*worker, error) {
	epoll, err := sw.world.poller()
	if err != nil {
		return nil, err
	}
	return &worker{
		number:  number,
		sw:      sw,
		lane:    dataplane.NewWorker(sw.state, number, sw.workerCount),
		pool:    port.NewPool(sw.region),
		epoll:   epoll,
		sources: newSources(),
		stopped: make(chan struct{}),
	}, nil
}

// run is the worker's life; close(stopped) is its last act.
func (w *worker) run() {
	defer close(w.stopped)
	w.sw.world.thread()
	w.load.began = time.Now()
	for round := 0; !w.stop.Load(); round++ {
		w.rounds.Store(uint64(round) + 1)
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
		case time.Since(w.lastBusy) < w.sw.world.spin:
			sys.Yield()
			w.wait(0)
		default:
			w.sleep()
			w.tick()
		}
		if round%sweepEvery == 0 && w.number == 0 {
			w.sw.state.FDB.Expire(w.sw.now(), sweepBuckets)
		}
		w.round()
	}
	w.pool.Drain()
	w.end()
}

// sleep waits for frames, and notes for how long.
func (w *worker) sleep() {
	begun := time.Now()
	w.wait(idleWait)
	w.load.asleep += time.Since(begun)
}

// wait asks the kernel which queues have frames.
func (w *worker) wait(timeout time.Duration) {
	if w.commands.waiting.Load() {
		timeout = 0
	}
	if len(w.polled) > 0 {
		timeout = min(timeout, pollEvery)
		for _, s := range w.polled {
			w.activate(s)
		}
	}
	err := w.epoll.Wait(timeout, func(tag int32) { w.activate(source(tag)) })
	if err != nil {
		w.sw.log.Error("worker-wait", "worker", w.number, "error", err)
	}
	if now := time.Now(); now.Sub(w.askedAll) >= idleWait {
		w.askedAll = now
		for s := range w.watched {
			w.activate(s)
		}
	}
}

// round serves each active queue once; one that had nothing is active no more.
func (w *worker) round() {
	keep := w.active[:0]
	for _, s := range w.active {
		if w.serve(s) {
			keep = append(keep, s)
		} else {
			w.queued[s] = false
		}
	}
	w.active = keep
}

// serve takes one batch from a queue through the switch. It says whether there
// was one.
func (w *worker) serve(s source) bool {
	queue := w.live.source(s)
	if queue == nil {
		return false
	}
	w.batch.Reset()
	if err := queue.Recv(&w.batch); err != nil {
		w.failed(s, err)
	} else if len(w.failing) > 0 && w.failing[s] {
		w.recovered(s, queue)
	}
	if w.batch.Len() == 0 {
		return false
	}
	w.load.batches++
	w.load.frames += uint64(w.batch.Len())
	dataplane.Run(w.lane, w.live.snapshot, w.sw.now(), &w.batch)
	w.sw.captures.see(&w.batch, w.live)
	w.report()
	w.differ()
	w.send()
	w.sendMirrored()
	return true
}

// tick lets time pass on an idle switch: an empty batch expires sessions.
func (w *worker) tick() {
	w.batch.Reset()
	dataplane.Run(w.lane, w.live.snapshot, w.sw.now(), &w.batch)
	w.report()
	if w.batch.Len() > 0 { // what the switch says by itself
		w.send()
	}
}
