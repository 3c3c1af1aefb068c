package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Counters are one worker's accounts. Only that worker writes them, so an
// increment is a plain one; others read them through the worker, between
// batches.
type Counters struct {
	// Ports is indexed by packet.PortID.
	Ports []PortCounters
	// Rules counts the connections that each rule decided (sessions opened or
	// judged again, and denials), by policy.RuleID of the snapshot in force;
	// the last element counts the default deny. A stateless rule decides each
	// packet.
	Rules []uint64
	// Audits counts, by policy.RuleID, what rules under audit would have
	// denied, as Rules counts what rules decided.
	Audits []uint64
}

// PortCounters are the accounts of one port, by the frames that came in by it.
//
//	In + Copies = Out + Consumed + sum of Drops
type PortCounters struct {
	In       uint64 // received
	Copies   uint64 // made from these by flooding, or as an answer to them
	Out      uint64 // given a way out, copies included
	Consumed uint64 // taken in by the switch itself
	Drops    [drop.Count]uint64

	InBytes, OutBytes uint64
}

// NewCounters makes accounts for packet.MaxPorts ports.
func NewCounters() *Counters {
	return &Counters{Ports: make([]PortCounters, packet.MaxPorts)}
}

// begin books a frame as it was received: the walk may take its tunnel off or
// put it into one.
func (c *Counters) begin(f *packet.Frame) {
	p := &c.Ports[f.Ingress%packet.MaxPorts]
	p.In++
	p.InBytes += uint64(f.Len())
}

// end books a frame's outcome. It is called once for each frame of a batch.
func (c *Counters) end(f *packet.Frame) {
	p := &c.Ports[f.Ingress%packet.MaxPorts]
	if f.Copy {
		p.Copies++
	}
	switch {
	case f.Reason != drop.None:
		p.Drops[f.Reason]++
	case f.Consumed:
		p.Consumed++
	default:
		p.Out++
		p.OutBytes += uint64(f.Len())
	}
}

// lostCopy books a copy of f that could not be made for want of memory: as a
// copy, and as a drop.
func (c *Counters) lostCopy(f *packet.Frame) {
	p := &c.Ports[f.Ingress%packet.MaxPorts]
	p.Copies++
	p.Drops[drop.FloodFull]++
}

// Late books a drop that happened on the way out, to a frame that had been
// booked as out.
func (c *Counters) Late(f *packet.Frame) {
	p := &c.Ports[f.Ingress%packet.MaxPorts]
	p.Out--
	p.OutBytes -= uint64(f.Len())
	p.Drops[f.Reason]++
}

// Balanced tells whether the port's accounts add up: in + copies = out +
// consumed + drops.
func (p *PortCounters) Balanced() bool {
	sum := p.Out + p.Consumed
	for _, n := range p.Drops {
		sum += n
	}
	return p.In+p.Copies == sum
}

// Add adds the accounts of other, for totals over workers.
func (p *PortCounters) Add(other *PortCounters) {
	p.In += other.In
	p.Copies += other.Copies
	p.Out += other.Out
	p.Consumed += other.Consumed
	p.InBytes += other.InBytes
	p.OutBytes += other.OutBytes
	for r := range p.Drops {
		p.Drops[r] += other.Drops[r]
	}
}
