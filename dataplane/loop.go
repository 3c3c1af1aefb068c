package dataplane

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Loops. A cable, a bridge in a guest or a misplaced trunk may lead from one port
// of the switch to another, or to itself; what is flooded would go round for ever.
// So a port that is to be watched sends a probe every second, and a probe that
// comes back is the proof of a loop: of the two ports, the one it left by and the
// one it came in by, the one with the higher number is blocked, in and out, until
// for a while no probe has come back. Half a loop is none any more. Probes go on
// through a port that is blocked, or nobody would know that the loop is still there.
//
//	| to 03:62:6b:68:00:01 | from 02:62:6b:68 and the port | 88b5 | "bulkhead" | port 2 | number 8 |
//
// 88b5 is for experiments on a link (IEEE 802, annex of local experimental types).
//
// A probe would be a weapon if it could be forged: whoever sends one in the name of
// another's port has it blocked. So its number is drawn anew for each, by a generator
// from whose numbers the next cannot be told (ChaCha8), and only the last two of a
// port count. A workload sees those of its own port alone, since the switch forwards
// no frame of that type; what it sends back, by whatever port it has, blocks a port
// of its own. One that is kept for later, when the port's number is another's, says
// nothing any more.
const (
	probeType  = 0x88b5
	probeLen   = 14 + 8 + 2 + 8
	probeEvery = Time(1e9)
)

// Most probes of one Run: few beside frames, which come again soon, and on a silent
// switch, which runs twice a second, as many as the memory for copies holds.
const (
	probesAmong = 16
	probesAlone = packet.BatchCopies
)

var (
	probeMAC  = packet.MAC{3, 0x62, 0x6b, 0x68, 0, 1}
	probeWord = "bulkhead"
)

// looped is what is known of loops through one port. The first worker writes when
// the next probe is due and the numbers of the last two, the newer one first; who
// hears one that comes back writes until when the port is blocked, and with which.
type looped struct {
	due     atomic.Int64
	numbers [2]atomic.Uint64 // 0: none
	until   atomic.Int64
	with    atomic.Uint32
}

// probing is what the worker has that sends the probes.
type probing struct {
	turn    int // which of Snapshot.Probed is looked at next
	numbers *rand.ChaCha8
}

func newProbing() probing {
	var seed [32]byte
	crand.Read(seed[:]) // it never fails
	return probing{numbers: rand.NewChaCha8(seed)}
}

// Blocked tells whether a port is blocked because of a loop, with which other
// port, and for how long at least.
func (l *Links) Blocked(id packet.PortID, now Time) (with packet.PortID, left Time, blocked bool) {
	p := &l.ports[id%packet.MaxPorts].loop
	until := p.until.Load()
	return packet.PortID(p.with.Load()), until - now, until > now
}

// Forget makes what is known of loops through a port nothing: it is another port
// now, or is watched no more. Any goroutine may call it.
func (l *Links) Forget(id packet.PortID) {
	p := &l.ports[id%packet.MaxPorts].loop
	p.numbers[0].Store(0)
	p.numbers[1].Store(0)
	p.until.Store(0)
	p.due.Store(0)
}

// probe sends the probes that are due. One worker does it.
func (x *walk) probe() {
	if x.mine != 0 {
		return
	}
	most := probesAmong
	if x.received == 0 {
		most = probesAlone
	}
	for range min(most, len(x.s.Probed)) {
		id := x.s.Probed[x.probing.turn%len(x.s.Probed)]
		port, p := x.s.port(id), &x.link(id).loop
		if port != nil && port.L2 != nil && p.due.Load() <= x.now {
			c := x.fresh(id)
			if c == nil {
				return // this one is the first the next time
			}
			p.due.Store(x.now + probeEvery)
			x.sendProbe(c, id, port.L2, p)
		}
		x.probing.turn = (x.probing.turn + 1) % len(x.s.Probed)
	}
}

// sendProbe makes c the probe of a port and sends it: untagged where the port takes
// that, else in the first of its VLANs.
func (x *walk) sendProbe(c *packet.Frame, id packet.PortID, l2 *L2, p *looped) {
	number := x.probing.numbers.Uint64() | 1 // 0 is none
	p.numbers[1].Store(p.numbers[0].Load())
	p.numbers[0].Store(number)
	c.End = c.Start + probeLen
	b := c.Bytes()
	copy(b, probeMAC[:])
	copy(b[6:], []byte{2, 0x62, 0x6b, 0x68, byte(id >> 8), byte(id)})
	binary.BigEndian.PutUint16(b[12:], probeType)
	copy(b[14:], probeWord)
	binary.BigEndian.PutUint16(b[22:], uint16(id))
	binary.BigEndian.PutUint64(b[24:], number)
	if m := l2.VLANs; m != nil && m.Native() == NoSegment {
		if _, segment, found := m.First(); !found || !m.Leave(c, segment) {
			c.Drop(drop.NoHeadroom)
			return
		}
	}
	c.Send(id)
}

// comesBack looks at a frame that is of no type that the switch knows: one of our
// own probes blocks a port.
func (x *walk) comesBack(f *packet.Frame) drop.Reason {
	h := &f.Headers
	b := f.Bytes()[min(14+4*int(h.VLANs), f.Len()):]
	if h.EtherType != probeType || h.Dst != probeMAC || len(b) < probeLen-14 || string(b[:8]) != probeWord {
		return drop.EtherType
	}
	from, number := packet.PortID(binary.BigEndian.Uint16(b[8:])), binary.BigEndian.Uint64(b[10:])
	if from >= packet.MaxPorts || !x.watched(from) {
		return drop.EtherType
	}
	p := &x.link(from).loop
	if number == 0 || number != p.numbers[0].Load() && number != p.numbers[1].Load() {
		return drop.EtherType // another switch's, an old one, or a lie
	}
	if x.rec == nil {
		x.block(max(from, f.Ingress), min(from, f.Ingress))
	}
	f.Consumed = true
	return drop.None
}

// block blocks a port, or goes on to, for as long as it is to be.
func (x *walk) block(id, with packet.PortID) {
	p := &x.link(id).loop
	p.with.Store(uint32(with))
	p.until.Store(x.now + x.s.Ports[id].L2.LoopRetry)
}

// watched tells whether a port is watched for loops.
func (x *walk) watched(id packet.PortID) bool {
	port := x.s.port(id)
	return port != nil && port.L2 != nil && port.L2.LoopRetry != 0
}
