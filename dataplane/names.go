package dataplane

import (
	"slices"
	"strconv"
	"strings"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// Names are what people call the numbers of a snapshot: ports, segments and
// peers. Only traces read them; a number without a name stands for itself.
type Names struct{ Ports, Segments, Peers []string }

func nameIn(names []string, i int) string {
	if i < len(names) && names[i] != "" {
		return names[i]
	}
	return strconv.Itoa(i)
}

func (n *Names) port(id packet.PortID) string { return nameIn(n.Ports, int(id)) }
func (n *Names) segment(i uint16) string      { return nameIn(n.Segments, int(i)) }
func (n *Names) peer(i uint16) string         { return nameIn(n.Peers, int(i)) }

// whoHas says which endpoint has an address.
func (x *walk) whoHas(zone uint16, a *packet.Addr) string {
	if ep, _, found := x.s.Identity.ByAddr(zone, a); found {
		return "endpoint " + x.s.Identity.Endpoint(ep).Name
	}
	return "no endpoint"
}

// noteSender writes down where the sender of an ARP or ND packet was found to
// be: that of one from a peer need not be registered there.
func (x *walk) noteSender(f *packet.Frame, p *passage, what string) {
	if p.peer != NoPeer {
		x.rec.note("identify", "%s sender is at peer %s", what, x.s.Names.peer(p.peer))
		return
	}
	x.rec.note("identify", "%s sender is bound to port %s", what, x.s.Names.port(f.Ingress))
}

// noteBound writes down what a port may send as, for a frame that was sent as
// something else.
func (x *walk) noteBound(f *packet.Frame) {
	var bound []string
	for i, e := range x.s.Identity.All() {
		if e.Port == f.Ingress {
			bound = append(bound, e.Name+" ("+boundTo(x.s.Identity, i)+")")
		}
	}
	slices.Sort(bound)
	if bound == nil {
		x.rec.note("identify", "nobody is bound to port %s", x.s.Names.port(f.Ingress))
		return
	}
	x.rec.note("identify", "bound to port %s: %s", x.s.Names.port(f.Ingress), strings.Join(bound, ", "))
}

// boundTo is the MAC and the addresses of an endpoint.
func boundTo(t *identity.Table, ep uint32) string {
	words := []string{t.Endpoint(ep).MAC.String()}
	for _, a := range t.Addrs(ep) {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}
