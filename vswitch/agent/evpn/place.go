package evpn

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bulkhead/vswitch/control/api"
)

// What has been claimed comes to a MAC's place here: at which peer an endpoint is, with
// which addresses and labels. World (world.go) hears and says; this decides.

// macs are the MACs that are claimed: first those that are stated already, so that what
// is new cannot take their addresses or their room.
func (s *survey) macs() []at {
	before := map[at]bool{}
	for mac := range s.claims {
		_, before[mac] = s.before[nameOf(mac)]
	}
	return slices.SortedFunc(maps.Keys(s.claims), func(a, b at) int {
		if before[a] != before[b] {
			if before[a] {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.vni, b.vni), slices.Compare(a.mac[:], b.mac[:]))
	})
}

// nameOf is what a learned endpoint is called.
func nameOf(mac at) string {
	return fmt.Sprintf("evpn/%d/%s", mac.vni, strings.ReplaceAll(mac.mac.String(), ":", "-"))
}

// place states the endpoint of a MAC, if one may be believed.
func (s *survey) place(now time.Time, mac at) {
	g := s.segments[mac.vni]
	if e := s.bound[mac]; e != nil {
		if e.Port == "" { // what is on a port is said in adverts
			s.alarm("%s in segment %q is %q by the word of %s, and peers of EVPN have it, too", mac.mac, g.cfg.Name, e.Name, cmp.Or(e.Source, "configuration"))
		}
		return
	}
	best, frozen, contested := s.w.elect(now, mac, s.claims[mac])
	if frozen {
		s.alarm("%s in segment %q has moved %d times within %s: it stays where it was for so long", mac.mac, g.cfg.Name, mostMoves, moveWindow)
	}
	if best == nil {
		return
	}
	if contested {
		s.alarm("%s in segment %q is sticky at peer %q, and others have it, too", mac.mac, g.cfg.Name, s.peers[best.vtep].Name)
	}
	local, peer := s.moved[mac], s.peers[best.vtep].Name
	if local != nil && elsewhere(local, peer) {
		s.alarm("%s in segment %q is %q, placed at peer %q here, and is said to be at %s", mac.mac, g.cfg.Name, local.Name, local.Peer, peer)
		return
	}
	e := api.StateEndpoint{Name: nameOf(mac), Segment: g.cfg.Name, Peer: peer, MAC: mac.mac.String(), IPs: s.addresses(g, best, mac)}
	if len(e.IPs) == 0 {
		return // a MAC alone is nobody that could be judged
	}
	if local != nil { // who it is the local layer says
		if !within(e.IPs, local.IPs) {
			s.alarm("peer %q states %q with other addresses than it has here", e.Peer, local.Name)
			return
		}
		e.Name, e.IPs = local.Name, local.IPs
	} else {
		e.Labels = s.labels(best, &e)
	}
	if s.count[mac.vni] >= g.cfg.MaxEndpoints {
		s.alarm("segment %q has %d endpoints by EVPN, its max_endpoints: more are left out", g.cfg.Name, g.cfg.MaxEndpoints)
		return
	}
	s.count[mac.vni]++
	for _, a := range e.IPs {
		s.taken[g.vrf+" "+a] = e.Name
	}
	s.endpoints = append(s.endpoints, e)
}

// elsewhere tells whether an operator has placed an endpoint at another peer: his word
// stands against the fabric's, or any peer could take the name and labels by saying the
// MAC.
func elsewhere(local *api.StateEndpoint, peer string) bool {
	return local.Peer != "" && local.Peer != peer
}

func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(a string) bool { return !slices.Contains(all, a) })
}

// addresses are those of a claim that are the segment's and nobody else's. Link-local
// ones are said by some fabrics; the switch knows them of the MAC.
func (s *survey) addresses(g *segment, c *claim, mac at) []string {
	var list []netip.Addr
	slices.SortFunc(c.ips, netip.Addr.Compare)
	for _, a := range slices.Compact(c.ips) {
		if a.IsLinkLocalUnicast() {
			continue
		}
		if !slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
			s.alarm("peer %q states %s in segment %q, whose gateways have no such prefix", s.peers[c.vtep].Name, a, g.cfg.Name)
			continue
		}
		if who, is := s.other(mac, g.vrf, a.String()); is {
			s.alarm("peer %q states %s, which is that of %s", s.peers[c.vtep].Name, a, who)
			continue
		}
		list = append(list, a)
	}
	if len(list) > maxAddresses {
		s.alarm("%s in segment %q has more than %d addresses: the first are taken", mac.mac, g.cfg.Name, maxAddresses)
		list = list[:maxAddresses]
	}
	texts := []string{}
	for _, a := range list {
		texts = append(texts, a.String())
	}
	return texts
}

// labels are those that the claim's community means, if its peer may say so.
func (s *survey) labels(c *claim, e *api.StateEndpoint) (labels map[string]string) {
	said := ""
	slices.Sort(c.communities)
	for _, community := range slices.Compact(c.communities) {
		l := s.w.labels[community]
		if !slices.Contains(l.Peers, e.Peer) {
			s.alarm("peer %q says community %s of %s, and may not", e.Peer, l.Text, e.Name)
			continue
		}
		if said != "" {
			s.alarm("peer %q says communities %s and %s of %s: one is too many, and none counts", e.Peer, said, l.Text, e.Name)
			return nil
		}
		said, labels = l.Text, l.Labels
	}
	return labels
}
