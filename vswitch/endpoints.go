package vswitch

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// endpoint is a workload as the switch knows it: who it is (labels), what it
// answers to (MAC, IPs), and where it is now (a port of this host, or a peer).
type endpoint struct {
	Name    string
	Segment string
	Port    string // a port of this host; empty if it is behind a peer
	Peer    string // a peer; empty if it is on a port
	MAC     packet.MAC
	IPs     []netip.Addr
	Labels  map[string]string
	// Prefixes are the sources allowed behind it besides its own IPs: it is a
	// router.
	Prefixes []netip.Prefix
	// FromAPI says that it was added or moved by the control API, and is not
	// as the configuration has it.
	FromAPI bool
}

// roster is every endpoint by name. It is changed by copying: a change that
// cannot be linked is thrown away and nothing has happened.
type roster map[string]endpoint

// rosterOf makes the roster that a configuration states: a port with a MAC is
// an endpoint of its own name, and [[endpoints]] are the others.
func rosterOf(cfg *config.Config) roster {
	r := roster{}
	for i := range cfg.Ports {
		p := &cfg.Ports[i]
		if p.Role == config.RoleUplink || p.MAC == (packet.MAC{}) || len(p.IPs) == 0 {
			continue
		}
		r[p.Name] = endpoint{
			Name: p.Name, Segment: p.Segment, Port: p.Name, MAC: p.MAC, IPs: p.IPs,
			Labels: p.Labels, Prefixes: p.Prefixes,
		}
	}
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		r[e.Name] = endpoint{
			Name: e.Name, Segment: e.Segment, Port: e.Port, Peer: e.Peer, MAC: e.MAC,
			IPs: e.IPs, Labels: e.Labels, Prefixes: e.Prefixes,
		}
	}
	return r
}

// sorted returns the endpoints by name, so that what is built from them is
// the same each time.
func (r roster) sorted() []endpoint {
	all := slices.Collect(maps.Values(r))
	slices.SortFunc(all, func(a, b endpoint) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// carryOver puts what the API changed in old on top of a configuration just
// loaded: an endpoint that the API added stays, and so does a move, as long as
// the configuration still has the endpoint and its new place.
func (r roster) carryOver(old roster) {
	for name, e := range old {
		if e.FromAPI {
			r[name] = e
		}
	}
}

// change applies one change of the control API to a copy of the roster.
func (r roster) change(c api.EndpointChange, segmentOf func(port string) (string, bool)) (roster, error) {
	next := maps.Clone(r)
	was, exists := r[c.Name]
	switch c.Op {
	case api.EndpointDel:
		if !exists {
			return nil, unknown("endpoint", c.Name, slices.Collect(maps.Keys(r)), "vsctl endpoints")
		}
		delete(next, c.Name)
	case api.EndpointMove:
		if !exists {
			return nil, unknown("endpoint", c.Name, slices.Collect(maps.Keys(r)), "vsctl endpoints")
		}
		was.Port, was.Peer, was.FromAPI = c.Port, c.Peer, true
		if c.Port != "" {
			segment, found := segmentOf(c.Port)
			if !found {
				return nil, api.NotFound(fmt.Sprintf("port %q is not known", c.Port), "vsctl ports lists them")
			}
			was.Segment = segment
		}
		next[c.Name] = was
	case api.EndpointAdd:
		if exists {
			return nil, api.Conflict(fmt.Sprintf("endpoint %q exists", c.Name), "move it, or delete it first")
		}
		e, err := endpointFrom(c, segmentOf)
		if err != nil {
			return nil, err
		}
		next[c.Name] = e
	default:
		return nil, api.Invalid(fmt.Sprintf("%q is no change of an endpoint", c.Op), "use add, move or del")
	}
	return next, nil
}

// endpointFrom reads the endpoint that an API call wants added.
func endpointFrom(c api.EndpointChange, segmentOf func(port string) (string, bool)) (endpoint, error) {
	e := endpoint{Name: c.Name, Segment: c.Segment, Port: c.Port, Peer: c.Peer, Labels: c.Labels, FromAPI: true}
	if err := config.Name(c.Name); err != nil {
		return e, api.Invalid(err.Error(), "")
	}
	mac, err := config.HostMAC(c.MAC)
	if err != nil {
		return e, api.Invalid(fmt.Sprintf("endpoint %q: %v", c.Name, err), "")
	}
	e.MAC = mac
	for _, s := range c.IPs {
		ip, err := config.HostAddr(s)
		if err != nil {
			return e, api.Invalid(fmt.Sprintf("endpoint %q: %v", c.Name, err), "")
		}
		e.IPs = append(e.IPs, ip)
	}
	if len(e.IPs) == 0 {
		return e, api.Invalid(fmt.Sprintf("endpoint %q has no IP, so nothing could pass to or from it", c.Name), "name one")
	}
	if (c.Port == "") == (c.Peer == "") {
		return e, api.Invalid(fmt.Sprintf("endpoint %q is neither on a port nor behind a peer, or on both", c.Name), "name one of port and peer")
	}
	if c.Port != "" {
		segment, found := segmentOf(c.Port)
		if !found {
			return e, api.NotFound(fmt.Sprintf("port %q is not known", c.Port), "vsctl ports lists them")
		}
		e.Segment = segment
	}
	return e, nil
}
