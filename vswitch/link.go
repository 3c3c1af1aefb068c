package vswitch

import (
	"fmt"
	"net/netip"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
	"bulkhead/dataplane/vxlan"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
)

// Linking turns what is declared (configuration, roster, policy) into a
// snapshot: names become numbers, labels become identities, identities become
// rows of the compiled policy. It is the one place where policy and place
// meet. It changes nothing: a snapshot that cannot be linked leaves the old
// one in force.

// linker is one link under way; when it is done it is kept, and makes the
// snapshots that differ in an endpoint (relink.go).
type linker struct {
	cfg      *config.Config
	rules    *policy.Ruleset // nil: no policy
	index    *policy.Index   // of rules
	ports    map[string]packet.PortID
	open     []openPort
	segments map[string]uint16
	zones    map[string]uint16
	peers    map[string]uint16
	s        *dataplane.Snapshot
	groups   []serviceGroup
	who      *identity.Builder // of s.Identity
	policy   *classify.Linker  // of s.Policy; nil: no policy
	mirrors  map[string]*dataplane.MirrorState
	broken   bool // it makes no snapshot any more
}

// link builds the snapshot of a generation.
func link(cfg *config.Config, r roster, index *policy.Index, ports map[string]packet.PortID, open []openPort, z zones, mirrors map[string]*dataplane.MirrorState, generation uint32) (*linker, error) {
	l := &linker{
		cfg: cfg, rules: index.Rules(), index: index, ports: ports, open: open,
		segments: map[string]uint16{}, zones: z.of, peers: map[string]uint16{}, mirrors: mirrors,
		s: &dataplane.Snapshot{Generation: generation, Rules: index.Rules()},
	}
	l.linkSegments()
	for _, step := range []func() error{
		l.linkPorts,
		l.linkTunnels,
		l.linkRoutes,
		l.linkNAT,
		l.linkMirrors,
		func() error { return l.linkIdentity(r.sorted()) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *linker) linkSegments() {
	for i := range l.cfg.Segments {
		c := &l.cfg.Segments[i]
		l.segments[c.Name] = uint16(i)
		l.s.Names.Segments = append(l.s.Names.Segments, c.Name)
		seg := dataplane.Segment{
			Zone: l.zones[c.VRF], VNI: c.VNI, MTU: uint32(c.MTU),
			Lease: uint32(c.Lease), FloodUnknown: c.FloodUnknown(), FloodBroadcast: c.FloodBroadcast(), Learning: c.Learning, Snooping: c.Snooping,
		}
		if c.Snooping {
			l.s.Snooped = append(l.s.Snooped, uint16(i))
		}
		if len(c.Gateways) > 0 {
			seg.GatewayMAC = c.GatewayMAC
		}
		for _, a := range c.DNS {
			seg.DNS = append(seg.DNS, packet.AddrFrom(a))
		}
		for _, g := range c.Gateways {
			seg.Gateways = append(seg.Gateways, dataplane.Gateway{Addr: packet.AddrFrom(g.Addr()), Bits: uint8(g.Bits())})
		}
		l.s.Segments = append(l.s.Segments, seg)
	}
}

func (l *linker) linkPorts() (err error) {
	l.s.Ports = make([]dataplane.Port, len(l.open))
	l.s.Names.Ports = make([]string, len(l.open))
	for i := range l.cfg.Ports {
		c := &l.cfg.Ports[i]
		id := l.ports[c.Name]
		p := dataplane.Port{Role: dataplane.RoleWorkload, Segment: dataplane.NoSegment, MTU: uint32(c.MTU), NoRoute: c.NoRoute}
		if o := l.open[id].port; o != nil {
			p.MAC = ownMAC(o.Info())
		}
		switch c.Role {
		case config.RoleUplink:
			p.Role = dataplane.RoleUplink
		case config.RoleMirror:
			p.Role = dataplane.RoleMirror
		default:
			for _, name := range c.Segments() {
				seg := &l.s.Segments[l.segments[name]]
				seg.Ports = append(seg.Ports, id)
			}
			if c.Segment != "" {
				p.Segment = l.segments[c.Segment]
			}
		}
		if p.L2, err = l.linkL2(c, p.Segment); err != nil {
			return err
		}
		if p.L2 != nil && p.L2.LoopRetry != 0 {
			l.s.Probed = append(l.s.Probed, id)
		}
		l.s.Ports[id], l.s.Names.Ports[id] = p, c.Name
	}
	return nil
}

// ownMAC is what the switch calls itself on a port. A TAP's own MAC is that of
// the device's other end, which would take our answers for its own: ours is
// made of it, as libvirt does, with another first byte.
func ownMAC(info port.Info) packet.MAC {
	mac := info.MAC
	if info.Driver != "tap" {
		return mac
	}
	if mac[0] == 0xfe {
		mac[0] = 0xfa
	} else {
		mac[0] = 0xfe
	}
	return mac
}

// linkTunnels makes the overlay: our VTEP, the peers, and which peer is in
// which segment.
func (l *linker) linkTunnels() error {
	u := &l.s.Underlay
	u.Port, u.Segment = packet.NoPort, dataplane.UnderlaySegment
	v := l.cfg.VTEP
	if v == nil {
		return nil
	}
	u.Port = l.ports[v.Uplink]
	u.Routed = l.open[u.Port].caps.Routed
	b := vxlan.NewBuilder()
	b.Port(v.UDPPort)
	if v.ZeroSum6 {
		b.ZeroChecksum6()
	}
	for _, a := range v.Addresses {
		i := familyOf(a.Addr())
		u.Addrs[i], u.Bits[i] = packet.AddrFrom(a.Addr()), uint8(a.Bits())
		b.Local(packet.AddrFrom(a.Addr()))
	}
	for _, g := range v.Gateways {
		u.Gateways[familyOf(g)] = packet.AddrFrom(g)
	}
	for i := range l.cfg.Segments {
		if vni := l.cfg.Segments[i].VNI; vni != 0 {
			b.Segment(uint16(i), vni)
		}
	}
	for i := range l.cfg.Peers {
		c := &l.cfg.Peers[i]
		l.peers[c.Name] = uint16(i)
		l.s.Names.Peers = append(l.s.Names.Peers, c.Name)
		var members []uint16
		for _, name := range c.Segments {
			members = append(members, l.segments[name])
		}
		b.Peer(uint16(i), packet.AddrFrom(c.Address), members)
		if c.Groups != nil {
			b.Speaks(uint16(i), l.groupNumbers(c.Groups))
		}
	}
	if len(l.cfg.Groups) > 0 {
		b.Groups()
	}
	var err error
	if l.s.Tunnels, err = b.Build(); err != nil {
		return fmt.Errorf("link the overlay: %w", err)
	}
	return nil
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// linkRoutes makes the route tables: every segment's own prefixes, then what
// the configuration adds.
func (l *linker) linkRoutes() error {
	b := route.NewBuilder()
	for i := range l.cfg.Segments {
		c := &l.cfg.Segments[i]
		for _, g := range c.Gateways {
			b.Connected(l.zones[c.VRF], g.Masked(), uint16(i))
		}
	}
	for _, r := range l.cfg.Routes {
		zone, known := l.zones[r.VRF]
		if !known {
			return fmt.Errorf("link route %s: no segment is in VRF %q", r.Prefix, r.VRF)
		}
		if r.Blackhole {
			b.Blackhole(zone, r.Prefix)
			continue
		}
		b.Static(zone, r.Prefix, r.Via)
	}
	var err error
	if l.s.Routes, err = b.Build(); err != nil {
		return fmt.Errorf("link routes: %w", err)
	}
	return nil
}

// linkNAT makes the address translations; without any there is no table of them.
func (l *linker) linkNAT() error {
	var sources []nat.Source
	for _, c := range l.cfg.SNAT {
		s := nat.Source{Zone: l.zones[c.VRF], From: c.From, To: c.To, Except: c.Except, Least: c.Least, Most: c.Most}
		for _, a := range c.Pool {
			s.Pool = append(s.Pool, packet.AddrFrom(a))
		}
		sources = append(sources, s)
	}
	var published []nat.Destination
	for _, c := range l.cfg.DNAT {
		d := nat.Destination{Zone: l.zones[c.VRF], Proto: packet.ProtoTCP, Outside: natEnd(c.Outside), Inside: natEnd(c.Inside)}
		if c.Protocol == "udp" {
			d.Proto = packet.ProtoUDP
		}
		published = append(published, d)
	}
	if sources == nil && published == nil {
		return nil
	}
	var err error
	if l.s.NAT, err = nat.NewRules(sources, published); err != nil {
		return fmt.Errorf("link address translations: %w", err)
	}
	return nil
}

func natEnd(a netip.AddrPort) nat.End {
	return nat.End{Addr: packet.AddrFrom(a.Addr()), Port: a.Port()}
}
