package udp

import (
	"errors"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port/vnet"
)

// queue is one socket to receive by, and a way to send by any lane.
type queue struct {
	fd    int
	port  packet.PortID
	own   netip.AddrPort // whom it receives for
	outer int            // bytes of headers before a tunnel
	room  int            // bytes of IP that a tunnel takes

	in    incoming // datagrams that the last call brought
	next  int      // the one to look at next
	at    int      // its byte to look at next: it is a train
	arena *vnet.Arena

	out outgoing

	counters    vnet.Counters
	trains      atomic.Uint64 // datagrams that were several
	superframes atomic.Uint64 // tunnels around one
}

func openQueue(c *Config, a netip.Addr, l *[2]*lanes) (*queue, error) {
	fd, err := openReceiver(a, c.UDPPort)
	if err != nil {
		return nil, err
	}
	return takeQueue(c, a, l, fd)
}

// takeQueue makes a queue of a socket, which is its own from now on, also on an
// error.
func takeQueue(c *Config, a netip.Addr, l *[2]*lanes, fd int) (q *queue, err error) {
	q = &queue{fd: fd, port: c.Port, own: netip.AddrPortFrom(a, c.UDPPort), outer: outerLen(family(a))}
	q.room = c.MTU - q.outer - vxlanLen
	q.out.lanes, q.out.limit = l, c.MTU
	defer func() {
		if err != nil {
			err = errors.Join(err, q.close())
		}
	}()
	if q.arena, err = vnet.NewArena(nil, 0); err != nil {
		return q, err
	}
	q.in.outer = q.outer
	if err = q.in.init(); err != nil {
		return q, err
	}
	return q, q.out.init()
}

func (q *queue) close() error {
	var errs []error
	if q.fd >= 0 {
		errs = append(errs, unix.Close(q.fd))
	}
	if q.arena != nil {
		errs = append(errs, q.arena.Close())
	}
	return errors.Join(append(errs, q.in.close(), q.out.close())...)
}

// FD implements port.Queue.
func (q *queue) FD() int { return q.fd }

// Recv implements port.Queue. A datagram that is one frame is lent where the
// kernel put it; a train's are copied apart, for each needs its headroom. What
// does not fit the batch waits for the next, and nothing is read before it.
func (q *queue) Recv(b *packet.Batch) error {
	q.arena.Reset()
	var t vnet.Tally
	if q.next == q.in.count {
		q.next, q.at = 0, 0
		q.in.receive(q.fd)
	}
	q.deliverErrors(b, &t)
	for b.Room() > 0 && q.next < q.in.count {
		if !q.deliver(b, &t) {
			break
		}
	}
	q.counters.Received(&t)
	return nil
}

// deliver adds the next frame to the batch. It returns false if it must wait for
// the next batch.
func (q *queue) deliver(b *packet.Batch, t *vnet.Tally) bool {
	d := q.in.datagram(q.next)
	size, train := d.segment, d.segment != 0 && d.segment < len(d.tunnel)
	o, super := packet.Offload{}, false
	if q.at == 0 && len(d.tunnel) > vxlanLen+etherLen+q.room {
		o, super = superframe(d.tunnel, q.outer, size, q.room)
	}
	if !train || super {
		q.whole(b, &d, o, t)
		q.next, q.at = q.next+1, 0
		return true
	}
	if q.at == 0 {
		q.trains.Add(1)
	}
	piece := d.tunnel[q.at:min(q.at+size, len(d.tunnel))]
	room := q.arena.Room()
	if room == nil {
		return false
	}
	n := q.outer + len(piece)
	buf := q.arena.Take(n)
	copy(buf[packet.Headroom+q.outer:], piece)
	q.add(b, buf, n, &d, packet.Offload{}, t)
	if q.at += len(piece); q.at == len(d.tunnel) {
		q.next, q.at = q.next+1, 0
	}
	return true
}

// whole adds a datagram that is one tunnel: an ordinary one, or one around a
// superframe.
func (q *queue) whole(b *packet.Batch, d *datagram, o packet.Offload, t *vnet.Tally) {
	if d.cut {
		t.Drop(drop.RxOversize)
		return
	}
	if o.GSO != packet.GSONone {
		q.superframes.Add(1)
	}
	q.add(b, d.buf, q.outer+len(d.tunnel), d, o, t)
}

// add adds a tunnel that lies in buf behind the room for its headers.
func (q *queue) add(b *packet.Batch, buf []byte, n int, d *datagram, o packet.Offload, t *vnet.Tally) {
	putOuter(buf[packet.Headroom:], d.from, q.own, d.tos, n-q.outer)
	t.Frames++
	t.Bytes += uint64(n)
	f := b.Next()
	f.Begin(buf, packet.Headroom, uint32(packet.Headroom+n), q.port)
	f.Offload, f.MaybePartial = o, true // over a virtual device an inner checksum is left to others, unsaid
}
