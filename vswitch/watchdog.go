package vswitch

import (
	"os"
	"syscall"
	"time"
)

// A worker that hangs is worse than one that is gone: its ports look as if they were
// well, and nobody takes over. So the process ends, as it does when a worker panics:
// nothing on the path recovers, which would carry frames on with state that nobody
// knows. What it leaves is closed, and the next process begins anew.
//
// A worker counts its rounds. One that sleeps comes round twice a second (idleWait),
// so a worker without a round in three quarters of a second hangs, whatever it does. What is
// counted is the watchdog's own looks, not the clock: a machine that slept, or a
// process that was stopped, has seen none.
//
// The end is by SIGABRT, which the runtime answers with the stacks of what it can
// reach, without stopping the world first: a worker that hangs in a call that the
// scheduler does not know of would never let it. If that hangs, too, SIGKILL comes.

const (
	guardEvery = 85 * time.Millisecond
	looksMost  = 9 // without a round
	killAfter  = 100 * time.Millisecond
)

// AbortWhenStuck has the process end within a second when a worker does not come
// round. It is called before Start.
func (sw *Switch) AbortWhenStuck() { sw.stuck = sw.abort }

// abort ends the process.
func (sw *Switch) abort(worker int) {
	pid := os.Getpid()
	time.AfterFunc(killAfter, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	go sw.log.Error("worker-stuck", "worker", worker, "for", looksMost*guardEvery, "effect", "the process ends; nothing passes until the next one is there")
	time.Sleep(killAfter / 10) // for the log, which may hang
	_ = syscall.Kill(pid, syscall.SIGABRT)
}

// watch is the watchdog's life; Close ends it. Each worker's looks are its own.
func (sw *Switch) watch() {
	defer close(sw.watched)
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	seen, looks := make([]uint64, len(sw.workers)), make([]int, len(sw.workers))
	for {
		select {
		case <-sw.done:
			return
		case <-tick.C:
		}
		for i, w := range sw.workers {
			if rounds := w.rounds.Load(); rounds != seen[i] {
				seen[i], looks[i] = rounds, 0
				continue
			}
			if looks[i]++; looks[i] == looksMost && sw.stuck != nil {
				sw.stuck(i)
			}
		}
	}
}
