package fuzz

import (
	"errors"
	"fmt"
	"strings"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/packet"
)

// told is what has passed of a connection and had an effect, in order. All that
// must hold of the next segment is reckoned from the list: there is no state.
type told struct {
	opener int
	list   []tcpSeg
	late   *tcpSeg // a SYN of the opener's into a connection that is open
	again  bool    // such a SYN has been answered: windows begin anew
}

func (o *told) String() string {
	if o == nil {
		return "nothing"
	}
	var b strings.Builder
	for i := range o.list {
		fmt.Fprintf(&b, "\n  %s", &o.list[i])
	}
	return b.String()
}

func (o *told) add(g *tcpSeg) { o.list, o.late = append(o.list, *g), nil }

// view is what a box in the middle knows of one end (G. van Rooij, 2000), in
// numbers that count from the end's first SYN and do not wrap.
type view struct {
	spoke      bool
	base       uint32
	end, limit int64 // the highest that it has sent; and that it may send
	window     int64 // the largest that it has offered
	acked      bool
	ack        int64 // the highest that it has acknowledged, in the other's numbers
	scale      int
	first      int64 // where its own SYN ended
}

func (v *view) at(seq uint32) int64 { return int64(int32(seq - v.base)) }

// opening tells whether the handshake is not complete: nobody has acknowledged
// with anything but a SYN.
func (o *told) opening() bool {
	for i := range o.list {
		if !o.list[i].has(syn | rst) {
			return false
		}
	}
	return true
}

// views reckons both ends from the list.
func (o *told) views() (v [2]view) {
	for i := range o.list {
		g := &o.list[i]
		me, it := &v[g.from], &v[1-g.from]
		if g.has(rst) {
			continue // what a reset says is not built upon
		}
		if !me.spoke {
			me.base = g.seq
		}
		if g.has(syn) && (!me.spoke || me.at(g.end()) > me.end) {
			end := me.at(g.end())
			*me = view{spoke: true, base: me.base, end: end, limit: end, window: max(int64(g.window), 1), scale: g.scale, first: end}
		}
		end, window := me.at(g.end()), int64(g.window)
		if !g.has(syn) && me.scale >= 0 && it.scale >= 0 {
			window <<= me.scale
		}
		me.window = max(me.window, window)
		if end > me.limit && it.spoke {
			it.window += end - me.limit // it was allowed more than was seen
		}
		me.end = max(me.end, end)
		if g.has(ack) {
			a := it.at(g.ack)
			if !me.acked || a > me.ack {
				me.acked, me.ack = true, a
			}
			it.limit = max(it.limit, a+max(window, 1))
		} else if it.spoke {
			it.limit = max(it.limit, it.end+max(window, 1)) // it says nothing of what it has, but of its window
		}
	}
	return v
}

// passes tells what is wrong if a segment passes, in that state, and puts it on
// the list if it has an effect.
func (o *told) passes(g *tcpSeg, before, after conntrack.State) error {
	flags := g.flags &^ packet.TCPPsh
	opener := g.from == o.opener
	v := o.views()
	me, it := &v[g.from], &v[1-g.from]
	over := before == conntrack.StateTimeWait || before == conntrack.StateClosed
	switch {
	case flags == syn && opener && over:
		*o = told{opener: o.opener}
		o.add(g)
		return o.claims(after)
	case flags == syn && opener && it.spoke && before != conntrack.StateSynSent2:
		late := *g
		o.late = &late
		return o.unmoved(before, after)
	case flags == syn|ack && !opener && o.late != nil && g.ack == o.late.end() && before != conntrack.StateSynSent:
		late := *o.late
		*o = told{opener: o.opener, again: true}
		o.add(&late)
		o.add(g)
		return o.claims(after)
	case flags == syn|ack && !opener && before != conntrack.StateSynSent && before != conntrack.StateSynSent2:
		return o.unmoved(before, after)
	case flags&^packet.TCPUrg == ack && !opener && (before == conntrack.StateSynSent || before == conntrack.StateSynSent2):
		return o.unmoved(before, after)
	case flags&^packet.TCPUrg == ack && !opener && before == conntrack.StateLastAck && o.late != nil:
		o.late = nil // it may be the answer to that
		return o.unmoved(before, after)
	case flags == rst, flags == rst|ack:
		return o.resets(g, me, it, before, after)
	}
	if err := o.inOrder(g, flags, opener, me, it); err != nil {
		return err
	}
	o.add(g)
	return o.claims(after)
}

func (o *told) unmoved(before, after conntrack.State) error {
	if before != after {
		return errors.New("it proves nothing, and moves the session")
	}
	return nil
}

// inOrder holds a segment to RFC 9293 3.10.7 and to the windows.
func (o *told) inOrder(g *tcpSeg, flags uint8, opener bool, me, it *view) error {
	switch flags &^ packet.TCPUrg {
	case syn:
		if flags != syn || !opener && me.spoke && !o.opening() {
			return errors.New("SYN of who was called, into a connection that is open")
		}
		return nil // it begins a window
	case syn | ack:
		if flags&packet.TCPUrg != 0 || opener && !it.spoke {
			return errors.New("SYN-ACK where nobody has asked")
		}
		if a := it.at(g.ack); a > it.end || a < it.end-66000 {
			return errors.New("SYN-ACK of what was not sent")
		}
		return nil
	case ack, fin | ack:
		if !it.spoke || !me.spoke {
			return errors.New("data before both have said SYN")
		}
	default:
		return errors.New("flags that nobody sends")
	}
	seq, end, a := me.at(g.seq), me.at(g.end()), it.at(g.ack)
	switch {
	case seq > me.limit:
		return fmt.Errorf("at %d, and no more than %d is allowed", seq, me.limit)
	case end < me.end-it.window:
		return fmt.Errorf("ends at %d, and nobody misses what is before %d", end, me.end-it.window)
	case a > it.end:
		return fmt.Errorf("acknowledges %d, and %d were sent", a, it.end)
	case a < it.end-max(me.window, 66000):
		return fmt.Errorf("acknowledges %d, long ago: %d were sent", a, it.end)
	}
	return nil
}

// resets holds a RST to RFC 5961 3.2: it ends an open connection only where the
// other end waits for it, or right behind what was sent last.
func (o *told) resets(g *tcpSeg, me, it *view, before, after conntrack.State) error {
	switch {
	case !me.spoke && (g.from == o.opener || !g.has(ack)):
		return errors.New("RST of who has not spoken")
	case !it.spoke && before == conntrack.StateClosed:
		return nil // it was refused; there is nothing more to reset
	case !it.spoke:
		return errors.New("RST to who has not spoken")
	}
	if me.spoke {
		seq := me.at(g.seq)
		known := it.acked && !(g.seq == 0 && before != conntrack.StateEstablished)
		switch {
		case seq > me.limit || me.at(g.end()) < me.end-it.window:
			return fmt.Errorf("RST at %d, outside the window", seq)
		case known && seq < it.ack:
			return fmt.Errorf("RST at %d, and %d is acknowledged", seq, it.ack)
		case before == conntrack.StateEstablished && after == conntrack.StateClosed && known && seq != it.ack && seq != me.end:
			return fmt.Errorf("a blind RST at %d ends it; %d is waited for", seq, it.ack)
		}
	}
	if g.has(ack) && g.ack != 0 {
		if a := it.at(g.ack); a > it.end {
			return errors.New("RST acknowledges what was not sent")
		}
	}
	if after == conntrack.StateClosed {
		o.list = append(o.list, *g)
	}
	return nil
}

// claims holds what the table says of the connection to what has passed.
func (o *told) claims(state conntrack.State) error {
	v := o.views()
	fins, resets, answered := [2]bool{}, false, false
	for i := range o.list {
		g := &o.list[i]
		fins[g.from] = fins[g.from] || g.has(fin)
		resets = resets || g.has(rst)
		answered = answered || g.from == o.opener && !g.has(syn|rst)
	}
	both := v[0].spoke && v[1].spoke
	switch state {
	case conntrack.StateEstablished:
		if !both || !answered {
			return errors.New("established without a handshake")
		}
	case conntrack.StateFinWait, conntrack.StateCloseWait:
		if !both || !fins[0] && !fins[1] {
			return errors.New("half closed without a FIN")
		}
	case conntrack.StateLastAck, conntrack.StateTimeWait:
		if !both || !fins[0] && !fins[1] {
			return errors.New("closed without a FIN")
		}
	case conntrack.StateClosed:
		if !resets {
			return errors.New("reset without a RST")
		}
	}
	return nil
}
