package world

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/control/api"
)

// owners weighs the claims of each endpoint, remembers who owns it, and states
// those that are behind peers.
func (s *step) owners() {
	s.wasMe = map[string]bool{}
	for name, o := range s.Memory.Owners {
		s.wasMe[name] = o.Host == s.Me
	}
	s.release()
	var won []Claim
	for _, name := range slices.Sorted(maps.Keys(s.claims)) {
		v := s.weigh(name)
		if v.alarm != "" {
			s.alarms(v.alarm)
		}
		if v.claim != nil {
			s.remember(name, &v)
			won = append(won, *v.claim)
		}
	}
	s.forget()
	s.state(won)
}

func (s *step) weigh(name string) verdict {
	var known *Owner
	if o, is := s.Memory.Owners[name]; is {
		known = &o
	}
	var placed *schema.Placement
	if p, is := s.r.Placements[name]; is {
		placed = &p
	}
	return ownerOf(name, s.claims[name], known, placed)
}

// release notes the owners that are alive and have taken their claim back.
func (s *step) release() {
	for name, o := range s.Memory.Owners {
		_, alive := s.r.Hosts[o.Host]
		if had := s.last != nil && of(s.last.Claims[name], o.Host) != nil; alive && had && of(s.r.Claims[name], o.Host) == nil {
			o.Released = true
			s.Memory.Owners[name] = o
		}
	}
}

// remember notes an owner. Its epoch never goes back.
func (s *step) remember(name string, v *verdict) {
	old, had := s.Memory.Owners[name]
	if had && old.Host != v.claim.Host && v.claim.Host == s.Me && s.isHere(name) {
		s.out.Arrived = append(s.out.Arrived, name)
	}
	s.Memory.Owners[name] = Owner{Host: v.claim.Host, Epoch: max(v.epoch, old.Epoch), Seen: s.now}
}

func (s *step) isHere(name string) bool {
	return slices.ContainsFunc(s.local.Here, func(e api.StateEndpoint) bool { return e.Name == name && e.Port != "" })
}

// forget bounds what is remembered: an endpoint that nobody has claimed for a day
// is forgotten, and past the bound those unseen longest.
func (s *step) forget() {
	owners := s.Memory.Owners
	for name, o := range owners {
		if len(s.claims[name]) == 0 && s.now-o.Seen > forgetIn {
			delete(owners, name)
		}
	}
	if len(owners) <= maxOwners {
		return
	}
	names := slices.SortedFunc(maps.Keys(owners), func(a, b string) int { return cmp.Or(cmp.Compare(owners[a].Seen, owners[b].Seen), cmp.Compare(a, b)) })
	for _, name := range names[:len(names)-maxOwners] {
		delete(owners, name)
	}
}

// state states the endpoints of other hosts. Of two with one MAC or address the one
// that was there before stays, else the one that was claimed first.
func (s *step) state(won []Claim) {
	slices.SortStableFunc(won, func(a, b Claim) int {
		return cmp.Or(compareBool(!s.Memory.Stated[a.Name], !s.Memory.Stated[b.Name]), cmp.Compare(a.Create, b.Create))
	})
	vrfs := map[string]string{}
	for i := range s.out.Segments {
		vrfs[s.out.Segments[i].Name] = vrfOf(s.out.Segments[i].VRF)
	}
	taken, stated := map[string]string{}, map[string]bool{}
	s.takeOwn(taken, vrfs, won)
	for i := range won {
		c := &won[i]
		vrf, has := vrfs[c.Segment]
		if !has {
			s.alarm("endpoint %s of host %s is refused: there is no segment %q", c.Name, c.Host, c.Segment)
			continue
		}
		if who := s.take(taken, vrf, c); who != "" {
			s.alarm("endpoint %s of host %s is refused: it has the MAC or an address of %s", c.Name, c.Host, who)
			continue
		}
		stated[c.Name] = true
		if c.Host == s.Me {
			continue
		}
		s.out.Endpoints = append(s.out.Endpoints, api.StateEndpoint{Name: c.Name, Segment: c.Segment, Peer: c.Host, MAC: c.MAC, IPs: c.IPs, Labels: c.Labels})
	}
	s.Memory.Stated = stated
	slices.SortFunc(s.out.Endpoints, func(a, b api.StateEndpoint) int { return cmp.Compare(a.Name, b.Name) })
}

// takeOwn takes what the endpoints on ports here have, but for those that others
// own: our switch would refuse another with it, whatever the store says of ours.
func (s *step) takeOwn(taken, vrfs map[string]string, won []Claim) {
	owner := map[string]string{}
	for i := range won {
		owner[won[i].Name] = won[i].Host
	}
	for i := range s.local.Here {
		e := &s.local.Here[i]
		if vrf, has := vrfs[e.Segment]; has && e.Port != "" && (owner[e.Name] == "" || owner[e.Name] == s.Me) {
			s.take(taken, vrf, &Claim{Endpoint: schema.Endpoint{Name: e.Name, Segment: e.Segment, MAC: e.MAC, IPs: e.IPs}})
		}
	}
}

// take takes a claim's MAC and addresses, or says who has one of them.
func (s *step) take(taken map[string]string, vrf string, c *Claim) (who string) {
	keys := []string{"mac " + c.Segment + " " + c.MAC}
	for _, ip := range c.IPs {
		keys = append(keys, "ip "+vrf+" "+ip)
	}
	for _, k := range keys {
		if who := taken[k]; who != "" && who != c.Name {
			return who
		}
	}
	for _, k := range keys {
		taken[k] = c.Name
	}
	return ""
}

// own works out the keys that this host is to have: itself, and a record for each
// of its endpoints.
func (s *step) own() {
	h := schema.Host{Schema: schema.Version, Name: s.Me}
	for _, a := range s.local.VTEPs {
		h.VTEPs = append(h.VTEPs, a.String())
	}
	if len(h.VTEPs) == 0 {
		s.alarm("the switch has no VTEP: this host takes no part; add [vtep] to its configuration")
		return
	}
	if in, is := s.r.Hosts[s.Me]; is && !slices.Equal(in.VTEPs, h.VTEPs) {
		s.alarm("the store has a host %s with the VTEPs %v, and ours are %v: another host with our name? give each its own", s.Me, in.VTEPs, h.VTEPs)
	}
	s.out.Own[schema.HostKey(s.Me)] = schema.Encode(&h)
	carried := map[string]bool{}
	for i := range s.r.Segments {
		carried[s.r.Segments[i].Name] = true
	}
	mine := map[string]string{}
	for i := range s.local.Here {
		e := &s.local.Here[i]
		if !carried[e.Segment] || !schema.GoodName(e.Name) {
			continue // of this host alone
		}
		if r := s.ownRecord(e); r != nil {
			s.out.Own[schema.EndpointKey(s.Me, e.Name)] = schema.Encode(r)
			s.Memory.Epochs[e.Name] = r.Epoch
		}
		if e.Port != "" {
			mine[e.Name] = e.Port
		}
	}
	s.Memory.Mine = mine
	for name := range s.Memory.Epochs {
		if _, is := s.out.Own[schema.EndpointKey(s.Me, name)]; !is {
			delete(s.Memory.Epochs, name)
		}
	}
}

// ownRecord is the record of an endpoint of this host; nil: none.
func (s *step) ownRecord(e *api.StateEndpoint) *schema.Endpoint {
	r := &schema.Endpoint{Schema: schema.Version, Name: e.Name, Host: s.Me, Segment: e.Segment, MAC: e.MAC, Labels: e.Labels}
	for _, ip := range e.IPs {
		if a, err := netip.ParseAddr(ip); err == nil {
			r.IPs = append(r.IPs, a.String())
		}
	}
	mine := of(s.r.Claims[e.Name], s.Me)
	owner, known := s.Memory.Owners[e.Name]
	if e.Port == "" {
		return s.away(r, e, mine, owner)
	}
	port, was := s.Memory.Mine[e.Name]
	fresh := !was || port != e.Port // it has been started, or moved, here
	switch {
	case known && owner.Host == s.Me:
		r.Epoch = owner.Epoch
	case fresh && known:
		r.Epoch = owner.Epoch + 1
	case mine != nil && mine.CededTo != "" && s.Memory.Epochs[e.Name] <= mine.Epoch:
		r.Epoch, r.CededTo = mine.Epoch, mine.CededTo // else we have claimed it since, and the store is about to say so
	case known && s.wasMe[e.Name]:
		r.Epoch, r.CededTo = owner.Epoch, owner.Host
	case mine != nil:
		r.Epoch = max(mine.Epoch, s.Memory.Epochs[e.Name])
	default:
		r.Epoch = max(1, s.Memory.Epochs[e.Name])
	}
	r.Epoch = min(r.Epoch, schema.MaxEpoch)
	if r.CededTo != "" {
		s.alarm("endpoint %s has gone to host %s and is still on port %s here: stop it", e.Name, r.CededTo, e.Port)
	}
	return r
}

// away is the record of an endpoint that the API has moved behind a peer: it is
// ceded, if it was ours and that peer is a host.
func (s *step) away(r *schema.Endpoint, e *api.StateEndpoint, mine *Claim, owner Owner) *schema.Endpoint {
	switch {
	case mine == nil:
		return nil
	case mine.CededTo != "":
		r.Epoch, r.CededTo = mine.Epoch, mine.CededTo
	case schema.GoodHost(e.Peer) && e.Peer != s.Me:
		r.Epoch, r.CededTo = min(max(owner.Epoch, mine.Epoch)+1, schema.MaxEpoch), e.Peer
	default:
		return nil
	}
	return r
}
