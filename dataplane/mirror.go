package dataplane

import (
	"sync/atomic"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/erspan"
	"bulkhead/dataplane/packet"
)

// Mirrors. A mirror shows an analyser what passes, or what does not: it copies the
// frames that it selects to a port that is for nothing else (SPAN), as they are or
// under the headers that take them to a collector elsewhere (ERSPAN). What must never
// happen, and why it cannot:
//
//	it slows the forwarding    a copy is memory to memory and bounded: MirrorCopies
//	                           and MirrorBytes a batch, a rate and a length a mirror.
//	                           What is more is lost, and counted; it takes nothing
//	                           of the memory in which floods and answers are made
//	it changes a verdict       the frame has ended when it is looked at, and copies
//	                           are in no batch: no table, policy or port's account
//	                           ever sees one
//	it feeds itself            what a mirror's port brings in is dropped, and is not
//	                           mirrored; nor is what goes to a collector of ours
//	it reads past the frame    what it copies is a prefix of the bytes that were
//	                           received, or that go out; no header is believed
//	a workload is behind it    a port of RoleMirror is in no segment, nobody is bound
//	                           to it, and nothing else goes out by it
//
// A frame is copied at most once a mirror: as it came in, tags, tunnel and all, if the
// mirror is of what comes in; else as it goes out. The walk changes headers on the
// way (tags, tunnels, addresses, TTL), so while a switch has mirrors the first bytes
// of each frame are kept until the frame has ended. Without mirrors the walk asks once
// a stretch of frames whether there are any.

// Bounds of mirrors.
const (
	MaxMirrors = 16
	// MirrorCopies and MirrorBytes are the most copies of one batch, headroom
	// included.
	MirrorCopies = 64
	MirrorBytes  = 256 << 10
	// headSaved is how much of a frame is kept as it came in: nothing behind it is
	// changed by the walk (a tunnel over IPv6, two tags, and an ICMP error about a
	// packet with options).
	headSaved = 256
)

// Mirror is what one mirror selects, and where it shows it. It is immutable.
type Mirror struct {
	Name  string
	State *MirrorState
	To    packet.PortID // of RoleMirror
	// In: frames as they come in; Out: as they go out.
	In, Out bool
	// Ports: only what comes in, or goes out, by these; nil: by any, and then a
	// frame from or to a tunnel is shown without it.
	Ports *PortSet
	// Drops: only frames that were dropped for one of these reasons; nil: all.
	Drops *[drop.Count]bool
	// Of whom frames are, and for whom; nil: everybody. Replies: also the other way.
	Of, For *Who
	Replies bool
	// Snap is the most bytes of a frame that are shown.
	Snap uint32
	Rate Bound // of copies, in frames and bytes as shown
	// Tunnel is the type of ERSPAN; 0: frames are shown as they are.
	Tunnel  erspan.Type
	Session uint16
}

// Who is some endpoints and networks; the zero value is nobody.
type Who struct {
	Sets  []uint32 // of the policy
	Marks uint32   // of identity.Endpoint.Marks: one of these
}

// PortSet is some ports.
type PortSet [packet.MaxPorts / 64]uint64

// Add puts a port in the set.
func (s *PortSet) Add(id packet.PortID) { s[id%packet.MaxPorts/64] |= 1 << (id % 64) }

// has tells whether a port is in the set; all are in none.
func (s *PortSet) has(id packet.PortID) bool {
	return s == nil || id < packet.MaxPorts && s[id/64]&(1<<(id%64)) != 0
}

// MirrorState is what a mirror has done. It outlives snapshots; workers share it.
//
//	Selected = Sent + Limited + Full + Lost
type MirrorState struct {
	Selected atomic.Uint64 // frames that the mirror wanted
	Limited  atomic.Uint64 // of these, more than its rate
	Full     atomic.Uint64 // for which a batch had no more memory
	Lost     atomic.Uint64 // that its port did not take
	Sent     atomic.Uint64
	Bytes    atomic.Uint64 // of those sent, as shown
	Cut      atomic.Uint64 // that were longer than Snap

	sequence atomic.Uint32 // of the next, under ERSPAN
	rate     gauge
}

// Mirrored are the copies of one Run, for whoever owns the worker: to send, to book
// by Sent or Lost, and to forget. They are valid until the next Run.
type Mirrored struct {
	frames [MirrorCopies]packet.Frame
	of     [MirrorCopies]*MirrorState
	n      int
	used   int
	memory []byte
}

// Len returns how many copies there are.
func (m *Mirrored) Len() int { return m.n }

// Frame returns copy i: its Egress is the mirror's port, its Ingress that of the
// frame. Under ERSPAN it begins with the GRE header.
func (m *Mirrored) Frame(i int) *packet.Frame { return &m.frames[i] }

// Settle books what became of the copies: those with a Reason were lost. Then there
// are none.
func (m *Mirrored) Settle() {
	for i := range m.n {
		if f := &m.frames[i]; f.Reason != drop.None {
			m.of[i].Lost.Add(1)
		} else {
			m.of[i].Sent.Add(1)
			m.of[i].Bytes.Add(uint64(f.Len()))
		}
	}
	m.n, m.used = 0, 0
}

// mirroring is what the worker has for mirrors.
type mirroring struct {
	notes [stride]note
	// flooded says which copies of the batch are a frame that was flooded; the
	// others are the switch's own words.
	flooded [packet.BatchCopies]bool
}

// note is a frame as it came in.
type note struct {
	buf        []byte // the frame's memory, which stays; its head may be rewritten
	start, end uint32
	inner      uint32 // where the frame begins that a tunnel carried, from start
	offload    packet.Offload
	src        packet.Addr // before translation
	head       [headSaved]byte
}

// keep notes a frame that nothing has looked at yet.
func (n *note) keep(f *packet.Frame) {
	n.buf, n.start, n.end, n.inner = f.Buf, f.Start, f.End, 0
	copy(n.head[:], f.Bytes())
}

// read notes what reading the frame has found.
func (n *note) read(f *packet.Frame, p *passage) {
	n.src, n.offload = f.Headers.Key.Src, f.Offload
	n.offload.CsumStart += uint16(f.Start - n.start)
	if p.peer != NoPeer && p.seg != nil {
		n.inner = min(f.Start-n.start, headSaved)
	}
}

// mirror shows a frame that has ended, and what was said because of it, to the mirrors
// that select it; copies of the batch from made on were made on its way.
func (x *walk) mirror(f *packet.Frame, p *passage, n *note, made int) {
	if p.port == nil || p.port.Role == RoleMirror || x.toCollector(f) {
		return
	}
	var e ends
	for i := range x.s.Mirrors {
		m := &x.s.Mirrors[i]
		if m.wantsIn(f) && x.selects(m, f, p, n, &e) {
			x.showIn(m, f, n)
			continue
		}
		if m.Out && m.Drops == nil {
			x.mirrorOut(m, f, p, n, &e, made)
		}
	}
}

// mirrorOut shows what a frame became: the frame itself, or else the first of its
// copies that the mirror selects; and what the switch said by itself, which is of nobody.
func (x *walk) mirrorOut(m *Mirror, f *packet.Frame, p *passage, n *note, e *ends, made int) {
	done := m.wantsOut(f)
	if done && x.selects(m, f, p, n, e) {
		x.showOut(m, f)
	}
	for i := made; i < x.batch.Len(); i++ {
		c := x.batch.Frame(i)
		if !m.wantsOut(c) {
			continue
		}
		switch flooded := x.mirroring.flooded[i-x.received]; {
		case !flooded && m.Of == nil && m.For == nil:
			x.showOut(m, c)
		case flooded && !done && x.selects(m, f, p, n, e):
			x.showOut(m, c)
			done = true
		}
	}
}

// wantsIn and wantsOut are what a mirror asks first, of the way.
func (m *Mirror) wantsIn(f *packet.Frame) bool {
	return m.In && m.Ports.has(f.Ingress) && (m.Drops == nil || f.Reason != drop.None && m.Drops[f.Reason])
}

func (m *Mirror) wantsOut(f *packet.Frame) bool {
	return f.Reason == drop.None && !f.Consumed && f.Egress != packet.NoPort && m.Ports.has(f.Egress)
}

// showIn copies a frame as it came in.
func (x *walk) showIn(m *Mirror, f *packet.Frame, n *note) {
	skip := uint32(0)
	if m.Ports == nil {
		skip = n.inner
	}
	c, whole := x.show(m, f, n.end-n.start-skip)
	if c == nil {
		return
	}
	b, kept := c.Bytes(), min(headSaved, n.end-n.start)
	head := copy(b, n.head[skip:kept])
	copy(b[head:], n.buf[n.start+kept:n.end])
	x.dress(m, c, f, &n.offload, skip, whole, false)
}

// showOut copies a frame as it goes out.
func (x *walk) showOut(m *Mirror, f *packet.Frame) {
	skip := uint32(0)
	if m.Ports == nil {
		skip = min(uint32(f.Outer), uint32(f.Len()))
	}
	c, whole := x.show(m, f, uint32(f.Len())-skip)
	if c == nil {
		return
	}
	copy(c.Bytes(), f.Bytes()[skip:])
	x.dress(m, c, f, &f.Offload, skip, whole, true)
}

// show finds room for a copy of so many bytes, or counts it as lost; whole says that
// it will not be cut.
func (x *walk) show(m *Mirror, f *packet.Frame, length uint32) (c *packet.Frame, whole bool) {
	s, all := m.State, &x.Mirrored
	s.Selected.Add(1)
	n := min(length, m.Snap)
	size := packet.Headroom + int(n)
	if all.n == MirrorCopies || all.used+size > len(all.memory) {
		s.Full.Add(1)
		return nil, false
	}
	if !s.rate.frames.Take(m.Rate.Frames, x.now, 1) || !s.rate.bytes.Take(m.Rate.Bytes, x.now, int(n)) {
		s.Limited.Add(1)
		return nil, false
	}
	if n < length {
		s.Cut.Add(1)
	}
	c = &all.frames[all.n]
	all.of[all.n] = s
	all.n++
	c.Begin(all.memory[all.used:all.used+size:all.used+size], packet.Headroom, uint32(size), f.Ingress)
	all.used += size
	c.Send(m.To)
	return c, n == length
}

// dress makes a copy ready to be sent: a checksum that its sender left to others is
// finished, unless the frame was cut, and ERSPAN's headers are put before it.
func (x *walk) dress(m *Mirror, c, f *packet.Frame, o *packet.Offload, skip uint32, whole, out bool) {
	if whole && o.Checksum == packet.ChecksumPartial {
		at := int(o.CsumStart) - int(skip)
		end := at + int(f.Headers.PacketEnd) - int(f.Headers.L4) // not the padding behind it
		if at > 0 && end <= c.Len() && at+int(o.CsumOffset)+2 <= end {
			checksum.Finish(c.Bytes()[at:end], int(o.CsumOffset))
		}
	}
	if m.Tunnel == 0 {
		return
	}
	h := erspan.Header{Type: m.Tunnel, Session: m.Session, Sequence: m.State.sequence.Add(1) - 1, Cut: !whole, Out: out, Index: uint32(f.Ingress), Time: x.now}
	if out {
		h.Index = uint32(f.Egress)
	}
	h.VLAN, h.Tagged = tagOf(c.Bytes())
	c.Push(uint32(m.Tunnel.Len()))
	erspan.Put(c.Bytes(), &h)
}

// tagOf reads the outer tag of a frame.
func tagOf(b []byte) (tci uint16, found bool) {
	if len(b) < 16 || b[12] != 0x81 && b[12] != 0x88 || b[12] == 0x81 && b[13] != 0 || b[12] == 0x88 && b[13] != 0xa8 {
		return 0, false
	}
	return uint16(b[14])<<8 | uint16(b[15]), true
}

// noteMirrors writes down which mirrors a frame would be shown to. What would become
// of a flood's copies a trace does not know.
func (x *walk) noteMirrors(f *packet.Frame, p *passage, n *note) {
	if p.port == nil || p.port.Role == RoleMirror || x.toCollector(f) {
		return
	}
	var e ends
	for i := range x.s.Mirrors {
		m := &x.s.Mirrors[i]
		if (m.wantsIn(f) || m.Out && m.Drops == nil && m.wantsOut(f)) && x.selects(m, f, p, n, &e) {
			x.rec.note("mirror", "shown by mirror %s to port %s", m.Name, x.s.Names.port(m.To))
		}
	}
}
