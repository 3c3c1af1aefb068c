package oracle

import (
	"fmt"
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/route"
	"bulkhead/policyc/internal/worlds"
)

// box is a switch in memory: people with labels are endpoints on ports of their
// own, all in one segment; the others are behind two routers, one to send from
// and one to send to.
type box struct {
	x        *trial
	worker   *dataplane.Worker
	snapshot *dataplane.Snapshot
	batch    packet.Batch
}

// sessionsMost bounds the sessions of a box: after so many questions it begins
// anew. Source ports do not repeat before.
const sessionsMost = 60000

func newBox(x *trial) (*box, error) {
	b := &box{x: x}
	return b, b.renew()
}

// goBy has the switch go by a policy from now on: a generation. What is open
// stays open; what the rules have counted is nothing.
func (b *box) goBy(tables *worlds.Tables) error {
	routes, err := route.NewBuilder().Build()
	if err != nil {
		return err
	}
	next := &dataplane.Snapshot{
		Generation: 1, Identity: tables.Identity, Policy: tables.Engine, Rules: tables.Rules, Routes: routes,
		Segments: []dataplane.Segment{{Zone: worlds.Zone, MTU: 1500}},
		Underlay: dataplane.Underlay{Port: packet.NoPort},
	}
	if b.snapshot != nil {
		next.Generation = b.snapshot.Generation + 1
	}
	for range len(b.x.people) + 2 {
		next.Ports = append(next.Ports, dataplane.Port{Role: dataplane.RoleWorkload, MTU: 1500})
	}
	b.snapshot = next
	n := len(tables.Rules.Rules)
	b.worker.Counters.Rules, b.worker.Counters.Audits = make([]uint64, n+1), make([]uint64, n)
	return nil
}

// renew forgets every session. What the rules have counted stays.
func (b *box) renew() error {
	var rules, audits []uint64
	if b.worker != nil {
		rules, audits = b.worker.Counters.Rules, b.worker.Counters.Audits
		b.close()
	}
	state, err := dataplane.NewState(dataplane.StateConfig{
		Sessions: conntrack.Config{Sessions: sessionsMost + 64, PortQuota: sessionsMost + 64, EmbryonicQuota: sessionsMost + 64},
		FDB:      fdb.Config{Entries: 64},
	})
	if err != nil {
		return err
	}
	b.worker = dataplane.NewWorker(state, 0, 1)
	b.worker.Counters.Rules, b.worker.Counters.Audits = rules, audits
	return nil
}

func (b *box) close() {
	_ = b.worker.State.Close()
}

// open is how many sessions there are.
func (b *box) open() (n int) {
	b.worker.State.Sessions.Each(func(t *conntrack.Table) { n += int(t.Stats().Sessions) })
	return n
}

// ports are the ways in and out of a question.
func (b *box) ports(q probe) (in, out int) {
	in, out = q.from, q.to
	if b.x.people[q.from].Labels == nil {
		in = len(b.x.people)
	}
	if b.x.people[q.to].Labels == nil {
		out = len(b.x.people) + 1
	}
	return in, out
}

// parcel is a packet for the switch: what it asks, and what it is.
type parcel struct {
	probe
	packet.Spec
}

// run carries parcels through the switch, a batch at a time, and calls each with
// the frame as it ended.
func (b *box) run(list []parcel, each func(parcel, *packet.Frame)) error {
	for part := range slices.Chunk(list, packet.BatchSize) {
		b.batch.Reset()
		for _, p := range part {
			if err := b.add(p); err != nil {
				return err
			}
		}
		dataplane.Run(b.worker, b.snapshot, 1e9, &b.batch)
		if b.batch.Len() != len(part) {
			return fmt.Errorf("%d frames became %d", len(part), b.batch.Len())
		}
		for i, p := range part {
			each(p, b.batch.Frame(i))
		}
	}
	return nil
}

func (b *box) add(p parcel) error {
	in, out := b.ports(p.probe)
	p.SrcMAC, p.DstMAC = worlds.MAC(in), worlds.MAC(out)
	bytes, err := packet.Build(p.Spec)
	if err != nil {
		return err
	}
	buf := append(make([]byte, packet.Headroom), bytes...)
	b.batch.Next().Begin(buf, packet.Headroom, uint32(len(buf)), packet.PortID(in))
	return nil
}

// explain is what a trace says is nearest to allowing a packet.
func (b *box) explain(p parcel) (string, error) {
	b.batch.Reset()
	if err := b.add(p); err != nil {
		return "", err
	}
	return dataplane.Explain(b.worker, b.snapshot, 1e9, &b.batch).Nearest, nil
}
