package vswitch

import (
	"errors"
	"slices"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// source is one queue of a port that a worker receives from. Queue i is worker
// i's, modulo the number of workers, so every queue has one worker, and none
// waits for a worker that there is not.
type source int32

// queueSpan bounds the queues of a port, as the configuration does.
const queueSpan = 64

func sourceOf(id packet.PortID, queue int) source { return source(int(id)*queueSpan + queue) }

func (s source) port() packet.PortID { return packet.PortID(s / queueSpan) }

func (s source) queue() int { return int(s % queueSpan) }

// sources are the queues of a worker. Those that can be polled are in its
// epoll; the others, and those whose last receive failed, are asked in turn.
type sources struct {
	active  []source       // may have frames
	queued  []bool         // by source: it is in active
	watched map[source]int // descriptors that epoll has
	polled  []source       // asked every pollEvery
	failing map[source]bool
}

func newSources() sources {
	return sources{
		queued:  make([]bool, packet.MaxPorts*queueSpan),
		watched: map[source]int{},
		failing: map[source]bool{},
	}
}

func (w *worker) activate(s source) {
	if !w.queued[s] {
		w.queued[s] = true
		w.active = append(w.active, s)
	}
}

// adopt makes live what the worker goes by: it watches the queues of new
// ports and forgets those that are gone. A port is closed only after every
// worker has adopted a state without it: until then its descriptor is open, so
// that nothing is read, written or unwatched by a number that has become
// another file's.
func (w *worker) adopt(live *live) {
	for s, fd := range w.watched {
		if q := live.source(s); q == nil || q.FD() != fd {
			w.unwatch(s)
		}
	}
	for _, s := range w.active {
		w.queued[s] = false
	}
	w.active, w.polled = w.active[:0], w.polled[:0]
	w.live = live
	for i := range live.ports {
		queues := live.ports[i].queues
		for n := w.number; n < len(queues); n += w.sw.workerCount {
			w.follow(sourceOf(packet.PortID(i), n), queues[n])
		}
	}
	for s := range w.failing {
		if live.source(s) == nil {
			delete(w.failing, s)
		}
	}
	w.lane.Counters.Rules, w.lane.Counters.Audits = live.ruleHits[w.number], live.audits[w.number]
	w.lane.Differences = nil
	if live.differences != nil {
		w.lane.Differences = live.differences[w.number]
	}
}

// follow has the worker receive from a queue from now on.
func (w *worker) follow(s source, q port.Queue) {
	if q.FD() < 0 || w.failing[s] {
		w.polled = append(w.polled, s)
		return
	}
	if _, already := w.watched[s]; !already {
		if err := w.epoll.Add(q.FD(), int32(s)); err != nil {
			w.sw.log.Error("worker-watch", "port", w.live.ports[s.port()].name, "error", err, "effect", "it is asked in turn")
			w.polled = append(w.polled, s)
			return
		}
		w.watched[s] = q.FD()
	}
	w.activate(s)
}

func (w *worker) unwatch(s source) {
	if fd, watched := w.watched[s]; watched {
		w.epoll.Remove(fd)
		delete(w.watched, s)
	}
}

// failed takes in that a queue could not be read. A queue that stays readable
// and cannot be read would keep the worker busy for ever: it is only asked in
// turn until it can be, and no more at all if its device is gone.
func (w *worker) failed(s source, err error) {
	w.unwatch(s)
	w.sw.receiveFailed(s.port(), err)
	if errors.Is(err, port.ErrGone) {
		delete(w.failing, s)
		w.polled = slices.DeleteFunc(w.polled, func(p source) bool { return p == s })
		return
	}
	if !w.failing[s] {
		w.failing[s] = true
		if !slices.Contains(w.polled, s) {
			w.polled = append(w.polled, s)
		}
	}
}

// recovered takes in that a queue can be read again.
func (w *worker) recovered(s source, q port.Queue) {
	delete(w.failing, s)
	w.polled = slices.DeleteFunc(w.polled, func(p source) bool { return p == s })
	w.sw.receiveWorks(s.port())
	w.follow(s, q)
}
