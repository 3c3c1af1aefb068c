package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// toGateway is the end of a packet for the gateway itself: it answers an echo
// request from a workload of the segment, and offers nothing else. It needs
// no rule: there is no workload behind it that could be reached.
func (x *walk) toGateway(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	echo := h.Key.Proto == packet.ProtoICMP && h.ICMPType == packet.ICMPEchoRequest ||
		h.Key.Proto == packet.ProtoICMPv6 && h.ICMPType == packet.ICMPv6EchoRequest
	if !echo || h.Kind == packet.KindFragment || p.peer != NoPeer || f.Offload.GSO != packet.GSONone {
		return drop.NotForGateway
	}
	return x.say(f, p, packet.AnswerEcho)
}

// errorTTL drops a packet whose time is up and tells its sender (RFC 792,
// RFC 4443 3.3).
func (x *walk) errorTTL(f *packet.Frame, p *passage) drop.Reason {
	return x.tell(f, p, packet.ErrorTimeExceeded, 0, drop.TTLExceeded)
}

// errorTooBig drops a packet that the next link cannot carry and tells its
// sender what it can (RFC 1191, RFC 8201). An IPv4 packet that may be
// fragmented is dropped, too: the gateway does not fragment, and senders that
// clear DF are few.
func (x *walk) errorTooBig(f *packet.Frame, p *passage, mtu uint32) drop.Reason {
	return x.tell(f, p, packet.ErrorTooBig, mtu, drop.TooBig)
}

// tell sends the ICMP error for a packet to its sender, from the gateway of
// the sender's segment, unless that port has used up its answers. The packet
// itself is dropped for the reason given, whether or not it can be told.
func (x *walk) tell(f *packet.Frame, p *passage, kind packet.ErrorKind, mtu uint32, reason drop.Reason) drop.Reason {
	from, found := p.seg.gatewayFor(&f.Headers.Key.Src)
	if !found || x.rec != nil || p.peer != NoPeer || !packet.MayAnswerWithError(f) {
		return reason
	}
	c, limited := x.answer(f, p, maxQuote)
	if limited != drop.None || c == nil {
		return reason
	}
	if x.s.NAT != nil {
		x.unarrive(c)
	}
	if !packet.AnswerError(c, kind, mtu, p.seg.GatewayMAC, &from) {
		c.Drop(drop.NoHeadroom)
		return reason
	}
	x.sendBack(c, p)
	return reason
}

// maxQuote is the most of a frame that an error needs: an IPv6 error may be
// 1280 bytes long (RFC 4443 2.4).
const maxQuote = 14 + 1280
