package evpn

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"bulkhead/vswitch/control/api"
)

// Source is the speaker's name to the switch.
const Source = "evpn"

// maxAddresses bounds the addresses of an endpoint, and maxAlarms the alarms.
const (
	maxAddresses = 16
	maxAlarms    = 32
)

// Heard is a route of a neighbour.
type Heard struct {
	Route
	From  netip.Addr // the neighbour
	Stale bool       // it is lost, and the route is kept
}

// World makes of what neighbours say what the switch is to have, and of what the switch
// has what neighbours are to hear. It remembers moves and nothing else. One goroutine
// has it.
type World struct {
	cfg  *Config
	past map[at]*past // of MACs of others; bounded by the routes there are
	ours map[at]*ours // of MACs of this host

	labels map[uint32]*Labels // by community
}

// NewWorld makes a world without a past.
func NewWorld(cfg *Config) *World {
	w := &World{cfg: cfg, past: map[at]*past{}, ours: map[at]*ours{}, labels: map[uint32]*Labels{}}
	for i := range cfg.Labels {
		w.labels[cfg.Labels[i].Community] = &cfg.Labels[i]
	}
	return w
}

// Result is what is to be.
type Result struct {
	Peers     []api.StatePeer
	Endpoints []api.StateEndpoint
	Adverts   []Route
	Alarms    []string
	Skipped   int // routes that are for none of our segments
}

// Step works out what is to be. Settled: every neighbour has said all it has, or has
// been away for so long that it does not count; until then what was stated stays.
func (w *World) Step(now time.Time, heard []Heard, state *api.State, settled bool) Result {
	s := w.survey(state)
	s.read(heard)
	macs := s.macs()
	for _, mac := range macs {
		s.place(now, mac)
	}
	if !settled {
		s.keep(state)
	}
	out := Result{Peers: s.peerList(), Endpoints: s.endpoints, Skipped: s.skipped}
	out.Adverts = s.adverts(now)
	out.Alarms = s.alarmList()
	w.forget(now)
	return out
}

// survey is one step.
type survey struct {
	w        *World
	segments map[uint32]*segment // by VNI
	peers    map[netip.Addr]*Peer
	us       []netip.Addr // our VTEP's addresses

	bound  map[at]*api.StateEndpoint // whom a MAC is of that is not ours to state
	taken  map[string]string         // VRF and address: whose it is
	moved  map[at]*api.StateEndpoint // this host's by name, and elsewhere by its operator's word
	before map[string]*api.StateEndpoint

	claims    map[at][]claim
	member    map[string]map[string]bool // peer, segment: it is in it
	count     map[uint32]int             // endpoints by VNI
	endpoints []api.StateEndpoint
	alarms    map[string]int // how often
	skipped   int
}

// segment is a segment that is shared, as the switch has it.
type segment struct {
	cfg      *Segment
	state    *api.StateSegment
	vrf      string
	prefixes []netip.Prefix // of its gateways
	gateway  MAC
}

// survey takes in what the switch has.
func (w *World) survey(state *api.State) *survey {
	s := &survey{
		w: w, segments: map[uint32]*segment{}, peers: map[netip.Addr]*Peer{}, bound: map[at]*api.StateEndpoint{}, taken: map[string]string{},
		moved: map[at]*api.StateEndpoint{}, before: map[string]*api.StateEndpoint{}, claims: map[at][]claim{}, member: map[string]map[string]bool{},
		count: map[uint32]int{}, endpoints: []api.StateEndpoint{}, alarms: map[string]int{},
	}
	for i := range w.cfg.Peers {
		s.peers[w.cfg.Peers[i].Address] = &w.cfg.Peers[i]
	}
	for _, text := range state.VTEP {
		if p, err := netip.ParsePrefix(text); err == nil {
			s.us = append(s.us, p.Addr())
		}
	}
	vnis, vrfs := s.overlay(state)
	for i := range state.Local {
		e := &state.Local[i]
		switch {
		case e.Port == "":
			s.away(e, vnis[e.Segment], vrfs[e.Segment])
		default:
			s.own(e, vnis[e.Segment], vrfs[e.Segment])
		}
	}
	for i := range state.Stated {
		e := &state.Stated[i]
		if e.Source == Source {
			s.before[e.Name] = e
			continue
		}
		s.own(e, vnis[e.Segment], vrfs[e.Segment])
	}
	return s
}

// own notes an endpoint that is not ours to state: its MAC and addresses are taken.
func (s *survey) own(e *api.StateEndpoint, vni uint32, vrf string) {
	m, err := parseMAC(e.MAC)
	if err != nil {
		return
	}
	s.bound[at{vni, m}] = e
	s.take(e, vrf)
}

// away notes an endpoint that its operator has moved away: who has its MAC may be it,
// and nobody else has its addresses, whether somebody says it now or not.
func (s *survey) away(e *api.StateEndpoint, vni uint32, vrf string) {
	m, err := parseMAC(e.MAC)
	if err != nil {
		return
	}
	s.moved[at{vni, m}] = e
	s.take(e, vrf)
}

// take notes whose addresses an endpoint's are.
func (s *survey) take(e *api.StateEndpoint, vrf string) {
	for _, text := range e.IPs {
		if a, err := netip.ParseAddr(text); err == nil {
			s.taken[vrf+" "+a.String()] = e.Name
		}
	}
}

// other tells whose an address is, if it is not the MAC's own by its operator's word.
func (s *survey) other(mac at, vrf, address string) (who string, is bool) {
	who, is = s.taken[vrf+" "+address]
	if e := s.moved[mac]; e != nil && who == e.Name {
		return "", false
	}
	return who, is
}

// overlay finds our segments among those of the switch, and returns the VNI and the
// VRF of every one.
func (s *survey) overlay(state *api.State) (vnis map[string]uint32, vrfs map[string]string) {
	vnis, vrfs = map[string]uint32{}, map[string]string{}
	found := map[string]bool{}
	for i := range state.Segments {
		t := &state.Segments[i]
		vnis[t.Name], vrfs[t.Name] = t.VNI, cmp.Or(t.VRF, "default")
		for _, g := range t.Gateways {
			if p, err := netip.ParsePrefix(g); err == nil {
				s.taken[vrfs[t.Name]+" "+p.Addr().String()] = "the gateway of " + t.Name
			}
		}
		n := slices.IndexFunc(s.w.cfg.Segments, func(c Segment) bool { return c.Name == t.Name })
		if n < 0 || t.VNI == 0 {
			continue
		}
		found[t.Name] = true
		g := &segment{cfg: &s.w.cfg.Segments[n], state: t, vrf: vrfs[t.Name]}
		g.gateway, _ = parseMAC(t.GatewayMAC)
		for _, text := range t.Gateways {
			if p, err := netip.ParsePrefix(text); err == nil {
				g.prefixes = append(g.prefixes, p.Masked())
			}
		}
		s.segments[t.VNI] = g
	}
	for i := range s.w.cfg.Segments {
		if name := s.w.cfg.Segments[i].Name; !found[name] {
			s.alarm("the switch has no segment %q with a vni: nothing is said or believed of it", name)
		}
	}
	return vnis, vrfs
}

// alarm notes something, once or more often.
func (s *survey) alarm(format string, args ...any) { s.alarms[fmt.Sprintf(format, args...)]++ }

// wanted tells whether a route is for a segment, by its targets.
func (g *segment) wanted(targets []Target) bool {
	return slices.ContainsFunc(targets, func(t Target) bool {
		if len(g.cfg.Targets) == 0 {
			return t.isDerived(g.state.VNI)
		}
		return slices.Contains(g.cfg.Targets, t)
	})
}

// read takes in routes, as far as each may be believed by itself.
func (s *survey) read(heard []Heard) {
	for i := range heard {
		h := &heard[i]
		g := s.segments[h.VNI]
		if h.Kind == Prefix || g == nil || !g.wanted(h.Targets) {
			s.skipped++
			continue
		}
		if slices.Contains(s.us, h.VTEP) {
			continue // our own, come back
		}
		p := s.peers[h.VTEP]
		if p == nil {
			s.alarm("neighbour %s speaks of VTEP %s, which is none of [[peers]]", h.From, h.VTEP)
			continue
		}
		if !slices.Contains(p.Segments, g.cfg.Name) {
			s.alarm("peer %q may not speak of segment %q", p.Name, g.cfg.Name)
			continue
		}
		if s.member[p.Name] == nil {
			s.member[p.Name] = map[string]bool{}
		}
		s.member[p.Name][g.cfg.Name] = true
		if h.Kind == MACIP {
			s.claim(g, h)
		}
	}
}

// claim adds a route to what its VTEP claims of the MAC.
func (s *survey) claim(g *segment, h *Heard) {
	if !h.MAC.unicast() || h.MAC == g.gateway {
		s.alarm("peer %q states %s in segment %q: a workload cannot have it", s.peers[h.VTEP].Name, h.MAC, g.cfg.Name)
		return
	}
	mac := at{h.VNI, h.MAC}
	list := s.claims[mac]
	i := slices.IndexFunc(list, func(c claim) bool { return c.vtep == h.VTEP })
	if i < 0 {
		list = append(list, claim{vtep: h.VTEP, sequence: h.Sequence, stale: true})
		i = len(list) - 1
	}
	c := &list[i]
	c.sequence, c.sticky, c.stale = max(c.sequence, h.Sequence), c.sticky || h.Sticky, c.stale && h.Stale
	if h.IP.IsValid() {
		c.ips = append(c.ips, h.IP)
	}
	for _, community := range h.Communities {
		if s.w.labels[community] != nil {
			c.communities = append(c.communities, community)
		}
	}
	s.claims[mac] = list
}

// keep adds what is stated and nobody has said yet, as far as it contradicts nothing.
func (s *survey) keep(state *api.State) {
	named := map[string]bool{}
	for i := range s.endpoints {
		named[s.endpoints[i].Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(s.before)) {
		e := s.before[name]
		i := slices.IndexFunc(s.w.cfg.Peers, func(p Peer) bool { return p.Name == e.Peer && slices.Contains(p.Segments, e.Segment) })
		if named[name] || i < 0 || !s.free(e) {
			continue
		}
		kept := *e
		kept.Source, kept.Port = "", ""
		s.endpoints = append(s.endpoints, kept)
	}
	for i := range state.Peers {
		p := &state.Peers[i]
		known := slices.IndexFunc(s.w.cfg.Peers, func(c Peer) bool { return c.Name == p.Name && c.Address.String() == p.Address })
		if p.Source != Source || known < 0 {
			continue
		}
		for _, segment := range p.Segments {
			if slices.Contains(s.w.cfg.Peers[known].Segments, segment) {
				if s.member[p.Name] == nil {
					s.member[p.Name] = map[string]bool{}
				}
				s.member[p.Name][segment] = true
			}
		}
	}
}

// free tells whether an endpoint of before has nothing that is another's now.
func (s *survey) free(e *api.StateEndpoint) bool {
	for _, g := range s.segments {
		if g.cfg.Name != e.Segment {
			continue
		}
		m, err := parseMAC(e.MAC)
		mac := at{g.state.VNI, m}
		if err != nil || s.bound[mac] != nil {
			return false
		}
		if local := s.moved[mac]; local != nil && (local.Name != e.Name || elsewhere(local, e.Peer)) {
			return false
		}
		return !slices.ContainsFunc(e.IPs, func(a string) bool { _, is := s.other(mac, g.vrf, a); return is })
	}
	return false
}

// peerList is the peers that are in a segment of ours.
func (s *survey) peerList() []api.StatePeer {
	list := []api.StatePeer{}
	for i := range s.w.cfg.Peers {
		p := &s.w.cfg.Peers[i]
		if segments := slices.Sorted(maps.Keys(s.member[p.Name])); len(segments) > 0 {
			list = append(list, api.StatePeer{Name: p.Name, Address: p.Address.String(), Segments: segments})
		}
	}
	return list
}

// alarmList is the alarms, with how often each is meant.
func (s *survey) alarmList() (list []string) {
	for _, text := range slices.Sorted(maps.Keys(s.alarms)) {
		if n := s.alarms[text]; n > 1 {
			text = fmt.Sprintf("%s (%d routes)", text, n)
		}
		list = append(list, text)
	}
	if n := len(list); n > maxAlarms {
		list = append(list[:maxAlarms-1], fmt.Sprintf("and %d more", n-maxAlarms+1))
	}
	return list
}
