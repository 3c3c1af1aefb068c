package oracle

import (
	"encoding/binary"
	"fmt"
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
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
	tables   *worlds.Tables
	worker   *dataplane.Worker
	snapshot *dataplane.Snapshot
	batch    packet.Batch
	sent     int
}

// sessionsMost bounds the sessions of a box: so many questions, and it begins
// anew. ICMP identifiers do not repeat before.
const sessionsMost = 60000

func newBox(x *trial, tables *worlds.Tables) (*box, error) {
	routes, err := route.NewBuilder().Build()
	if err != nil {
		return nil, err
	}
	b := &box{x: x, tables: tables, snapshot: &dataplane.Snapshot{
		Generation: 1, Identity: tables.Identity, Policy: tables.Engine, Rules: tables.Rules, Routes: routes,
		Segments: []dataplane.Segment{{Zone: worlds.Zone, MTU: 1500}},
		Underlay: dataplane.Underlay{Port: packet.NoPort},
	}}
	for range len(x.people) + 2 {
		b.snapshot.Ports = append(b.snapshot.Ports, dataplane.Port{Role: dataplane.RoleWorkload, MTU: 1500})
	}
	return b, b.renew()
}

// renew forgets every session. What the rules have counted stays.
func (b *box) renew() error {
	counted := make([]uint64, len(b.tables.Rules.Rules)+1)
	if b.worker != nil {
		counted = b.worker.Counters.Rules
		b.close()
	}
	sessions, err := dataplane.NewSessions(conntrack.Config{Sessions: sessionsMost + 64, PortQuota: sessionsMost + 64, EmbryonicQuota: sessionsMost + 64}, 1)
	if err != nil {
		return err
	}
	learned, err := fdb.New(fdb.Config{Entries: 64})
	if err != nil {
		sessions.Close()
		return err
	}
	b.worker = dataplane.NewWorker(&dataplane.State{Sessions: sessions, FDB: learned, Neighbours: route.NewNeighbours()}, 0, 1)
	b.worker.Counters.Rules = counted
	b.sent = 0
	return nil
}

func (b *box) close() {
	b.worker.State.Sessions.Close()
	b.worker.State.FDB.Close()
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

// run carries questions through the switch, a batch at a time, and calls each
// with the frame as it ended.
func (b *box) run(list []probe, each func(probe, *packet.Frame)) error {
	for part := range slices.Chunk(list, packet.BatchSize) {
		if b.sent+len(part) > sessionsMost {
			if err := b.renew(); err != nil {
				return err
			}
		}
		b.batch.Reset()
		for _, q := range part {
			if err := b.add(q); err != nil {
				return err
			}
		}
		dataplane.Run(b.worker, b.snapshot, 1e9, &b.batch)
		if b.batch.Len() != len(part) {
			return fmt.Errorf("%d frames became %d", len(part), b.batch.Len())
		}
		for i, q := range part {
			each(q, b.batch.Frame(i))
		}
	}
	return nil
}

func (b *box) add(q probe) error {
	bytes, in, err := b.frame(q)
	if err != nil {
		return err
	}
	buf := make([]byte, packet.Headroom+len(bytes))
	copy(buf[packet.Headroom:], bytes)
	b.batch.Next().Begin(buf, packet.Headroom, uint32(len(buf)), packet.PortID(in))
	b.sent++
	return nil
}

func (b *box) frame(q probe) (bytes []byte, in int, err error) {
	in, out := b.ports(q)
	spec := b.x.packet(q, uint32(b.sent))
	spec.SrcMAC, spec.DstMAC = worlds.MAC(in), worlds.MAC(out)
	bytes, err = packet.Build(spec)
	return bytes, in, err
}

// explain is what a trace says is nearest to allowing a question.
func (b *box) explain(q probe) (string, error) {
	bytes, in, err := b.frame(q)
	if err != nil {
		return "", err
	}
	b.batch.Reset()
	f := b.batch.Next()
	buf := append(make([]byte, packet.Headroom), bytes...)
	f.Begin(buf, packet.Headroom, uint32(len(buf)), packet.PortID(in))
	return dataplane.Explain(b.worker, b.snapshot, 1e9, &b.batch).Nearest, nil
}

var mark = []byte("bulkhead")

// packet is the packet that opens a connection. No two have the same
// ports, and its ICMP identifier is its number, so that none belongs to the
// connection of another; and its number is in it, behind a mark.
func (x *trial) packet(q probe, number uint32) packet.Spec {
	s := packet.Spec{
		Src: packet.AddrFrom(x.people[q.from].Addr), Dst: packet.AddrFrom(x.people[q.to].Addr), Proto: q.flow.Proto,
		SrcPort: q.flow.Src, DstPort: q.flow.Dst, ICMPID: uint16(1 + number%sessionsMost), Seq: 1, // an identifier of 0 would be the session of what has none
		ICMPType: uint8(q.flow.Dst >> 8), ICMPCode: uint8(q.flow.Dst),
	}
	if s.Proto == packet.ProtoSCTP { // an INIT chunk (RFC 9260 3.3.2), with the mark as its parameters
		s.Payload = []byte{1, 0, 0, 32, 0, 0, 0, 1, 0, 0, 255, 255, 0, 1, 0, 1, 0, 0, 0, 1}
	}
	s.Payload = binary.BigEndian.AppendUint32(append(s.Payload, mark...), number)
	return s
}

// expected is how a frame ends if the policy says so: at which port, or dropped
// for which reason, and by which rule.
func (b *box) expected(q probe, allow bool, rule string) (egress packet.PortID, reason drop.Reason, named string) {
	_, out := b.ports(q)
	switch {
	case allow && opens(q):
		return packet.PortID(out), drop.None, rule
	case allow:
		return packet.NoPort, drop.ICMPUnmatched, rule // it may pass, but as part of nothing
	case rule != "":
		return packet.NoPort, drop.Denied, rule
	}
	return packet.NoPort, drop.NoRule, ""
}

// opens tells whether a packet begins a connection: of ICMP's only questions do.
func opens(q probe) bool {
	switch q.flow.Proto {
	case packet.ProtoICMP:
		return q.flow.Dst>>8 == 8 || q.flow.Dst>>8 == 13
	case packet.ProtoICMPv6:
		return q.flow.Dst>>8 == 128
	}
	return true
}
