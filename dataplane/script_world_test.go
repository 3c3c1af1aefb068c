package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
	"bulkhead/dataplane/vxlan"
)

// world is what a script has declared: all that a snapshot is built from. A
// thing's number is its place in the order of declaration, and stays when it
// is declared anew.
type world struct {
	segments  []segment
	ports     []port // ports[0] is none, so that a forgotten number shows
	endpoints []endpoint
	peers     []peer
	groups    []group
	networks  []policy.Set
	routes    []staticRoute
	rules     []rule
	underlay  dataplane.Underlay
	noPolicy  bool
	sources   []nat.Source
	published []nat.Destination
	arrived   []dataplane.Arrival

	mirrors    []mirror
	collectors []packet.Addr
}

type segment struct {
	name string
	dataplane.Segment
}

type port struct {
	name string
	dataplane.Port
	carried []uint16 // the segments of its tags
	closed  bool
}

type endpoint struct {
	name, place, segment string // place is a port or a peer
	mac                  packet.MAC
	addrs                []packet.Addr
	services             []string
	behind               []netip.Prefix
	marks                uint32
}

type peer struct {
	name     string
	addr     packet.Addr
	mac      packet.MAC // on the underlay, for frames that a script sends
	segments []string
	speaks   []uint16 // groups
}

type group struct {
	number   uint16
	services []string
}

type staticRoute struct {
	vrf    uint16
	prefix netip.Prefix
	via    netip.Addr // not valid: a blackhole
}

type rule struct {
	name     string
	verdict  policy.Verdict
	from, to []string
	ports    []policy.Port
	marks    []string // log, audit, stateless, dormant
}

var (
	gatewayMAC = packet.MAC{2, 0xbb, 0, 0, 0, 0xfe}
	uplinkMAC  = packet.MAC{2, 0xaa, 0, 0, 0, 1}
	broadcast  = packet.MAC{255, 255, 255, 255, 255, 255}
)

func newWorld() *world {
	return &world{ports: make([]port, 1), underlay: dataplane.Underlay{Port: packet.NoPort}}
}

// declare takes a line that says what there is; false if it says something
// else.
func (w *world) declare(l *line) bool {
	switch l.words[0] {
	case "segment":
		w.declareSegment(l)
	case "port":
		w.declarePort(l)
	case "endpoint":
		w.declareEndpoint(l)
	case "peer":
		w.declarePeer(l)
	case "group":
		l.word()
		l.opts["number"] = l.word()
		w.groups = append(w.groups, group{uint16(l.number("number", 0)), l.rest()})
	case "mirror":
		w.declareMirror(l)
	case "collector":
		l.word()
		w.collectors = append(w.collectors, packet.AddrFrom(l.addr(l.word())))
	case "underlay":
		w.declareUnderlay(l)
	case "network":
		w.declareNetwork(l)
	case "outside":
		l.word()
		w.networks = append(w.networks, policy.Set{Kind: policy.KindOutside, Name: "outside", Prefixes: policy.Everywhere(), Except: policy.OnTheLink()})
	case "route":
		w.declareRoute(l)
	case "translate":
		w.declareTranslate(l)
	case "publish":
		w.declarePublish(l)
	case "allow", "deny":
		w.declareRule(l)
	default:
		return w.change(l)
	}
	return true
}

// change takes a line that takes back or moves what was declared.
func (w *world) change(l *line) bool {
	switch l.words[0] {
	case "revoke":
		w.rules = without(l, w.rules, func(r rule) string { return r.name })
	case "remove":
		w.endpoints = without(l, w.endpoints, func(e endpoint) string { return e.name })
	case "move":
		l.word()
		e := w.endpoint(l, l.word())
		e.place = l.word()
	case "close":
		l.word()
		w.port(l, l.word()).closed = true
	case "arrived": // ADDRESS DURATION, since the script's beginning
		l.word()
		a, _ := l.socket(l.word())
		w.arrived = append(w.arrived, dataplane.Arrival{Zone: 1, Addr: a, Until: scriptStart + int64(l.duration(l.word()))})
	case "policy":
		l.word()
		l.expect("none")
		w.noPolicy = true
	case "translate-none":
		l.word()
		w.sources, w.published = nil, nil
	default:
		return false
	}
	return true
}

// without takes the element that the line names out of a list.
func without[T any](l *line, list []T, name func(T) string) []T {
	l.word()
	gone := l.word()
	left := slices.DeleteFunc(slices.Clone(list), func(e T) bool { return name(e) == gone })
	if len(left) == len(list) {
		l.fail("there is no %q", gone)
	}
	return left
}

func (w *world) declareSegment(l *line) {
	l.word()
	s := segment{name: l.word()}
	s.Zone = uint16(l.number("vrf", 1))
	s.MTU, s.VNI = uint32(l.number("mtu", 1500)), uint32(l.number("vni", 0))
	s.Snooping = l.flag("snooping")
	s.Learning, s.FloodUnknown, s.FloodBroadcast = l.flag("learning"), l.flag("flood-unknown"), l.flag("flood-broadcast")
	for _, a := range l.list("dns") {
		s.DNS = append(s.DNS, packet.AddrFrom(l.addr(a)))
	}
	s.Lease = uint32(l.number("lease", 0))
	for _, g := range l.rest() {
		p := l.prefix(g)
		s.Gateways = append(s.Gateways, dataplane.Gateway{Addr: packet.AddrFrom(p.Addr()), Bits: uint8(p.Bits())})
		s.GatewayMAC = gatewayMAC
	}
	w.segments = replace(w.segments, s, func(x segment) bool { return x.name == s.name })
}

// replace puts an element in the place of its namesake, or at the end.
func replace[T any](list []T, e T, same func(T) bool) []T {
	if i := slices.IndexFunc(list, same); i >= 0 {
		list[i] = e
		return list
	}
	return append(list, e)
}

func (w *world) declarePort(l *line) {
	l.word()
	p := port{name: l.word()}
	p.MTU = uint32(l.number("mtu", 1500))
	switch where := l.word(); where {
	case "uplink":
		p.Role, p.Segment, p.MAC = dataplane.RoleUplink, dataplane.NoSegment, uplinkMAC
	case "mirror":
		p.Role, p.Segment = dataplane.RoleMirror, dataplane.NoSegment
	case "trunk":
		p.Role, p.Segment = dataplane.RoleWorkload, dataplane.NoSegment
	default:
		p.Role, p.Segment = dataplane.RoleWorkload, w.segment(l, where)
	}
	if p.L2, p.carried = w.l2(l, p.Segment); p.Role == dataplane.RoleMirror {
		p.L2 = new(dataplane.L2)
	}
	w.ports = replace(w.ports, p, func(x port) bool { return x.name == p.name })
}

func (w *world) declareEndpoint(l *line) {
	l.word()
	n := byte(len(w.endpoints) + 1)
	e := endpoint{name: l.word(), place: l.word(), mac: packet.MAC{2, 0, 0, 0, 0, n}}
	e.segment = l.opt("segment") // behind a peer, or on a trunk
	if m := l.opt("mac"); m != "" {
		e.mac = l.mac(m)
	}
	if e.services = l.list("service"); e.services == nil {
		e.services = []string{e.name}
	}
	e.marks = uint32(l.number("marks", 0))
	for _, p := range l.list("behind") {
		e.behind = append(e.behind, l.prefix(p))
	}
	for _, a := range l.rest() {
		e.addrs = append(e.addrs, packet.AddrFrom(l.addr(a)))
	}
	w.endpoints = replace(w.endpoints, e, func(x endpoint) bool { return x.name == e.name })
}

func (w *world) declarePeer(l *line) {
	l.word()
	p := peer{name: l.word(), mac: packet.MAC{2, 0xcc, 0, 0, 0, byte(len(w.peers) + 1)}}
	p.addr = packet.AddrFrom(l.addr(l.word()))
	for _, g := range l.list("speaks") {
		l.opts["number"] = g
		p.speaks = append(p.speaks, uint16(l.number("number", 0)))
	}
	p.segments = l.rest()
	w.peers = replace(w.peers, p, func(x peer) bool { return x.name == p.name })
}

func (w *world) declareUnderlay(l *line) {
	l.word()
	w.underlay = dataplane.Underlay{Port: w.portID(l, l.word()), Segment: dataplane.UnderlaySegment}
	w.underlay.Routed = l.flag("routed")
	for _, a := range l.rest() {
		p := l.prefix(a)
		i := family(p.Addr())
		w.underlay.Addrs[i], w.underlay.Bits[i] = packet.AddrFrom(p.Addr()), uint8(p.Bits())
	}
	for _, g := range l.list("gateway") {
		a := l.addr(g)
		w.underlay.Gateways[family(a)] = packet.AddrFrom(a)
	}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func (w *world) declareNetwork(l *line) {
	l.word()
	s := policy.Set{Kind: policy.KindNetwork, Name: l.word()}
	for _, p := range l.rest() {
		s.Prefixes = append(s.Prefixes, l.prefix(p).Masked())
	}
	w.networks = append(w.networks, s)
}

func (w *world) declareRoute(l *line) {
	l.word()
	r := staticRoute{vrf: uint16(l.number("vrf", 1)), prefix: l.prefix(l.word())}
	if how := l.word(); how == "via" {
		r.via = l.addr(l.word())
	} else if how != "blackhole" {
		l.fail("a route leads via an address or is a blackhole, not %q", how)
	}
	w.routes = append(w.routes, r)
}

// declareTranslate reads "translate PREFIX to ADDR,.. ports=N-M for=PREFIX,..
// except=PREFIX,..".
func (w *world) declareTranslate(l *line) {
	l.word()
	s := nat.Source{Zone: uint16(l.number("vrf", 1)), Least: 1024, Most: 65535}
	s.From = l.prefix(l.word())
	if p := l.opt("ports"); p != "" {
		fmt.Sscanf(p, "%d-%d", &s.Least, &s.Most)
	}
	for _, p := range l.list("for") {
		s.To = append(s.To, l.prefix(p))
	}
	for _, p := range l.list("except") {
		s.Except = append(s.Except, l.prefix(p))
	}
	l.expect("to")
	for _, a := range strings.Split(l.word(), ",") {
		s.Pool = append(s.Pool, packet.AddrFrom(l.addr(a)))
	}
	w.sources = append(w.sources, s)
}

// declarePublish reads "publish tcp|udp ADDR:PORT at ADDR:PORT".
func (w *world) declarePublish(l *line) {
	l.word()
	d := nat.Destination{Zone: uint16(l.number("vrf", 1)), Proto: packet.ProtoTCP}
	if l.word() == "udp" {
		d.Proto = packet.ProtoUDP
	}
	d.Outside = natEnd(l)
	l.expect("at")
	d.Inside = natEnd(l)
	w.published = append(w.published, d)
}

func natEnd(l *line) nat.End {
	at, err := netip.ParseAddrPort(l.word())
	if err != nil {
		l.fail("%v", err)
	}
	return nat.End{Addr: packet.AddrFrom(at.Addr()), Port: at.Port()}
}

// declareRule reads "allow NAME: FROM[,FROM] -> TO[,TO] PORT ... +MARK ...".
func (w *world) declareRule(l *line) {
	r := rule{verdict: policy.Deny}
	if l.word() == "allow" {
		r.verdict = policy.Allow
	}
	r.name = strings.TrimSuffix(l.word(), ":")
	r.from = strings.Split(l.word(), ",")
	l.expect("->")
	r.to = strings.Split(l.word(), ",")
	for _, p := range l.rest() {
		if mark, is := strings.CutPrefix(p, "+"); is {
			r.marks = append(r.marks, mark)
			continue
		}
		r.ports = append(r.ports, l.ports(p))
	}
	w.rules = replace(w.rules, r, func(x rule) bool { return x.name == r.name })
}

func (w *world) segment(l *line, name string) uint16 {
	i := slices.IndexFunc(w.segments, func(s segment) bool { return s.name == name })
	if i < 0 {
		l.fail("there is no segment %q", name)
		return dataplane.NoSegment
	}
	return uint16(i)
}

func (w *world) portID(l *line, name string) packet.PortID {
	i := slices.IndexFunc(w.ports, func(p port) bool { return p.name == name })
	if i < 1 {
		l.fail("there is no port %q", name)
		return packet.NoPort
	}
	return packet.PortID(i)
}

// port returns a port, one that is thrown away if there is none.
func (w *world) port(l *line, name string) *port {
	if id := w.portID(l, name); id != packet.NoPort {
		return &w.ports[id]
	}
	return new(port)
}

func (w *world) portName(id packet.PortID) string {
	if int(id) < len(w.ports) {
		return w.ports[id].name
	}
	return fmt.Sprintf("port-%d", id)
}

func (w *world) endpoint(l *line, name string) *endpoint {
	i := slices.IndexFunc(w.endpoints, func(e endpoint) bool { return e.name == name })
	if i < 0 {
		l.fail("there is no endpoint %q", name)
		return new(endpoint)
	}
	return &w.endpoints[i]
}

// snapshot builds what was declared.
func (w *world) snapshot(generation uint32) (*dataplane.Snapshot, error) {
	s := &dataplane.Snapshot{Generation: generation, Underlay: w.underlay, Arrivals: dataplane.NewArrivals(w.arrived)}
	for i, g := range w.segments {
		s.Segments = append(s.Segments, g.Segment)
		if g.Snooping {
			s.Snooped = append(s.Snooped, uint16(i))
		}
	}
	for i, p := range w.ports {
		if p.closed || p.name == "" {
			s.Ports = append(s.Ports, dataplane.Port{})
			continue
		}
		s.Ports = append(s.Ports, p.Port)
		if p.Role == dataplane.RoleWorkload {
			if p.L2 != nil && p.L2.LoopRetry != 0 {
				s.Probed = append(s.Probed, packet.PortID(i))
			}
			for _, n := range p.segments() {
				g := &s.Segments[n]
				g.Ports = append(slices.Clone(g.Ports), packet.PortID(i))
			}
		}
	}
	rs := w.ruleset()
	var err error
	if w.sources != nil || w.published != nil {
		if s.NAT, err = nat.NewRules(w.sources, w.published); err != nil {
			return nil, err
		}
	}
	if s.Identity, err = w.identities(rs); err != nil {
		return nil, err
	}
	if s.Routes, err = w.routeTable(); err != nil {
		return nil, err
	}
	if s.Tunnels, err = w.tunnels(); err != nil || w.noPolicy {
		return s, err
	}
	s.Rules = rs
	if err := w.linkMirrors(s); err != nil {
		return nil, err
	}
	s.Policy, err = classify.Link(rs, s.Identity.AllSets())
	return s, err
}

// ruleset makes the policy: any, every service that an endpoint has, every
// network.
func (w *world) ruleset() *policy.Ruleset {
	rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}
	var services []string
	for _, e := range w.endpoints {
		services = append(services, e.services...)
	}
	for _, g := range w.groups {
		services = append(services, g.services...)
	}
	slices.Sort(services)
	for _, name := range slices.Compact(services) {
		selector := policy.Selector{{{Key: name, Op: policy.OpExists}}}
		rs.Sets = append(rs.Sets, policy.Set{Kind: policy.KindService, Name: name, Selector: selector})
	}
	rs.Sets = append(rs.Sets, w.networks...)
	for i, r := range w.rules {
		rs.Rules = append(rs.Rules, policy.Rule{
			Name: r.name, Verdict: r.verdict, From: setsNamed(rs, r.from), To: setsNamed(rs, r.to), Ports: r.ports,
			File: "policy.toml", Line: uint32(i + 1),
			Log: slices.Contains(r.marks, "log"), Audit: slices.Contains(r.marks, "audit"),
			Stateless: slices.Contains(r.marks, "stateless"),
		})
		if slices.Contains(r.marks, "dormant") {
			rs.Rules[i].Valid, rs.Rules[i].Dormant = policy.Period{Until: 1}, true
		}
	}
	return rs
}

// setsNamed finds sets by name. A service that no endpoint has any more is
// none, and a rule for none matches nothing.
func setsNamed(rs *policy.Ruleset, names []string) []policy.SetID {
	var ids []policy.SetID
	for i, s := range rs.Sets {
		if slices.Contains(names, s.Name) {
			ids = append(ids, policy.SetID(i))
		}
	}
	return ids
}

func (w *world) identities(rs *policy.Ruleset) (*identity.Table, error) {
	b := identity.NewBuilder()
	for _, a := range rs.Atoms() {
		b.Outside(a.Prefix, numbers(a.Sets))
	}
	for _, g := range w.groups {
		b.Group(g.number, numbers(rs.ServicesOf(labelsOf(g.services))))
	}
	for _, e := range w.endpoints {
		var addrs []identity.Address
		for _, a := range e.addrs {
			sets := append(rs.ServicesOf(labelsOf(e.services)), rs.NetworksOf(a.Netip())[1:]...)
			addrs = append(addrs, identity.Address{Addr: a, Sets: numbers(sets)})
		}
		at, err := w.place(e)
		if err != nil {
			return nil, err
		}
		for _, g := range w.groups {
			if slices.Equal(slices.Sorted(slices.Values(g.services)), slices.Sorted(slices.Values(e.services))) {
				at.Group = g.number
			}
		}
		b.Endpoint(at, addrs, e.behind)
	}
	return b.Build()
}

func labelsOf(services []string) map[string]string {
	labels := map[string]string{}
	for _, s := range services {
		labels[s] = ""
	}
	return labels
}

func numbers(sets []policy.SetID) []uint32 {
	out := make([]uint32, len(sets))
	for i, s := range sets {
		out[i] = uint32(s)
	}
	return out
}

// place finds where an endpoint is: on a port, whose segment is its own, or
// behind a peer, in the segment that its line names.
func (w *world) place(e endpoint) (identity.Endpoint, error) {
	at := identity.Endpoint{Name: e.name, Marks: e.marks, MAC: e.mac, Port: packet.NoPort, Peer: identity.NoPeer}
	l := new(line)
	if i := slices.IndexFunc(w.peers, func(p peer) bool { return p.name == e.place }); i >= 0 {
		at.Peer, at.Segment = uint16(i), w.segment(l, e.segment)
	} else {
		at.Port = w.portID(l, e.place)
		if at.Segment = w.port(l, e.place).Segment; e.segment != "" {
			at.Segment = w.segment(l, e.segment)
		}
	}
	if l.err == nil {
		at.Zone = w.segments[at.Segment].Zone
	}
	return at, l.err
}

func (w *world) routeTable() (*route.Table, error) {
	b := route.NewBuilder()
	for i, s := range w.segments {
		for _, g := range s.Gateways {
			p, _ := g.Addr.Netip().Prefix(int(g.Bits))
			b.Connected(s.Zone, p, uint16(i))
		}
	}
	for _, r := range w.routes {
		if r.via.IsValid() {
			b.Static(r.vrf, r.prefix, r.via)
		} else {
			b.Blackhole(r.vrf, r.prefix)
		}
	}
	return b.Build()
}

// tunnels makes the overlay, if there is an underlay.
func (w *world) tunnels() (*vxlan.Table, error) {
	if w.underlay.Port == packet.NoPort {
		return nil, nil
	}
	b := vxlan.NewBuilder()
	for _, a := range w.underlay.Addrs {
		if a != (packet.Addr{}) {
			b.Local(a)
		}
	}
	for i, s := range w.segments {
		if s.VNI != 0 {
			b.Segment(uint16(i), s.VNI)
		}
	}
	if w.groups != nil {
		b.Groups()
	}
	l := new(line)
	for i, p := range w.peers {
		var members []uint16
		for _, name := range p.segments {
			members = append(members, w.segment(l, name))
		}
		b.Peer(uint16(i), p.addr, members)
		if p.speaks != nil {
			b.Speaks(uint16(i), p.speaks)
		}
	}
	if l.err != nil {
		return nil, l.err
	}
	return b.Build()
}
