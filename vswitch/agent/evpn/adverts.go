package evpn

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"bulkhead/vswitch/control/api"
)

// adverts is what neighbours are to hear of this host: that its VTEP wants what is
// flooded in each segment, and of each endpoint on a port here its MAC, and each of its
// addresses with it (RFC 7432 10: a MAC alone, too, for who has not the IP's VRF).
func (s *survey) adverts(now time.Time) (routes []Route) {
	if len(s.us) == 0 {
		s.alarm("the switch has no [vtep]: nothing is said")
		return nil
	}
	used := map[string]string{}
	for _, vni := range slices.Sorted(maps.Keys(s.segments)) {
		g := s.segments[vni]
		rd := s.distinguisher(vni)
		if other, is := used[rd]; is {
			s.alarm("segments %q and %q have VNIs with the same lower 16 bits, and one route distinguisher: the second is not said", other, g.cfg.Name)
			delete(s.segments, vni)
			continue
		}
		used[rd] = g.cfg.Name
		routes = append(routes, Route{Kind: Multicast, RD: rd, VTEP: s.us[0], VNI: vni, Targets: s.targets(g)})
	}
	for _, mac := range slices.SortedFunc(maps.Keys(s.bound), compareAt) {
		e, g := s.bound[mac], s.segments[mac.vni]
		if e.Port == "" || g == nil {
			continue
		}
		routes = append(routes, s.advertise(now, g, mac, e)...)
	}
	return routes
}

func compareAt(a, b at) int {
	if a.vni != b.vni {
		return int(int64(a.vni) - int64(b.vni))
	}
	return slices.Compare(a.mac[:], b.mac[:])
}

// distinguisher tells routes of one segment from those of another: our router id and
// the lower bits of the VNI (RFC 7432 7.9, type 1).
func (s *survey) distinguisher(vni uint32) string {
	return fmt.Sprintf("%s:%d", s.w.cfg.RouterID, vni&0xffff)
}

func (s *survey) targets(g *segment) []Target {
	if len(g.cfg.Targets) > 0 {
		return g.cfg.Targets
	}
	return []Target{derived(s.w.cfg.AS, g.state.VNI)}
}

// advertise is the routes of one endpoint.
func (s *survey) advertise(now time.Time, g *segment, mac at, e *api.StateEndpoint) []Route {
	number, contested := s.w.number(now, mac, s.claims[mac])
	if contested {
		s.alarm("%s in segment %q is %q, on port %q here, and is said to be at %s", mac.mac, g.cfg.Name, e.Name, e.Port, s.claimants(mac))
	}
	r := Route{
		Kind: MACIP, RD: s.distinguisher(mac.vni), VTEP: s.us[0], VNI: mac.vni, MAC: mac.mac,
		Sequence: number, Sticky: true, Targets: s.targets(g), Communities: s.communities(e),
	}
	routes := []Route{r}
	for _, text := range e.IPs {
		if a, err := netip.ParseAddr(text); err == nil {
			r.IP = a
			routes = append(routes, r)
		}
	}
	return routes
}

// claimants names the peers that claim a MAC.
func (s *survey) claimants(mac at) (names string) {
	for i := range s.claims[mac] {
		if i > 0 {
			names += ", "
		}
		names += s.peers[s.claims[mac][i].vtep].Name
	}
	return names
}

// communities is the community that means the very labels of an endpoint: one more or
// less, and it would say what is not so.
func (s *survey) communities(e *api.StateEndpoint) []uint32 {
	for i := range s.w.cfg.Labels {
		if l := &s.w.cfg.Labels[i]; maps.Equal(l.Labels, e.Labels) {
			return []uint32{l.Community}
		}
	}
	return nil
}
