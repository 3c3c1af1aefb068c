package vswitch

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
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
	// Stated says that the configuration has an endpoint of this name, too.
	Stated bool
	// Source is who states it, if that is neither configuration nor API; PlacedBy
	// who says that it is behind a peer, where these have it on a port (stated.go).
	Source, PlacedBy string
}

// roster is every endpoint by name. A change is worked out beside it, and put
// in when it has been linked: one that cannot be linked leaves it as it was.
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

// carryOver puts what the API changed in old on top of a configuration just
// loaded: an endpoint that the API added stays as long as the configuration has
// none of its name, and so does a move, as long as it has the endpoint, too. Who
// a moved endpoint is the configuration says; the API only where. Both are held
// to the rules of the configuration as it now is, and what it does not allow is
// not carried over: lost has their names.
func (r roster) carryOver(old roster, cfg *config.Config) (lost []string) {
	for name, e := range old {
		if !e.FromAPI {
			continue
		}
		who, stated := r[name]
		if !stated {
			who = e
		}
		if e.Stated == stated {
			now, err := who.changed(&api.EndpointChange{Op: api.EndpointMove, Name: name, Port: e.Port, Peer: e.Peer}, cfg)
			if err == nil && now.Segment == e.Segment {
				r[name] = now
				continue
			}
		}
		lost = append(lost, name)
	}
	slices.Sort(lost)
	return lost
}

// edit is one endpoint that comes, goes or is changed.
type edit struct{ was, now *endpoint } // nil: there was none, there is none any more

// apply puts an edit into the roster.
func (r roster) apply(e edit) {
	if e.now == nil {
		delete(r, e.was.Name)
		return
	}
	r[e.now.Name] = *e.now
}

// undo is the edit that takes another back.
func (e edit) undo() edit { return edit{was: e.now, now: e.was} }

// change works out what one change of the control API comes to. What it states
// is held to the rules of the configuration.
func (r roster) change(c *api.EndpointChange, cfg *config.Config) (edit, error) {
	was, exists := r[c.Name]
	switch {
	case c.Op != api.EndpointAdd && c.Op != api.EndpointMove && c.Op != api.EndpointDel:
		return edit{}, api.Invalid(fmt.Sprintf("%q is no change of an endpoint", c.Op), "use add, move or del")
	case c.Op == api.EndpointAdd && exists:
		return edit{}, api.Conflict(fmt.Sprintf("endpoint %q exists", c.Name), "move it, or delete it first")
	case c.Op != api.EndpointAdd && !exists:
		return edit{}, unknown("endpoint", c.Name, slices.Collect(maps.Keys(r)), "vsctl endpoints")
	}
	if c.Op == api.EndpointDel {
		return edit{was: &was}, nil
	}
	now, err := was.changed(c, cfg)
	if err != nil {
		return edit{}, err
	}
	if !exists {
		return edit{now: &now}, nil
	}
	return edit{was: &was, now: &now}, nil
}

// changed is the endpoint as a change states it: new, or elsewhere.
func (e endpoint) changed(c *api.EndpointChange, cfg *config.Config) (endpoint, error) {
	mac, ips := e.MAC.String(), make([]string, len(e.IPs))
	for i, ip := range e.IPs {
		ips[i] = ip.String()
	}
	stated := config.Endpoint{Name: c.Name, Segment: e.Segment, Port: c.Port, Peer: c.Peer, Labels: e.Labels}
	_, stated.Host = e.Labels[policy.HostLabel] // a host that moves stays one; none is added here
	if c.Op == api.EndpointAdd {
		stated.Segment, stated.Labels, mac, ips = c.Segment, c.Labels, c.MAC, c.IPs
	}
	if err := place(&stated, cfg); err != nil {
		return e, err
	}
	read, err := cfg.ReadEndpoint(stated, mac, ips)
	if err != nil {
		return e, refused(c.Name, err)
	}
	return endpoint{
		Name: read.Name, Segment: read.Segment, Port: read.Port, Peer: read.Peer, MAC: read.MAC, IPs: read.IPs,
		Labels: read.Labels, Prefixes: e.Prefixes, FromAPI: true, Stated: c.Op == api.EndpointMove && (e.Stated || !e.FromAPI),
	}, nil
}

// place finds where an endpoint is stated to be: on one port, whose segment it
// is in, or behind one peer.
func place(e *config.Endpoint, cfg *config.Config) error {
	if (e.Port == "") == (e.Peer == "") {
		return api.Invalid(fmt.Sprintf("endpoint %q is on a port or behind a peer", e.Name), "name one of port and peer")
	}
	if e.Peer != "" {
		p := cfg.Peer(e.Peer)
		if p == nil {
			return unknown("peer", e.Peer, namesOf(cfg.Peers, func(p *config.Peer) string { return p.Name }), "the configuration's [[peers]]")
		}
		if cfg.Segment(e.Segment) != nil && !slices.Contains(p.Segments, e.Segment) {
			return api.Invalid(fmt.Sprintf("peer %q is not in segment %q", e.Peer, e.Segment), "name the segment in the peer's segments, and reload")
		}
		return nil
	}
	p := cfg.Port(e.Port)
	if p == nil {
		return unknown("port", e.Port, namesOf(cfg.Ports, func(p *config.Port) string { return p.Name }), "vsctl ports")
	}
	if p.Role == config.RoleUplink {
		return api.Invalid(fmt.Sprintf("port %q is an uplink: nobody is on it", e.Port), "name the peer that the endpoint is behind")
	}
	if p.Role == config.RoleMirror {
		return api.Invalid(fmt.Sprintf("port %q is a mirror's: nobody is on it", e.Port), "name the port of a workload")
	}
	switch {
	case e.Segment != "" && p.Carries(e.Segment) && len(p.L2.VLANs) > 0:
		return nil
	case p.Segment == "":
		return api.Invalid(fmt.Sprintf("port %q is a trunk: the endpoint's segment must be named", e.Port), "one of "+strings.Join(p.Segments(), ", "))
	}
	e.Segment = p.Segment
	return nil
}

func namesOf[T any](list []T, name func(*T) string) (names []string) {
	for i := range list {
		names = append(names, name(&list[i]))
	}
	return names
}

// refused makes one error of everything that is wrong with an endpoint.
func refused(name string, err error) error { return refusedAs(fmt.Sprintf("endpoint %q", name), err) }

// refusedAs is refused of anything: who says what it is.
func refusedAs(who string, err error) error {
	var mistakes config.Mistakes
	if !errors.As(err, &mistakes) {
		return err
	}
	if len(mistakes) == 1 {
		return api.Invalid(fmt.Sprintf("%s: %s: %s", who, mistakes[0].Key, mistakes[0].Text), mistakes[0].Cure)
	}
	var texts, cures []string
	for _, m := range mistakes {
		texts = append(texts, m.Key+": "+m.Text)
		cures = append(cures, m.Key+": "+m.Cure)
	}
	return api.Invalid(fmt.Sprintf("%s: %s", who, strings.Join(texts, "; ")), strings.Join(cures, "; "))
}
