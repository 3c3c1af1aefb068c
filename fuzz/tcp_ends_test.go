package fuzz

// tcpEnd is an honest end of a connection, as RFC 9293 has it and no more: it
// takes what comes in order, acknowledges everything, and never shrinks its window.
type tcpEnd struct {
	side          int
	iss           uint32
	una, nxt      uint32 // what is not acknowledged yet; what comes next (3.3.1)
	rcvNxt        uint32
	window        uint16 // as in the header
	scale         int
	peerEdge      uint32 // the other end takes nothing from here on
	heard, open   bool   // the other's SYN; and ours is acknowledged
	ended, closed bool   // we have sent FIN; reset

	unacked []tcpSeg
	queue   []tcpSeg // under way to the switch
}

// send sends a segment with the next sequence number.
func (e *tcpEnd) send(flags uint8, size int) {
	g := tcpSeg{from: e.side, flags: flags, seq: e.nxt, size: size, window: e.window, scale: -1, honest: true}
	if flags&syn != 0 {
		g.scale = e.scale
	}
	e.fill(&g)
	if e.nxt = g.end(); g.end() != g.seq {
		e.unacked = append(e.unacked, g)
	}
	e.queue = append(e.queue, g)
}

func (e *tcpEnd) fill(g *tcpSeg) {
	if g.has(ack) {
		g.ack = e.rcvNxt
	}
}

// say sends data, as much as the other end takes.
func (e *tcpEnd) say(size int) {
	if room := int(int32(e.peerEdge - e.nxt)); e.open && !e.ended && !e.closed && min(size, room) > 0 {
		e.send(ack, min(size, room, 1400))
	}
}

func (e *tcpEnd) finish() {
	if e.open && !e.ended && !e.closed && int32(e.peerEdge-e.nxt) > 0 {
		e.send(ack|fin, 0)
		e.ended = true
	}
}

// repeat sends the oldest segment that is not acknowledged again (RFC 6298 5.4).
func (e *tcpEnd) repeat() {
	if len(e.unacked) > 0 && !e.closed {
		g := e.unacked[0]
		e.fill(&g)
		e.queue = append(e.queue, g)
	}
}

// reset gives the connection up (RFC 9293 3.10.5).
func (e *tcpEnd) reset() {
	if e.open && !e.closed {
		e.queue = append(e.queue, tcpSeg{from: e.side, flags: rst | ack, seq: e.nxt, ack: e.rcvNxt, window: e.window, scale: -1, honest: true})
		e.closed = true
	}
}

// receive takes a segment in (RFC 9293 3.10.7).
func (e *tcpEnd) receive(g *tcpSeg) {
	switch {
	case e.closed:
		return
	case g.has(rst):
		e.closed = e.heard
		return
	case g.has(syn):
		e.receiveSYN(g)
		return
	case !e.heard:
		return
	}
	e.acknowledged(g, uint32(g.window)<<e.peerScale())
	if g.end() == g.seq {
		return
	}
	if g.seq == e.rcvNxt {
		e.rcvNxt = g.end()
	}
	if e.open {
		e.send(ack, 0)
	}
}

func (e *tcpEnd) receiveSYN(g *tcpSeg) {
	if e.heard { // again: it has not heard us
		if e.open {
			e.send(ack, 0)
		}
		return
	}
	e.heard, e.rcvNxt = true, g.seq+1
	if e.side == 1 {
		e.peerEdge = e.nxt // until it says otherwise
		e.send(syn|ack, 0)
		return
	}
	e.acknowledged(g, uint32(g.window))
	e.send(ack, 0)
}

// peerScale is the other end's scale: both always offer one.
func (e *tcpEnd) peerScale() int { return []int{7, 2}[e.side] }

func (e *tcpEnd) acknowledged(g *tcpSeg, window uint32) {
	if !g.has(ack) || int32(g.ack-e.una) < 0 || int32(g.ack-e.nxt) > 0 {
		return
	}
	e.una = g.ack
	for len(e.unacked) > 0 && int32(e.unacked[0].end()-e.una) <= 0 {
		e.unacked = e.unacked[1:]
	}
	e.open = e.open || int32(e.una-e.iss) > 0
	if edge := g.ack + window; int32(edge-e.peerEdge) > 0 || !e.open {
		e.peerEdge = edge
	}
}
