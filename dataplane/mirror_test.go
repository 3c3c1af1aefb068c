package dataplane_test

import (
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/erspan"
	"bulkhead/dataplane/packet"
)

// showAll has the switch show all that comes in, and all that goes out by one port or
// is dropped, to a port of its own. It returns what the mirrors count.
func (r *scriptRun) showAll() []*dataplane.MirrorState {
	s := *r.snapshot
	id := packet.PortID(len(s.Ports))
	s.Ports = append(append([]dataplane.Port(nil), s.Ports...), dataplane.Port{Role: dataplane.RoleMirror, Segment: dataplane.NoSegment, L2: new(dataplane.L2)})
	states := []*dataplane.MirrorState{{}, {}}
	s.Mirrors = []dataplane.Mirror{
		{Name: "in", State: states[0], To: id, In: true, Snap: 1518},
		{Name: "out", State: states[1], To: id, Out: true, In: true, Of: &dataplane.Who{Sets: []uint32{0}}, For: &dataplane.Who{Sets: []uint32{0}}, Snap: 1518, Tunnel: erspan.III},
	}
	r.snapshot = &s
	return states
}

// A batch of floods that uses all memory for copies, and more frames than mirrors may
// show of a batch: no flood loses a copy, the mirrors lose, and count, what is more.
func TestMirrorsTakeNothingOfFloods(t *testing.T) {
	r := newSwitch(t)
	states := r.showAll()
	s, ingress := r.written("l1", "udp 10.0.2.1:7 > 10.0.2.255:8053 to=all")
	run := func() {
		r.batch.Reset()
		for range packet.BatchSize {
			s.frame(r.batch.Next(), ingress)
		}
		dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	}
	run()
	c := &r.worker.Counters.Ports[ingress]
	if got := r.worker.Mirrored.Len(); got != dataplane.MirrorCopies || c.Copies != packet.BatchCopies || c.Drops[drop.FloodFull] != 0 {
		t.Errorf("%d shown, of a bound of %d; %d copies, of which %d had no memory", got, dataplane.MirrorCopies, c.Copies, c.Drops[drop.FloodFull])
	}
	r.worker.Mirrored.Settle()
	for i, s := range states {
		if s.Selected.Load() != packet.BatchSize || s.Sent.Load()+s.Full.Load() != packet.BatchSize {
			t.Errorf("mirror %d selected %d, sent %d, had no memory for %d", i, s.Selected.Load(), s.Sent.Load(), s.Full.Load())
		}
	}
	if full := states[0].Full.Load() + states[1].Full.Load(); full != packet.BatchSize {
		t.Errorf("%d had no memory, of %d that came twice", full, packet.BatchSize)
	}
	// What its port did not take is lost.
	run()
	for i := range r.worker.Mirrored.Len() {
		r.worker.Mirrored.Frame(i).Drop(drop.TxFull)
	}
	r.worker.Mirrored.Settle()
	if lost := states[0].Lost.Load() + states[1].Lost.Load(); lost != dataplane.MirrorCopies {
		t.Errorf("%d lost, want %d", lost, dataplane.MirrorCopies)
	}
}

// The memory of a batch is a bound of its own: copies of superframes fill it first.
func TestMirrorMemoryIsBounded(t *testing.T) {
	r := newSwitch(t)
	states := r.showAll()
	for i := range r.snapshot.Mirrors {
		r.snapshot.Mirrors[i].Snap = 9216
	}
	s, ingress := r.written("p1", "udp 10.0.0.1:7 > 10.0.0.2:8053 data=12000 gso=1000")
	r.batch.Reset()
	for range packet.BatchSize {
		s.frame(r.batch.Next(), ingress)
	}
	dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	fit := dataplane.MirrorBytes / (9216 + packet.Headroom)
	if got := r.worker.Mirrored.Len(); got != fit {
		t.Errorf("%d copies of 9216 bytes, want %d", got, fit)
	}
	r.worker.Mirrored.Settle()
	if cut := states[0].Cut.Load() + states[1].Cut.Load(); cut != uint64(fit) {
		t.Errorf("%d were cut, want %d", cut, fit)
	}
}

// What a Prober carries is no traffic: no mirror shows or counts it.
func TestMirrorsDoNotSeeProbes(t *testing.T) {
	r := newSwitch(t)
	states := r.showAll()
	p, err := dataplane.NewProber()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, frame := range []string{"tcp 10.0.0.1:40000 > 10.0.0.2:5432 syn", "tcp 10.0.0.1:40000 > 10.0.0.2:23 syn"} {
		s, ingress := r.written("p1", frame)
		p.Probe(r.snapshot, r.now, s.bytes, ingress)
	}
	for i, s := range states {
		if n := s.Selected.Load(); n != 0 {
			t.Errorf("mirror %d selected %d probes", i, n)
		}
	}
}
