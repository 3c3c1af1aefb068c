package vswitch

import (
	"fmt"
	"os"
	"time"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/route"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
)

// Status tells how the switch is.
func (o *Operator) Status() (*api.Status, error) {
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	sw := o.sw
	sw.mu.Lock()
	s := &api.Status{
		Version: o.version, PID: os.Getpid(), Started: sw.started, SingleProcess: sw.helper == nil,
		Policy: "none: everything is denied", PolicyFile: sw.rulesFrom, PolicyError: sw.rulesErr,
		Generation: l.snapshot.Generation, Workers: sw.workerCount, Segments: len(l.snapshot.Segments),
		Endpoints: l.snapshot.Identity.Len(), Frames: sw.region.Chunks(), FramesFree: sw.region.Free(),
		FramesMissing: sw.closeBooks(time.Now(), countAgain),
	}
	if sw.rules != nil {
		s.Policy, s.Rules, s.PolicyGeneration = "loaded", len(sw.rules.Rules), sw.rules.Generation
		for _, key := range sw.rulesBy {
			s.PolicySignedBy = append(s.PolicySignedBy, key.String())
		}
	}
	s.TakenOver = sw.took
	s.Sources = sw.sources()
	s.Warnings = append(sw.warnings(), sourceWarnings(s.Sources)...)
	s.Tables = append(sw.fills(), sw.sourceFills()...)
	sw.mu.Unlock()
	for i := range l.ports {
		if p := l.ports[i].port; p != nil {
			s.Ports++
			if up, why := o.health(packet.PortID(i), p); up {
				s.PortsUp++
			} else {
				s.Warnings = append(s.Warnings, fmt.Sprintf("port %q is down: %s", l.ports[i].name, why))
			}
		}
	}
	s.Ready, s.NotReady = sw.Ready()
	s.Canary = sw.canaryStatus()
	parts := sw.state.Fragments.Stats()
	s.Fragments, s.FragmentsMax, s.FragmentsHeld, s.FragmentsHeldMax = parts.Packets, parts.MaxPackets, parts.Held, parts.MaxHeld
	return s, o.sessionTotals(s)
}

// health tells whether a port works, and if not why.
func (o *Operator) health(id packet.PortID, p port.Port) (up bool, why string) {
	if reason, is := o.sw.notUp.Load(id); is {
		return false, reason.(string) + "; it is tried again by itself"
	}
	if reason, failed := o.sw.failed.Load(id); failed {
		return false, reason.(string)
	}
	status := p.Status()
	return status.Up, status.Err
}

// sessionTotals adds up the session tables.
func (o *Operator) sessionTotals(s *api.Status) error {
	if !o.sw.onWorker(0, func(w *worker) {
		w.lane.State.Sessions.Each(func(t *conntrack.Table) {
			stats := t.Stats()
			s.Sessions += stats.Sessions
			s.SessionsMax += t.Max()
			s.HugePages = stats.Huge
		})
	}) {
		return errStopping
	}
	return nil
}

// fills tells how full the tables are that packets fill besides the sessions'.
func (sw *Switch) fills() []api.Fill {
	macs, translations := sw.state.FDB.Stats(), sw.state.NAT.Stats()
	return []api.Fill{
		{Name: "learned MACs", Used: macs.Entries - macs.Static, Max: sw.state.FDB.Max()},
		{Name: "neighbours", Used: sw.state.Neighbours.Len(), Max: route.MaxNeighbours},
		{Name: "frames waiting for a neighbour", Used: sw.state.Waiting.Stats().Waiting, Max: route.MaxWaiting},
		{Name: "paths narrower than the uplink", Used: sw.state.Paths.Len(), Max: route.MaxPaths},
		{Name: "address translations", Used: int(translations.Mappings), Max: int(sw.state.NAT.Max())},
	}
}

// Workers tells what the workers did with their time.
func (o *Operator) Workers() ([]api.Worker, error) {
	if _, err := o.live(); err != nil {
		return nil, err
	}
	out := []api.Worker{}
	for i := range o.sw.workers {
		if !o.sw.onWorker(i, func(w *worker) {
			l := &w.load
			out = append(out, api.Worker{
				Worker: i, IdleSeconds: l.asleep.Seconds(), BusySeconds: (time.Since(l.began) - l.asleep).Seconds(),
				Batches: l.batches, Frames: l.frames,
			})
		}) {
			return nil, errStopping
		}
	}
	return out, nil
}
