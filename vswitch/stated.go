package vswitch

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// What there is is stated in layers. The configuration is the lowest; the API
// moves, adds and deletes endpoints on top of it (roster.change): both are an
// operator of this host, and together the local layer. Over it lies what sources
// state: agents, which know what other hosts have.
//
// A source adds what the local layer does not have. Where both have an endpoint
// the local one says who it is, and the source only that it is behind a peer: it
// ran here and has gone elsewhere, or is to come and is not here yet. When the
// source takes that back it is where the local layer has it. So none of the
// three undoes what another has said, and a source that is gone or lies cannot
// make an endpoint of this host another, nor put one on a port.

// stated is what sources state. Guarded by Switch.mu.
type stated struct {
	segments  []ownedSegment // in the order in which they came: numbers stay
	peers     []ownedPeer
	endpoints map[string]ownedEndpoint
}

type ownedSegment struct {
	by string
	s  config.StatedSegment
}

type ownedPeer struct {
	by string
	p  config.StatedPeer
}

type ownedEndpoint struct {
	by string
	e  endpoint
}

// maxStated bounds the endpoints that sources state, all together.
const maxStated = 1 << 18

// overlay is the file's configuration with what sources state of the overlay.
// A segment or peer that the file has, too, must be the same there; it is then
// the file's.
func (s *stated) overlay(file *config.Config) (*config.Config, error) {
	var more config.Stated
	for i := range s.segments {
		o := &s.segments[i]
		same, err := sameSegment(file.Segment(o.s.Name), o)
		if err != nil {
			return nil, err
		}
		if !same {
			more.Segments = append(more.Segments, o.s)
		}
	}
	for i := range s.peers {
		o := &s.peers[i]
		same, err := samePeer(file.Peer(o.p.Name), o)
		if err != nil {
			return nil, err
		}
		if !same {
			more.Peers = append(more.Peers, o.p)
		}
	}
	if len(more.Segments)+len(more.Peers) == 0 {
		return file, nil
	}
	return file.With(more)
}

// sameSegment tells whether the file has a segment as it is stated.
func sameSegment(f *config.Segment, o *ownedSegment) (bool, error) {
	if f == nil {
		return false, nil
	}
	vrf := o.s.VRF
	if vrf == "" {
		vrf = config.DefaultVRF
	}
	var gateways []string
	for _, g := range f.Gateways {
		gateways = append(gateways, g.String())
	}
	if int(f.VNI) != o.s.VNI || f.VRF != vrf || !sameSet(gateways, o.s.Gateways) {
		return false, api.Conflict(fmt.Sprintf("segment %q of the configuration is another than %s states: vni %d, vrf %q, gateways %v, not %d, %q, %v",
			f.Name, o.by, f.VNI, f.VRF, gateways, o.s.VNI, vrf, o.s.Gateways), "make them the same on both sides")
	}
	if o.s.GatewayMAC != "" && len(gateways) > 0 && f.GatewayMAC.String() != o.s.GatewayMAC {
		return false, api.Conflict(fmt.Sprintf("segment %q of the configuration has gateway_mac %s, and %s states %s",
			f.Name, f.GatewayMAC, o.by, o.s.GatewayMAC), "make them the same on both sides")
	}
	return true, nil
}

func samePeer(f *config.Peer, o *ownedPeer) (bool, error) {
	if f == nil {
		return false, nil
	}
	if f.Address.String() != o.p.Address || !sameSet(f.Segments, o.p.Segments) {
		return false, api.Conflict(fmt.Sprintf("peer %q of the configuration is another than %s states: %s in %v, not %s in %v",
			f.Name, o.by, f.Address, f.Segments, o.p.Address, o.p.Segments), "take it out of the configuration")
	}
	return true, nil
}

// sameSet tells whether two lists have the same texts, in any order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// with is a copy in which a change has been made, as far as segments and peers
// go; touched tells whether it made a difference. Endpoints are shared.
func (s *stated) with(c *api.StateChange) (next *stated, touched bool, err error) {
	next = &stated{segments: slices.Clone(s.segments), peers: slices.Clone(s.peers), endpoints: s.endpoints}
	next.segments = slices.DeleteFunc(next.segments, func(o ownedSegment) bool { return o.by == c.Source && slices.Contains(c.RemoveSegments, o.s.Name) })
	next.peers = slices.DeleteFunc(next.peers, func(o ownedPeer) bool { return o.by == c.Source && slices.Contains(c.RemovePeers, o.p.Name) })
	for i := range c.Segments {
		if err := next.setSegment(c.Source, &c.Segments[i]); err != nil {
			return nil, false, err
		}
	}
	for i := range c.Peers {
		if err := next.setPeer(c.Source, &c.Peers[i]); err != nil {
			return nil, false, err
		}
	}
	return next, !next.sameOverlay(s), nil
}

func (s *stated) sameOverlay(o *stated) bool {
	return slices.EqualFunc(s.segments, o.segments, func(a, b ownedSegment) bool {
		return a.by == b.by && a.s.Name == b.s.Name && a.s.VNI == b.s.VNI && a.s.VRF == b.s.VRF && a.s.GatewayMAC == b.s.GatewayMAC && slices.Equal(a.s.Gateways, b.s.Gateways)
	}) && slices.EqualFunc(s.peers, o.peers, func(a, b ownedPeer) bool {
		return a.by == b.by && a.p.Name == b.p.Name && a.p.Address == b.p.Address && slices.Equal(a.p.Segments, b.p.Segments)
	})
}

func (s *stated) setSegment(by string, a *api.StateSegment) error {
	o := ownedSegment{by, config.StatedSegment{Name: a.Name, VNI: int(a.VNI), VRF: a.VRF, Gateways: a.Gateways, GatewayMAC: a.GatewayMAC}}
	i := slices.IndexFunc(s.segments, func(o ownedSegment) bool { return o.s.Name == a.Name })
	if i < 0 {
		s.segments = append(s.segments, o)
		return nil
	}
	if s.segments[i].by != by {
		return owned("segment", a.Name, s.segments[i].by)
	}
	s.segments[i] = o
	return nil
}

func (s *stated) setPeer(by string, a *api.StatePeer) error {
	o := ownedPeer{by, config.StatedPeer{Name: a.Name, Address: a.Address, Segments: a.Segments}}
	i := slices.IndexFunc(s.peers, func(o ownedPeer) bool { return o.p.Name == a.Name })
	if i < 0 {
		s.peers = append(s.peers, o)
		return nil
	}
	if s.peers[i].by != by {
		return owned("peer", a.Name, s.peers[i].by)
	}
	s.peers[i] = o
	return nil
}

func owned(what, name, by string) error {
	return api.Conflict(fmt.Sprintf("%s %q is stated by %s", what, name, by), "have that source take it back first")
}

// statedEndpoint reads an endpoint that a source states, by the rules of the
// configuration.
func statedEndpoint(a *api.StateEndpoint, cfg *config.Config) (endpoint, error) {
	if a.Port != "" || a.Peer == "" {
		return endpoint{}, api.Invalid(fmt.Sprintf("endpoint %q is not behind a peer", a.Name), "a source states what is behind peers; ports are the configuration's")
	}
	stated := config.Endpoint{Name: a.Name, Segment: a.Segment, Peer: a.Peer, Labels: a.Labels}
	if err := place(&stated, cfg); err != nil {
		return endpoint{}, err
	}
	read, err := cfg.ReadEndpoint(stated, a.MAC, a.IPs)
	if err != nil {
		return endpoint{}, refused(a.Name, err)
	}
	return endpoint{Name: read.Name, Segment: read.Segment, Peer: read.Peer, MAC: read.MAC, IPs: read.IPs, Labels: read.Labels}, nil
}

// over is an endpoint as it is in force: as the local layer has it, and the
// source's word on where it is on top. Either may be nil.
func over(local *endpoint, o *ownedEndpoint) (*endpoint, error) {
	switch {
	case o == nil:
		return local, nil
	case local == nil:
		e := o.e
		e.Source = o.by
		return &e, nil
	case local.Segment != o.e.Segment || local.MAC != o.e.MAC || !sameAddrs(local.IPs, o.e.IPs):
		return nil, api.Conflict(fmt.Sprintf("endpoint %q is %s with %s in segment %q here, and %s states %s with %s in %q",
			local.Name, local.MAC, addrs(local.IPs), local.Segment, o.by, o.e.MAC, addrs(o.e.IPs), o.e.Segment), "give one of them another name, or make them the same")
	}
	e := *local
	e.Port, e.Peer, e.PlacedBy = "", o.e.Peer, o.by
	return &e, nil
}

func sameAddrs(a, b []netip.Addr) bool { return addrs(a) == addrs(b) }

func addrs(list []netip.Addr) string {
	list = slices.Clone(list)
	slices.SortFunc(list, netip.Addr.Compare)
	return fmt.Sprint(list)
}

// laid puts everything that sources state on top of a local layer. What the two
// contradict each other in is as the local layer has it: lost has the names.
func (s *stated) laid(local roster, cfg *config.Config) (all roster, lost []string) {
	all = maps.Clone(local)
	for name, o := range s.endpoints {
		var under *endpoint
		if e, there := local[name]; there {
			under = &e
		}
		_, err := cfg.ReadEndpoint(config.Endpoint{Name: name, Segment: o.e.Segment, Labels: o.e.Labels}, o.e.MAC.String(), texts(o.e.IPs))
		if err == nil {
			err = place(&config.Endpoint{Name: name, Segment: o.e.Segment, Peer: o.e.Peer}, cfg)
		}
		var e *endpoint
		if err == nil {
			e, err = over(under, &o)
		}
		if err != nil {
			lost = append(lost, name)
			continue
		}
		all[name] = *e
	}
	slices.Sort(lost)
	return all, lost
}

func texts(list []netip.Addr) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}
