package vswitch

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// outlets sorts the frames of a batch by their way out.
type outlets struct {
	frames [packet.MaxPorts][]*packet.Frame
	used   []packet.PortID
	// pieces are the segments of a superframe on its way to a port that does
	// not take it whole.
	pieces [packet.BatchSize]packet.Frame
	list   [packet.BatchSize]*packet.Frame
	// long holds one piece that no chunk holds: a jumbo frame.
	long  [packet.Headroom + packet.MaxFrame]byte
	joins joins
}

// send gives the batch out, a call a port, books what could not be sent, and
// puts the frames' memory back.
func (w *worker) send() {
	o := &w.out
	for i := range w.batch.Len() {
		f := w.batch.Frame(i)
		if f.Egress == packet.NoPort || f.Reason != drop.None {
			continue
		}
		if len(o.frames[f.Egress]) == 0 {
			o.used = append(o.used, f.Egress)
		}
		o.frames[f.Egress] = append(o.frames[f.Egress], f)
	}
	for _, id := range o.used {
		w.sendTo(id, o.frames[id])
		o.frames[id] = o.frames[id][:0]
	}
	o.used = o.used[:0]
	for i := range w.batch.Len() {
		w.pool.PutFrame(w.batch.Frame(i))
	}
}

// sendTo gives frames to one port, cutting those that it cannot take whole.
func (w *worker) sendTo(id packet.PortID, frames []*packet.Frame) {
	queue := w.live.queue(id, w.number)
	if queue == nil {
		w.fail(frames, drop.PortDown)
		return
	}
	caps := w.live.caps(id)
	frames = w.out.joins.join(caps, frames)
	whole := frames[:0]
	for _, f := range frames {
		if takesWhole(caps, f) {
			if !caps.PartialChecksum {
				packet.FinishChecksum(f)
			}
			whole = append(whole, f)
			continue
		}
		// Order within a flow: what came before goes before.
		w.give(queue, whole)
		whole = frames[:0]
		w.cut(queue, f)
	}
	w.give(queue, whole)
}

// give hands frames to the queue and books those that it did not take.
func (w *worker) give(queue port.Queue, frames []*packet.Frame) {
	if len(frames) == 0 {
		return
	}
	queue.Send(frames)
	for _, f := range frames {
		if f.Reason == drop.None {
			continue
		}
		if parts := w.out.joins.partsOf(f); parts != nil {
			w.fail(parts, f.Reason)
		} else {
			w.lane.Counters.Late(f)
		}
	}
}

// fail drops frames on their way out.
func (w *worker) fail(frames []*packet.Frame, reason drop.Reason) {
	for _, f := range frames {
		f.Reason = reason
		w.lane.Counters.Late(f)
	}
}

// takesWhole tells whether a port takes a frame as it is.
func takesWhole(caps port.Caps, f *packet.Frame) bool {
	switch {
	case f.Offload.GSO == packet.GSONone:
		return true
	case f.Outer != 0:
		return caps.TunnelGSO
	case f.Offload.GSO == packet.GSOTCP4 || f.Offload.GSO == packet.GSOTCP6:
		return caps.TSO
	default:
		return caps.USO
	}
}

// longestInChunk is the longest frame that a chunk holds.
const longestInChunk = port.ChunkSize - packet.Headroom

// cut segments a superframe into frames of the pool's memory and sends them.
// A superframe of which any segment could not be sent is booked as dropped.
func (w *worker) cut(queue port.Queue, f *packet.Frame) {
	o := &w.out
	var s packet.Segmenter
	if !s.Init(f) {
		w.fail([]*packet.Frame{f}, drop.BadOffload)
		return
	}
	lost := drop.None
	for more := true; more; {
		n := 0
		for n < len(o.pieces) && more {
			piece := &o.pieces[n]
			size := s.NextLen()
			if size == 0 {
				more = false
				break
			}
			jumbo := size > longestInChunk
			switch {
			case jumbo:
				piece.Begin(o.long[:], packet.Headroom, uint32(packet.Headroom+size), f.Ingress)
			case !w.pool.GetFrame(piece, size, f.Ingress):
				lost, more = drop.TxFull, false
			}
			if lost != drop.None {
				break
			}
			s.Next(piece.Bytes())
			piece.Egress = f.Egress
			piece.Offload.Checksum = packet.ChecksumGood
			o.list[n] = piece
			n++
			if jumbo {
				break // it goes before the next takes its memory
			}
		}
		if n > 0 {
			queue.Send(o.list[:n])
		}
		for _, piece := range o.list[:n] {
			if piece.Reason != drop.None {
				lost = piece.Reason
			}
			w.pool.PutFrame(piece)
		}
		if lost != drop.None {
			more = false
		}
	}
	if lost != drop.None {
		f.Reason = lost
		w.lane.Counters.Late(f)
	}
}
