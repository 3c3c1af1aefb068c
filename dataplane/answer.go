package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// The switch speaks for itself in four ways: ARP and ND answers, echo replies
// of a gateway, ICMP errors, and solicitations of underlay neighbours. Each
// is a copy, cut short, of the frame that asked for it, rewritten in place:
// no memory but the batch's is needed, no other goroutine, and never more
// frames go out than came in. A bucket a port, and a peer, bounds them, so that nobody uses
// the switch as an amplifier or fills its answers for others.

// answersPerSecond and answersBurst bound what the switch says on behalf of
// one port or peer, on one worker.
const (
	answersPerSecond = 1000
	answersBurst     = 256
	// peerBuckets is how many buckets peers have; beyond that they share.
	peerBuckets = 1024
)

// bucket is a token bucket; a token is an answer, or an event of the journal.
type bucket struct {
	tokens int64 // in nanoseconds of credit
	last   Time
}

// take takes a token of so many a second, which gather up to burst, and says
// whether there was one.
func (b *bucket) take(now Time, perSecond, burst int64) bool {
	cost := 1e9 / perSecond
	b.tokens = min(b.tokens+now-b.last, burst*cost)
	if b.last == 0 {
		b.tokens = burst * cost
	}
	b.last = now
	if b.tokens < cost {
		return false
	}
	b.tokens -= cost
	return true
}

// bucketOf returns the number of the bucket of who sent a frame: a port, or a
// peer, so that no peer uses up what others on the uplink may ask for.
func (x *walk) bucketOf(f *packet.Frame, p *passage) int {
	if p.peer != NoPeer {
		return packet.MaxPorts + int(p.peer)%peerBuckets
	}
	return int(f.Ingress % packet.MaxPorts)
}

// copyOf makes a copy of the first limit bytes of f, which came in where f
// did. It returns nil when the batch has no more room, and in a trace.
func (x *walk) copyOf(f *packet.Frame, limit int) *packet.Frame {
	if x.rec != nil {
		return nil
	}
	n, made := min(f.Len(), limit), x.batch.Len()-x.received
	if n > copySize-packet.Headroom || made == packet.BatchCopies {
		return nil
	}
	c := x.batch.NextCopy()
	if c == nil {
		return nil
	}
	at := made * copySize
	buf := x.copies[at : at+copySize : at+copySize]
	copy(buf[packet.Headroom:], f.Bytes()[:n])
	c.Begin(buf, packet.Headroom, uint32(packet.Headroom+n), f.Ingress)
	c.Headers, c.Offload, c.Rule, c.Copy = f.Headers, f.Offload, f.Rule, true
	return c
}

// answer makes a copy to answer f with, if its sender has answers left.
func (x *walk) answer(f *packet.Frame, p *passage, limit int) (*packet.Frame, drop.Reason) {
	if x.rec != nil {
		return nil, drop.None
	}
	if !x.answers[x.bucketOf(f, p)].take(x.now, answersPerSecond, answersBurst) {
		return nil, drop.RateLimited
	}
	if c := x.copyOf(f, limit); c != nil {
		return c, drop.None
	}
	return nil, drop.FloodFull
}
