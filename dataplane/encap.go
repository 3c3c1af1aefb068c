package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// encap puts a frame into a tunnel to a peer. The underlay's next hop is the
// peer itself where it is on-link, else the underlay's gateway. Its MAC is
// asked for when it is not known, and the frame then waits for the answer, if
// there is room. It is asked for again when it was last answered for long ago.
func (x *walk) encap(f *packet.Frame, p *passage) drop.Reason {
	u := &x.s.Underlay
	if x.s.Tunnels == nil || x.s.port(u.Port) == nil {
		return drop.NoUplink
	}
	remote, found := x.s.Tunnels.PeerAddr(p.way.peer)
	if !found {
		return drop.UnknownPeer
	}
	mac, reason := x.nextMAC(f, &remote)
	if reason != drop.None && !x.mayWait(f, p, reason) {
		return reason
	}
	waits := reason != drop.None
	hash := uint32(x.State.Sessions.hash(&f.Headers.Key))
	if reason := x.s.Tunnels.Encap(f, p.way.segment, p.way.peer, x.s.Ports[u.Port].MAC, mac, hash, x.groupOf(f, p)); reason != drop.None {
		return reason
	}
	if x.rec != nil {
		via := "underlay next hop " + mac.String()
		switch {
		case u.Routed:
			via = "by the host's routes"
		case waits:
			via = "whose next hop is being asked for"
		}
		x.rec.note("encap", "VXLAN to peer %s, %s", x.s.Names.peer(p.way.peer), via)
	}
	if waits {
		return x.wait(f, &remote)
	}
	return x.leave(f, u.Port, NoSegment)
}

// mayWait tells whether a frame that cannot leave yet for the reason given can
// wait for the answer of its next hop.
func (x *walk) mayWait(f *packet.Frame, p *passage, reason drop.Reason) bool {
	return reason == drop.NoNeighbour && x.State.Waiting.Room(f, maxOverhead, x.now)
}

// maxOverhead is the most that a tunnel's headers take, in bytes: over IPv6.
const maxOverhead = 70

// wait keeps a frame, in its tunnel, until its next hop has answered. It goes on as
// a copy, released by the answer, and is taken in here.
func (x *walk) wait(f *packet.Frame, remote *packet.Addr) drop.Reason {
	hop, _ := x.s.Underlay.nextHop(remote)
	if x.rec != nil {
		x.rec.note("encap", "it waits until the next hop has answered")
	} else if !x.State.Waiting.Hold(f, &hop, x.s.Generation, x.now) {
		return drop.NoNeighbour
	}
	f.Consumed = true
	return drop.None
}

// releaseWaiting sends what waited for an answer. What another snapshot judged is
// not sent: its policy may have been another.
func (x *walk) releaseWaiting(f *packet.Frame, hop *packet.Addr, mac packet.MAC) {
	for {
		c := x.copyOf(f, 0)
		if c == nil {
			return // the rest waits for the next answer, or in vain
		}
		generation, found := x.State.Waiting.Take(hop, c, c.Buf, x.now)
		if !found {
			x.batch.Undo()
			return
		}
		c.Copy = true
		copy(c.Bytes(), mac[:])
		reason := drop.NoNeighbour
		if generation == x.s.Generation {
			reason = x.leave(c, x.s.Underlay.Port, NoSegment)
		}
		if reason != drop.None {
			c.Drop(reason)
		}
	}
}

// nextMAC returns the MAC of the underlay's next hop to a peer. An uplink whose
// next hop the host finds has none.
func (x *walk) nextMAC(f *packet.Frame, remote *packet.Addr) (mac packet.MAC, reason drop.Reason) {
	u := &x.s.Underlay
	if u.Routed {
		return mac, drop.None
	}
	hop, found := u.nextHop(remote)
	if !found {
		return mac, drop.NoUplink
	}
	mac, old, found := x.State.Neighbours.Lookup(UnderlaySegment, &hop, x.now)
	if !found || old {
		x.solicit(f, &hop)
	}
	if !found {
		return mac, drop.NoNeighbour
	}
	return mac, drop.None
}

// groupOf returns the group of who sends a frame into a tunnel, for a peer that
// wants to know: a workload's of this host, not the switch's own.
func (x *walk) groupOf(f *packet.Frame, p *passage) uint16 {
	if !x.s.Tunnels.Speaks(p.way.peer) || p.peer != NoPeer || p.src == identity.None {
		return 0
	}
	ep, _, found := x.s.Identity.ByAddr(p.seg.Zone, &f.Headers.Key.Src)
	if !found {
		return 0
	}
	return x.s.Identity.Endpoint(ep).Group
}

// family is the index of an address's family in Underlay's arrays.
func family(a *packet.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// nextHop returns the underlay address to send to, to reach a peer.
func (u *Underlay) nextHop(remote *packet.Addr) (packet.Addr, bool) {
	i := family(remote)
	if u.Addrs[i] == (packet.Addr{}) {
		return packet.Addr{}, false
	}
	bits := int(u.Bits[i])
	if i == 0 {
		bits += 96
	}
	if samePrefix(remote, &u.Addrs[i], bits) {
		return *remote, true
	}
	return u.Gateways[i], u.Gateways[i] != packet.Addr{}
}

// samePrefix tells whether two addresses agree in their first bits.
func samePrefix(a, b *packet.Addr, bits int) bool {
	whole := bits / 8
	for i := range whole {
		if a[i] != b[i] {
			return false
		}
	}
	if rest := bits % 8; rest != 0 {
		return (a[whole]^b[whole])>>(8-rest) == 0
	}
	return true
}

// solicit asks the underlay who holds an address, seldom enough, with a frame
// made in the place of a copy.
func (x *walk) solicit(f *packet.Frame, hop *packet.Addr) {
	u := &x.s.Underlay
	if x.rec != nil || !x.State.Neighbours.ShouldSolicit(UnderlaySegment, hop, x.now) {
		return
	}
	c := x.copyOf(f, 0)
	if c == nil {
		return
	}
	if !packet.Solicit(c, x.s.Ports[u.Port].MAC, &u.Addrs[family(hop)], hop) {
		c.Drop(drop.NoHeadroom)
		return
	}
	c.Send(u.Port)
}

// underlay is the walk of what the uplink brings beside tunnels: address
// resolution, and errors about tunnels of ours.
func (x *walk) underlay(f *packet.Frame, p *passage) drop.Reason {
	if f.Headers.Kind == packet.KindARP {
		return x.underlayARP(f, p)
	}
	if f.Headers.ICMPError {
		return x.underlayError(f)
	}
	return x.underlayND(f, p)
}

// underlayARP is ARP on an uplink: a question for our VTEP's address is
// answered; what the answer to a question of ours says is kept.
func (x *walk) underlayARP(f *packet.Frame, p *passage) drop.Reason {
	u := &x.s.Underlay
	a := packet.ARPOf(f)
	if f.Ingress != u.Port || f.Headers.VLANs != 0 || u.Addrs[0] == (packet.Addr{}) || a.TargetIP != u.Addrs[0] {
		return drop.UplinkOther
	}
	if a.SenderMAC != f.Headers.Src {
		return drop.SpoofedARPMAC
	}
	if a.Op != packet.ARPRequest {
		return x.learnNeighbour(f, &a.SenderIP, a.SenderMAC)
	}
	return x.say(f, p, func(c *packet.Frame) bool { return packet.AnswerARP(c, p.port.MAC) })
}

// underlayND is the same for IPv6.
func (x *walk) underlayND(f *packet.Frame, p *passage) drop.Reason {
	u := &x.s.Underlay
	n := packet.NDOf(f)
	if f.Ingress != u.Port || f.Headers.VLANs != 0 || u.Addrs[1] == (packet.Addr{}) {
		return drop.UplinkOther
	}
	if !packet.VerifyChecksum(f) {
		return drop.BadChecksum
	}
	if n.HasLinkAddr && n.LinkAddr != f.Headers.Src {
		return drop.SpoofedNDLink
	}
	switch {
	case f.Headers.ICMPType == packet.NDNeighbourAdvertisement && f.Headers.Key.Dst == u.Addrs[1]:
		return x.learnNeighbour(f, &n.Target, f.Headers.Src)
	case f.Headers.ICMPType == packet.NDNeighbourSolicitation && n.Target == u.Addrs[1] && f.Headers.Key.Src != packet.Addr{}:
		return x.say(f, p, func(c *packet.Frame) bool { return packet.AnswerND(c, p.port.MAC, false) })
	}
	return drop.UplinkOther
}

// underlayError is an ICMP error on an uplink. One that says that a tunnel of ours
// was too big for a link on its way narrows the path to that peer: the next frame
// that is too big is answered to who sent it. The rest is told to nobody.
func (x *walk) underlayError(f *packet.Frame) drop.Reason {
	u, h := &x.s.Underlay, &f.Headers
	own := u.Addrs[family(&h.Key.Dst)]
	mtu, tooBig := packet.TooBig(f)
	if !tooBig || f.Ingress != u.Port || h.VLANs != 0 || own == (packet.Addr{}) || h.Key.Dst != own || h.Inner.Src != own || !x.s.Tunnels.IsOurs(&h.Inner) {
		return drop.UplinkOther
	}
	if !packet.VerifyChecksum(f) {
		return drop.BadChecksum
	}
	if x.rec != nil {
		x.rec.note("decap", "the path to %s carries %d bytes, says %s", h.Inner.Dst, mtu, h.Key.Src)
	} else {
		x.State.Paths.Learn(&h.Inner.Dst, mtu, x.now)
	}
	f.Consumed = true
	return drop.None
}

// learnNeighbour keeps the answer to a question of ours, and sends what waited for
// it; one that nobody asked for changes nothing.
func (x *walk) learnNeighbour(f *packet.Frame, a *packet.Addr, mac packet.MAC) drop.Reason {
	if x.rec == nil && x.State.Neighbours.Answer(UnderlaySegment, a, mac, x.now) {
		x.releaseWaiting(f, a, mac)
	}
	f.Consumed = true
	return drop.None
}
