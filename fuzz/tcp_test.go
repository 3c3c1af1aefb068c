package fuzz

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// FuzzTCP has two honest ends speak through the session table, over a network that
// loses, repeats and reorders, while somebody throws segments of any kind in
// between. Two things must hold:
//
//   - until one of the stranger's segments has passed, everything passes that the
//     honest ends say: they follow RFC 9293, and the table must know all of it;
//   - what passes and has an effect is what [told] allows: a list of all that has
//     passed, from which flags, order and windows are reckoned anew each time, with
//     numbers that do not wrap. What is dropped changes nothing.
//
// A step is five bytes: whose, what, and its arguments.
func FuzzTCP(f *testing.F) {
	const client, server = 0, 1
	pass := func(side byte) []byte { return []byte{opPass | side, 0, 0, 0, 0} }
	var open []byte
	for _, side := range []byte{client, server, client} {
		open = append(open, pass(side)...)
	}
	f.Add(open)
	f.Add(append(append(open, opSay|client, 100, 0, 0, 0), pass(client)...))
	f.Add(append(append(append(open, opFinish|client, 0, 0, 0, 0), pass(client)...), append(pass(server), opFinish|server, 0, 0, 0, 0)...))
	f.Add(append(append(open, opReset|server, 0, 0, 0, 0), pass(server)...))
	for _, flags := range []byte{syn, syn | ack, ack, fin | ack, rst, rst | ack, 0, 0x29} {
		for side := range byte(2) {
			for where := range byte(6) {
				f.Add(append(append([]byte(nil), open...), opInject|side, flags, where, where, 0x80))
				f.Add([]byte{opInject | side, flags, where, 0x80, 1})
			}
		}
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 1000 {
			return
		}
		m := newTCPModel(t)
		for ; len(program) >= 5; program = program[5:] {
			m.step(program[0], program[1:5])
		}
	})
}

// The operations of a program; the lowest bit is the side.
const (
	opSay    = 2 * iota // an end sends data
	opFinish            // its last
	opAcks              // an ACK alone
	opRepeat            // what was not acknowledged, again
	opReset
	opPass // the oldest segment of its queue reaches the switch
	opInject
	tcpOps
)

// tcpSeg is a segment. Ends are 0, who opened the connection, and 1.
type tcpSeg struct {
	from     int
	flags    uint8
	seq, ack uint32
	window   uint16
	size     int
	scale    int // of a SYN; -1: not offered
	honest   bool
}

func (g *tcpSeg) has(flag uint8) bool { return g.flags&flag != 0 }

// end is the sequence number behind the segment (RFC 9293 3.4).
func (g *tcpSeg) end() uint32 {
	n := uint32(g.size)
	if g.has(syn) {
		n++
	}
	if g.has(fin) {
		n++
	}
	return g.seq + n
}

func (g *tcpSeg) String() string {
	return fmt.Sprintf("from %d: flags %02x seq %d ack %d window %d size %d scale %d honest %v", g.from, g.flags, g.seq, g.ack, g.window, g.size, g.scale, g.honest)
}

var tcpPorts = [2]uint16{40000, 443}

func (g *tcpSeg) frame(tb testing.TB) *packet.Frame {
	s := packet.Spec{SrcMAC: webMAC, DstMAC: routerMAC, Src: web4, Dst: far4, SrcPort: tcpPorts[g.from], DstPort: tcpPorts[1-g.from],
		Proto: packet.ProtoTCP, TCPFlags: g.flags, Seq: g.seq, Ack: g.ack, Payload: make([]byte, g.size)}
	if g.from == 1 {
		s.Src, s.Dst = s.Dst, s.Src
	}
	if g.has(syn) && g.scale >= 0 {
		s.TCPOptions = []byte{1, 3, 3, byte(g.scale)}
	}
	b, err := packet.Build(s)
	if err != nil {
		tb.Fatal(err)
	}
	b[14+20+13] = g.flags // Build makes a SYN of none
	binary.BigEndian.PutUint16(b[14+20+14:], g.window)
	frame := packet.NewFrame(b, packet.PortID(1+g.from))
	if reason := packet.Parse(frame); reason != drop.None {
		tb.Fatal(reason)
	}
	return frame
}

// tcpModel is the table, both ends, and what has passed.
type tcpModel struct {
	*testing.T
	table   *conntrack.Table
	now     int64
	ends    [2]tcpEnd
	spoiled bool // a stranger's segment has passed
	told    *told
}

func newTCPModel(t *testing.T) *tcpModel {
	table, err := conntrack.New(conntrack.Config{Sessions: 4, Ports: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	m := &tcpModel{T: t, table: table, now: int64(time.Hour)}
	m.ends = [2]tcpEnd{{iss: 0xffff_fff0, window: 5000, scale: 2}, {iss: 0x7fff_ff00, window: 300, scale: 7}}
	for i := range m.ends {
		m.ends[i].side, m.ends[i].nxt, m.ends[i].una = i, m.ends[i].iss, m.ends[i].iss
	}
	m.ends[0].send(syn, 0)
	return m
}

func (m *tcpModel) step(what byte, how []byte) {
	e, peer := &m.ends[what&1], &m.ends[1-what&1]
	switch what % tcpOps &^ 1 {
	case opSay:
		e.say(int(how[0])*8 + 1)
	case opFinish:
		e.finish()
	case opAcks:
		if e.open {
			e.send(ack, 0)
		}
	case opRepeat:
		e.repeat()
	case opReset:
		e.reset()
	case opPass:
		m.carry(e, peer, how[0])
	case opInject:
		g := m.stranger(int(what&1), how)
		if m.judge(&g) {
			m.spoiled = true
		}
	}
}

// carry takes the oldest segment of an end to the switch and, if it passes, to the
// other end: unless it is lost before or behind the switch, once or twice, or after
// the one that was sent behind it.
func (m *tcpModel) carry(e, peer *tcpEnd, how byte) {
	if how&1 != 0 && len(e.queue) > 1 {
		e.queue[0], e.queue[1] = e.queue[1], e.queue[0]
	}
	if len(e.queue) == 0 {
		return
	}
	g := e.queue[0]
	e.queue = e.queue[1:]
	if how&6 == 6 {
		return
	}
	times := 1 + int(how>>3&1)
	for range times {
		passed := m.judge(&g)
		if !passed && !m.spoiled {
			m.Fatalf("an honest segment is dropped: %s\nbefore it %s", &g, m.told)
		}
		if passed && how&0x30 != 0x30 {
			peer.receive(&g)
		}
	}
}

// stranger makes a segment at or near a number that means something.
func (m *tcpModel) stranger(from int, how []byte) tcpSeg {
	e, peer := &m.ends[from], &m.ends[1-from]
	near := func(e, peer *tcpEnd, v byte) uint32 {
		base := []uint32{e.iss, e.una, e.nxt, peer.rcvNxt, peer.rcvNxt + uint32(peer.window)<<peer.scale, 0, e.nxt + 1<<20, e.nxt - 1<<20, e.nxt + 1<<30}[int(v&0x7f)%9]
		return base + uint32(v>>7)
	}
	g := tcpSeg{from: from, flags: how[0] & 0x3f, seq: near(e, peer, how[1]), ack: near(peer, e, how[2]), window: uint16(how[3]) << 7, size: int(how[3] & 7), scale: int(how[3]>>3&7) - 1}
	if g.has(syn) {
		g.size = 0
	}
	return g
}

// judge sends a segment through the table, as the walk does, and holds what comes
// of it to what has passed before.
func (m *tcpModel) judge(g *tcpSeg) (passed bool) {
	frame := g.frame(m)
	h := &frame.Headers
	hash := m.table.Hash(&h.Key)
	s, d := m.table.Find(&h.Key, hash, m.now)
	if s != nil && m.table.Renews(s, d, frame) {
		m.table.Remove(s)
		s = nil
	}
	if s == nil {
		if _, reason := m.table.Open(frame, hash, m.now); reason != drop.None {
			return false
		}
		if g.flags&^packet.TCPPsh != syn {
			m.Fatalf("opens a connection: %s", g)
		}
		m.told = &told{opener: g.from}
		m.told.add(g)
		return true
	}
	before := *s
	reason := m.table.Advance(s, d, frame, m.now)
	switch {
	case reason == drop.TCPNoSession:
	case reason != drop.None && *s != before:
		m.Fatalf("dropped (%s), but it changes the session: %s", reason, g)
	case reason == drop.None:
		if before.State() == conntrack.StateClosed || before.State() == conntrack.StateTimeWait {
			m.spoiled = m.spoiled || g.has(syn) // an old SYN begins another connection
		}
		if err := m.told.passes(g, before.State(), s.State()); err != nil {
			m.Fatalf("%v: %s, in %s, then %s\nbefore it %s", err, g, before.State(), s.State(), m.told)
		}
		m.spoiled = m.spoiled || m.told.again // a handshake that was repeated: what is under way has to be, too
	}
	return reason == drop.None
}
