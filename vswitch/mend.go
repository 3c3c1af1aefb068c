package vswitch

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
)

// A device may go while the switch runs: somebody deletes it, or the namespace
// that it is in ends with its workload. Its port is then absent: it has a name
// and a reason, no queue, and its snapshot's guard stays. The mender looks for
// such ports and opens them again as soon as that can be done: when the
// namespace, or the device, is there again. It also sets links up again that
// could not be set up.

// A device that goes is opened again at once, but one that the mender has just
// opened is not: whoever has the namespace could take it away as soon as it is
// there, and each opening links a snapshot, by which everybody's sessions are
// judged again.

// mendEvery is how often the mender looks; mendMost is the longest that it
// leaves a port alone which could not be opened, or did not stay.
const (
	mendEvery = time.Second
	mendMost  = 16 * time.Second
)

// absent stands for a port whose device is not there.
type absent struct {
	info   port.Info
	reason atomic.Pointer[string]
	pause  time.Duration // between two tries; guarded by Switch.mu, as is:
	next   time.Time     // not before
}

var _ port.Port = (*absent)(nil)

// absentFor makes the stand-in of a port.
func absentFor(name string, c *config.Port, why error) *absent {
	a := &absent{info: port.Info{Name: name}}
	if c != nil {
		a.info = port.Info{Name: name, Driver: c.Driver, Device: c.Device, Netns: c.Netns, MAC: c.MAC, MTU: c.MTU, Mode: "absent"}
	}
	a.because(why)
	return a
}

// because notes why the port is not there, and tells whether that is new.
func (a *absent) because(why error) bool {
	text := why.Error()
	old := a.reason.Swap(&text)
	return old == nil || *old != text
}

func (a *absent) Info() port.Info      { return a.info }
func (a *absent) Up() error            { return errors.New(*a.reason.Load()) }
func (a *absent) Queues() []port.Queue { return nil }
func (a *absent) Stats() port.Stats    { return port.Stats{} }
func (a *absent) Chunks() int          { return 0 }
func (a *absent) Close() error         { return nil }
func (a *absent) Status() port.Status {
	return port.Status{Err: *a.reason.Load() + "; it is tried again by itself"}
}

// isAbsent tells whether a port is a stand-in, or none at all.
func isAbsent(p port.Port) bool {
	_, is := p.(*absent)
	return is || p == nil
}

// mend is the mender's life; Close ends it.
func (sw *Switch) mend() {
	defer close(sw.mended)
	tick := time.NewTicker(sw.mendEvery)
	defer tick.Stop()
	told := map[packet.PortID]string{} // the ports that a loop has blocked
	for {
		select {
		case <-sw.done:
			return
		case <-sw.ill:
		case <-tick.C:
		}
		sw.mendOnce(time.Now())
		sw.logLoops(told)
	}
}

// mendOnce takes out what is gone and tries to open what is absent and due.
func (sw *Switch) mendOnce(now time.Time) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.closed {
		return
	}
	var due []string
	for name, id := range sw.ports {
		p := sw.opened[id].port
		if status := p.Status(); !isAbsent(p) && status.Gone {
			sw.log.Error("port-gone", "port", name, "device", p.Info().Device, "netns", p.Info().Netns, "error", status.Err,
				"effect", "its frames are dropped", "cure", "if the device or its namespace is gone make it again; the port is then opened by itself")
			before := sw.opened[id].mended
			sw.release(id, errors.New(status.Err))
			a := sw.opened[id].port.(*absent)
			if now.Sub(before.at) < mendMost {
				a.pause = before.pause
				a.leave(now, sw.mendEvery)
			}
			p = a
		}
		if a, is := p.(*absent); is && !now.Before(a.next) {
			due = append(due, name)
		}
	}
	sw.closeBooks(now, countEvery)
	if slices.Sort(due); len(due) > 0 {
		_ = sw.reopen(due) // what fails is noted, and tried again
	}
	sw.notUp.Range(func(id, _ any) bool {
		sw.raise(id.(packet.PortID))
		return true
	})
}

// release takes one port from the workers and closes it; a stand-in has its
// number until a successor is up. The snapshot in force stays.
func (sw *Switch) release(id packet.PortID, why error) {
	old := sw.live.Load()
	gone := old.ports[id]
	again := *old
	next := &again
	next.ports = append([]openPort(nil), old.ports...)
	next.ports[id] = openPort{name: gone.name, port: absentFor(gone.name, sw.portConfig(gone.name), why)}
	sw.live.Store(next)
	sw.settle()
	sw.opened[id] = next.ports[id]
	sw.forget(id)
	sw.retire(id, gone)
	if err := gone.port.Close(); err != nil {
		sw.log.Error("port-close", "port", gone.name, "error", err)
	}
}

// forget lets go of what was wrong with a port that is no more. The mender would set up
// the link of nothing.
func (sw *Switch) forget(id packet.PortID) {
	sw.failed.Delete(id)
	sw.notUp.Delete(id)
}

// reopen opens absent ports of the configuration in force, each on its own:
// one that cannot be opened holds up no other.
func (sw *Switch) reopen(names []string) error {
	p := sw.keepPorts()
	var errs []error
	for _, name := range names {
		id := sw.ports[name]
		a, is := sw.opened[id].port.(*absent)
		if !is {
			continue
		}
		if err := p.add(sw, sw.cfg, sw.portConfig(name)); err != nil {
			errs = append(errs, err)
			sw.postpone(a, err)
			continue
		}
		p.open[id] = openPort{name: name}
		p.open[p.ids[name]].mended = mended{time.Now(), a.pause}
	}
	if len(p.added) == 0 {
		return errors.Join(errs...)
	}
	if err := sw.publish(sw.cfg, sw.roster, sw.rules, p); err != nil {
		return errors.Join(append(errs, err, p.undo(sw))...)
	}
	return errors.Join(errs...)
}

// postpone leaves a port alone for a while that could not be opened.
func (sw *Switch) postpone(a *absent, why error) {
	a.leave(time.Now(), sw.mendEvery)
	if a.because(why) {
		sw.log.Warn("port-absent", "port", a.info.Name, "error", why)
	}
}

// leave leaves the port alone for twice as long as the last time.
func (a *absent) leave(now time.Time, least time.Duration) {
	a.pause = min(max(2*a.pause, least), mendMost)
	a.next = now.Add(a.pause)
}

// receiveFailed notes that a port's queue could not be read. If its device is
// gone the mender is told.
func (sw *Switch) receiveFailed(id packet.PortID, err error) {
	if errors.Is(err, port.ErrGone) {
		select {
		case sw.ill <- struct{}{}:
		default: // it is told already
		}
		return
	}
	if _, known := sw.failed.Swap(id, err.Error()); !known {
		sw.log.Error("port-receive", "port", sw.portName(id), "error", err)
	}
}

// receiveWorks notes that it can be read again.
func (sw *Switch) receiveWorks(id packet.PortID) {
	sw.failed.Delete(id)
	sw.log.Info("port-receive", "port", sw.portName(id), "effect", "it can be read again")
}
