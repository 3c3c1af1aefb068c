package oracle

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/policyc/internal/check"
)

// ending is how a packet must end: at which port, or dropped for which reason,
// by which rule, who counts it, and which rule under audit does.
type ending struct {
	egress packet.PortID
	reason drop.Reason
	by     *check.Rule
	hit    bool // it counts for by, or for the default deny
	audit  *check.Rule
}

// ending is what a verdict means for the packet that opens a connection, or
// would.
func (b *box) ending(q probe, v verdict) ending {
	_, out := b.ports(q)
	passes := ending{packet.PortID(out), drop.None, v.by, true, v.audit}
	switch {
	case b.x.isError(q) && !v.stateless():
		return ending{egress: packet.NoPort, reason: drop.ICMPUnmatched} // it is about nothing that is open
	case b.x.isError(q):
		passes.audit = nil // it is no connection that a deny would have cut
		return passes
	case !v.allow && v.by == nil:
		return ending{packet.NoPort, drop.NoRule, nil, true, v.audit}
	case !v.allow:
		return ending{packet.NoPort, drop.Denied, v.by, true, v.audit}
	case !v.stateless() && !opens(q):
		return ending{packet.NoPort, drop.ICMPUnmatched, v.by, false, v.audit} // it may pass, but as part of nothing
	}
	return passes
}

// answered is how the answer to a packet that has passed ends: back, as part of
// its session, or as what it would be by itself.
func (b *box) answered(q probe, v verdict, back probe, alone verdict) ending {
	if q.flow.Proto == packet.ProtoUDP && isServers(q.flow.Dst, q.flow.Src) {
		return ending{egress: packet.NoPort, reason: drop.RogueDHCP} // as a DHCP server's, whatever the policy says
	}
	if !v.stateless() {
		_, out := b.ports(back)
		return ending{egress: packet.PortID(out), by: v.by}
	}
	if alone.allow && !alone.stateless() && q.flow.Proto == packet.ProtoTCP {
		return ending{packet.NoPort, drop.TCPNoSession, alone.by, false, alone.audit} // a SYN-ACK opens nothing
	}
	return b.ending(back, alone)
}

// opens tells whether a packet begins a connection: of ICMP's only questions do.
func opens(q probe) bool {
	switch q.flow.Proto {
	case packet.ProtoICMP:
		return q.flow.Dst>>8 == 8 || q.flow.Dst>>8 == 13
	case packet.ProtoICMPv6:
		return q.flow.Dst>>8 == 128
	}
	return true
}
