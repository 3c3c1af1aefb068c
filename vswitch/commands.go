package vswitch

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// commands is what others want a worker to do between two batches. It also
// guards the worker's epoll against a wake after its end: the number of a
// closed descriptor may be another file's by then.
type commands struct {
	mu      sync.Mutex // guards list, over, and the epoll's wake
	list    []func()
	over    bool        // the worker obeys no more
	waiting atomic.Bool // list is not empty: looked at without the lock
}

// ask has the worker run f soon, between two batches. It returns false if the
// worker obeys no more.
func (w *worker) ask(f func()) bool {
	c := &w.commands
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.list = append(c.list, f)
	c.waiting.Store(true)
	w.epoll.Wake()
	return true
}

// do runs f on the worker, between batches, and waits for it. It returns
// false, without having run f, if the worker has stopped.
func (w *worker) do(f func()) bool {
	done := make(chan struct{})
	if !w.ask(func() { f(); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-w.stopped:
	}
	select { // both: f was the last thing it did
	case <-done:
		return true
	default:
		return false
	}
}

// obey runs what others have asked for.
func (w *worker) obey() {
	c := &w.commands
	if !c.waiting.Load() {
		return
	}
	c.mu.Lock()
	list := c.list
	c.list = nil
	c.waiting.Store(false)
	c.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// halt has the worker stop after the batch that it has in hand.
func (w *worker) halt() {
	w.stop.Store(true)
	w.ask(func() {})
}

// end lets go of the epoll: the worker has stopped, or never ran.
func (w *worker) end() {
	w.commands.mu.Lock()
	defer w.commands.mu.Unlock()
	w.commands.over, w.commands.list = true, nil
	w.epoll.Close()
}

// onWorker runs f on worker i between two batches, and waits for it.
func (sw *Switch) onWorker(i int, f func(*worker)) bool {
	w := sw.workers[i]
	return w.do(func() { f(w) })
}

// Answer waits until every worker has come round, and says which has not: what
// a watchdog wants to know.
func (sw *Switch) Answer(within time.Duration) error {
	late := time.After(within)
	for i, w := range sw.workers {
		done := make(chan struct{})
		if !w.ask(func() { close(done) }) {
			return fmt.Errorf("worker %d has stopped", i)
		}
		select {
		case <-done:
		case <-late:
			return fmt.Errorf("worker %d has not come round for %v", i, within)
		}
	}
	return nil
}
