package world

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/control/api"
)

// Memory is what a host remembers from one step to the next, and over a restart.
type Memory struct {
	Owners map[string]Owner    // by endpoint
	Lost   map[string]LostHost // by host
	// Believed are the hosts that were believed at the last step, and their VTEPs.
	Believed map[string][]string
	// Stated are the endpoints that were somewhere after the last step: their MACs and
	// addresses are theirs.
	Stated map[string]bool
	// Mine are the endpoints that were on ports of this host, and on which.
	Mine map[string]string
	// Epochs are those that this host has stated of endpoints of its own.
	Epochs map[string]uint64
}

// LostHost is a host whose record has gone.
type LostHost struct {
	Since  int64 // seconds since 1970
	Host   HostRecord
	Claims []Claim
}

// Local is what this host's switch has of its own.
type Local struct {
	VTEPs    []netip.Addr
	Segments []api.StateSegment  // of its configuration
	Here     []api.StateEndpoint // of configuration and API; Port empty: moved away
}

// World goes from step to step. One goroutine has it.
type World struct {
	Me    string        // this host's name
	Grace time.Duration // for which a lost host's endpoints are kept
	// Unfit are segments that the switch has refused: nothing is said of them.
	Unfit map[string]bool

	Memory Memory
	last   *Records
}

// Result is what a host is to do.
type Result struct {
	Segments  []api.StateSegment
	Peers     []api.StatePeer
	Endpoints []api.StateEndpoint
	Arrived   []string          // endpoints that have come here from another host
	Own       map[string][]byte // the keys that this host is to have, and no others
	Policy    *schema.Policy
	Alarms    []string
}

// bounds of what is remembered.
const (
	maxOwners = 1 << 18
	forgetIn  = 24 * 3600 // seconds without a claim
	vtepKept  = 600       // seconds
)

// Start prepares a world for its first step: before is what the store said when
// this host last looked, nil if it never did.
func (w *World) Start(before *Records) {
	w.last = before
	made(&w.Memory.Owners)
	made(&w.Memory.Lost)
	made(&w.Memory.Stated)
	made(&w.Memory.Believed)
	made(&w.Memory.Mine)
	made(&w.Memory.Epochs)
	made(&w.Unfit)
}

func made[V any](m *map[string]V) {
	if *m == nil {
		*m = map[string]V{}
	}
}

// step is one step under way.
type step struct {
	*World
	now    int64
	r      *Records
	local  *Local
	out    *Result
	hosts  map[string]HostRecord // alive and lost, those that are believed
	claims map[string][]Claim    // of these, those that are granted
	wasMe  map[string]bool       // endpoints whose owner we were before
}

// Step works out what is to be done by what the store says now.
func (w *World) Step(now time.Time, r *Records, local Local) Result {
	s := &step{World: w, now: now.Unix(), r: r, local: &local, out: &Result{Own: map[string][]byte{}, Policy: r.Policy}}
	s.alarms(r.Refused...)
	s.loseHosts()
	s.gatherHosts()
	s.gatherClaims()
	s.segments()
	s.peers()
	s.owners()
	s.own()
	w.last = r
	slices.Sort(s.out.Alarms)
	s.out.Alarms = slices.Compact(s.out.Alarms)
	return *s.out
}

func (s *step) alarms(list ...string) { s.out.Alarms = append(s.out.Alarms, list...) }

func (s *step) alarm(format string, args ...any) { s.alarms(fmt.Sprintf(format, args...)) }

// loseHosts notes the hosts that have gone since the last step, with what they had
// claimed; forgets those that are back, and those whose grace is over.
func (s *step) loseHosts() {
	m := &s.Memory
	if s.last != nil {
		for name, h := range s.last.Hosts {
			if _, here := s.r.Hosts[name]; here || name == s.Me {
				continue
			}
			lost := LostHost{Since: s.now, Host: h}
			for _, list := range s.last.Claims {
				if c := of(list, name); c != nil {
					lost.Claims = append(lost.Claims, *c)
				}
			}
			m.Lost[name] = lost
		}
	}
	for name, l := range m.Lost {
		if _, back := s.r.Hosts[name]; back || s.now-l.Since >= int64(s.Grace/time.Second) {
			delete(m.Lost, name)
			continue
		}
		s.alarm("host %s is lost: its lease ran out at %s; what it had stays for %s unless another host claims it", name, time.Unix(l.Since, 0).UTC().Format("15:04:05"), s.Grace)
	}
}

// gatherHosts believes the hosts whose VTEPs are nobody else's: those that were
// there before come first, then in the order in which they came. One that is lost
// keeps its VTEP against others for vtepKept; then another machine may have it.
func (s *step) gatherHosts() {
	all := maps.Clone(s.r.Hosts)
	for name, l := range s.Memory.Lost {
		all[name] = l.Host
	}
	taken := map[string]string{}
	for _, a := range s.local.VTEPs {
		taken[a.String()] = s.Me
	}
	list := slices.SortedFunc(maps.Values(all), func(a, b HostRecord) int {
		return cmp.Or(compareBool(s.longLost(a.Name), s.longLost(b.Name)), compareBool(!s.before(a), !s.before(b)), cmp.Compare(a.Create, b.Create), cmp.Compare(a.Name, b.Name))
	})
	s.hosts = map[string]HostRecord{}
	for _, h := range list {
		if h.Name == s.Me {
			s.hosts[h.Name] = h
			continue
		}
		if why := s.refuseHost(&h, taken); why != "" {
			s.alarm("host %s is not believed: %s", h.Name, why)
			continue
		}
		for _, v := range h.VTEPs {
			taken[v] = h.Name
		}
		s.hosts[h.Name] = h
	}
	s.Memory.Believed = map[string][]string{}
	for name, h := range s.hosts {
		s.Memory.Believed[name] = h.VTEPs
	}
}

// longLost tells whether a host has been lost for longer than its VTEP is kept.
func (s *step) longLost(name string) bool {
	l, lost := s.Memory.Lost[name]
	return lost && s.now-l.Since > vtepKept
}

// before tells whether a host was believed at the last step, with the same VTEPs.
func (s *step) before(h HostRecord) bool {
	old, there := s.Memory.Believed[h.Name]
	return there && slices.Equal(old, h.VTEPs)
}

func (s *step) refuseHost(h *HostRecord, taken map[string]string) string {
	for _, v := range h.VTEPs {
		if who, is := taken[v]; is {
			return fmt.Sprintf("its VTEP %s is that of host %s", v, who)
		}
	}
	g, has := s.r.Grants[h.Name]
	if !has {
		if s.r.Cluster != nil && s.r.Cluster.GrantsRequired {
			return "it has no grant, and this cluster asks for one: vswitch-agent grant"
		}
		return ""
	}
	for _, v := range h.VTEPs {
		if len(g.VTEPs) > 0 && !slices.Contains(g.VTEPs, v) {
			return fmt.Sprintf("it is not granted the VTEP %s", v)
		}
	}
	return ""
}

// gatherClaims gathers what believed hosts claim within their grants.
func (s *step) gatherClaims() {
	s.claims = map[string][]Claim{}
	add := func(c Claim) {
		if _, believed := s.hosts[c.Host]; !believed {
			return
		}
		if g, has := s.r.Grants[c.Host]; has && c.CededTo == "" {
			if why := refuseClaim(&c, &g); why != "" {
				s.alarm("endpoint %s of host %s is refused: %s", c.Name, c.Host, why)
				return
			}
		}
		s.claims[c.Name] = append(s.claims[c.Name], c)
	}
	for _, list := range s.r.Claims {
		for _, c := range list {
			add(c)
		}
	}
	for _, l := range s.Memory.Lost {
		for _, c := range l.Claims {
			c.Lost = true
			add(c)
		}
	}
	for _, list := range s.claims {
		slices.SortFunc(list, func(a, b Claim) int { return cmp.Compare(a.Host, b.Host) })
	}
}

// refuseClaim says in what a claim exceeds its host's grant.
func refuseClaim(c *Claim, g *schema.Grant) string {
	if !slices.Contains(g.Segments, c.Segment) {
		return fmt.Sprintf("segment %q is not granted", c.Segment)
	}
	for _, text := range c.IPs {
		a, err := netip.ParseAddr(text)
		if err != nil || !slices.ContainsFunc(g.Prefixes, func(p string) bool {
			pre, err := netip.ParsePrefix(p)
			return err == nil && pre.Contains(a)
		}) {
			return fmt.Sprintf("address %s is not granted", text)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		if !slices.Contains(g.Labels, k+"="+c.Labels[k]) && !slices.Contains(g.Labels, k+"=*") {
			return fmt.Sprintf("label %s=%s is not granted", k, c.Labels[k])
		}
	}
	return ""
}

// segments are those of the store that are no others here.
func (s *step) segments() {
	vnis := map[uint32]string{}
	for i := range s.local.Segments {
		vnis[s.local.Segments[i].VNI] = s.local.Segments[i].Name
	}
	for i := range s.r.Segments {
		seg := &s.r.Segments[i]
		a := api.StateSegment{Name: seg.Name, VNI: seg.VNI, VRF: seg.VRF, Gateways: seg.Gateways, GatewayMAC: seg.GatewayMAC}
		if why := s.otherHere(&a); why != "" {
			s.alarm("segment %s is refused: %s", seg.Name, why)
			continue
		}
		if who := vnis[seg.VNI]; who != "" && who != seg.Name {
			s.alarm("segment %s is refused: its VNI %d is that of segment %s", seg.Name, seg.VNI, who)
			continue
		}
		if s.Unfit[seg.Name] {
			continue // the alarm is that of who found it unfit
		}
		vnis[seg.VNI] = seg.Name
		s.out.Segments = append(s.out.Segments, a)
	}
}

// otherHere says in what the configuration's segment of the name is another.
func (s *step) otherHere(a *api.StateSegment) string {
	i := slices.IndexFunc(s.local.Segments, func(l api.StateSegment) bool { return l.Name == a.Name })
	if i < 0 {
		return ""
	}
	l := &s.local.Segments[i]
	switch {
	case l.VNI != a.VNI:
		return fmt.Sprintf("the configuration has it with VNI %d, and the store with %d", l.VNI, a.VNI)
	case vrfOf(l.VRF) != vrfOf(a.VRF):
		return fmt.Sprintf("the configuration has it in VRF %s, and the store in %s", vrfOf(l.VRF), vrfOf(a.VRF))
	case !sameSet(l.Gateways, a.Gateways):
		return fmt.Sprintf("the configuration has the gateways %v, and the store %v", l.Gateways, a.Gateways)
	case a.GatewayMAC != "" && len(a.Gateways) > 0 && a.GatewayMAC != l.GatewayMAC:
		return fmt.Sprintf("the configuration has the gateway's MAC %s, and the store %s", l.GatewayMAC, a.GatewayMAC)
	}
	return ""
}

func vrfOf(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// peers are the other hosts, each in every segment: a host routes into a segment
// in which it has nobody, so a frame of any may come from it. Who it may speak for
// in it is bound by the endpoints.
func (s *step) peers() {
	var names []string
	for i := range s.out.Segments {
		names = append(names, s.out.Segments[i].Name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		if name == s.Me {
			continue
		}
		h := s.hosts[name]
		if a := s.reach(&h); a != "" {
			s.out.Peers = append(s.out.Peers, api.StatePeer{Name: name, Address: a, Segments: names})
			continue
		}
		s.alarm("host %s has no VTEP of a family that this host has: %v", name, h.VTEPs)
	}
}

// reach is the VTEP of a host by which we reach it: IPv4 if both have one.
func (s *step) reach(h *HostRecord) string {
	best := ""
	for _, v := range h.VTEPs {
		a, err := netip.ParseAddr(v)
		if err == nil && slices.ContainsFunc(s.local.VTEPs, func(l netip.Addr) bool { return l.Is4() == a.Is4() }) && (best == "" || a.Is4()) {
			best = v
		}
	}
	return best
}
