package dataplane

import (
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// last is what the identities said of the frame before. Frames come in trains:
// a batch is mostly of one port, and that mostly of one sender to one receiver,
// so the same two questions are asked again and again. It lives as long as one
// Run, which has one snapshot, and keeps only what that alone decides.
type last struct {
	source struct {
		who   // at a port, within a segment
		known bool
		id    identity.ID
	}
	dest struct {
		who      // in a segment, within a zone
		endpoint *identity.Endpoint
	}
}

// who is a MAC and an address, at a port or in a segment.
type who struct {
	addr   packet.Addr
	mac    packet.MAC
	place  uint16
	within uint16
}

// boundSource tells whether the frame's MAC may send from its address on its
// port into its segment, and who that is.
func (x *walk) boundSource(f *packet.Frame, p *passage) (identity.ID, bool) {
	h, s := &f.Headers, &x.last.source
	if s.known && s.addr == h.Key.Src && s.mac == h.Src && s.place == uint16(f.Ingress) && s.within == p.segment {
		return s.id, true
	}
	id, bound := x.s.Identity.Source(f.Ingress, p.segment, h.Src, p.seg.Zone, &h.Key.Src)
	if bound {
		s.addr, s.mac, s.place, s.within = h.Key.Src, h.Src, uint16(f.Ingress), p.segment
		s.id, s.known = id, true
	}
	return id, bound
}

// holder finds the endpoint of the MAC that the frame is for, and tells whether
// the address that it is for is the endpoint's.
func (x *walk) holder(f *packet.Frame, p *passage) (e *identity.Endpoint, owns bool) {
	h, d, zone := &f.Headers, &x.last.dest, p.seg.Zone
	if d.endpoint != nil && d.addr == h.Key.Dst && d.mac == h.Dst && d.place == p.segment && d.within == zone {
		return d.endpoint, true
	}
	ep, owns, found := x.s.Identity.ByMACFor(p.segment, h.Dst, zone, &h.Key.Dst)
	if !found {
		return nil, false
	}
	e = x.s.Identity.Endpoint(ep)
	if owns {
		d.addr, d.mac, d.place, d.within, d.endpoint = h.Key.Dst, h.Dst, p.segment, zone, e
	}
	return e, owns
}
