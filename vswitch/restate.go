package vswitch

import (
	"fmt"
	"maps"
	"regexp"

	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// sourceName is what sources may be called.
var sourceName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

func goodSource(name string) error {
	if !sourceName.MatchString(name) || name == "config" || name == "api" {
		return api.Invalid(fmt.Sprintf("%.40q is no source's name", name), "use 1 to 32 of a-z, 0-9 and -, but not config or api")
	}
	return nil
}

// ChangeState takes in what a source states: a new snapshot with all of it, or
// nothing has happened. Endpoints that are few are linked by themselves; a
// segment or peer links the whole.
func (o *Operator) ChangeState(c *api.StateChange) (*api.Done, error) {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	if err := goodSource(c.Source); err != nil {
		return nil, err
	}
	next, touched, err := sw.stated.with(c)
	if err != nil {
		return nil, err
	}
	cfg := sw.cfg
	if touched {
		if cfg, err = next.overlay(sw.file); err != nil {
			return nil, refusedAs("source "+c.Source, err)
		}
	}
	said, err := sw.saidOf(c, cfg)
	if err != nil {
		return nil, err
	}
	edits, err := sw.editsOf(said)
	if err != nil {
		return nil, err
	}
	if err := sw.restate(cfg, touched, edits); err != nil {
		return nil, api.Invalid(err.Error(), "nothing has changed")
	}
	sw.stated.segments, sw.stated.peers = next.segments, next.peers
	sw.keepSaid(said)
	sw.arrive(c.Arrived)
	if touched || len(edits) > 0 {
		sw.version++
		sw.log.Info("stated", "source", c.Source, "endpoints", len(edits), "overlay", touched, "generation", sw.generation)
	}
	return &api.Done{Done: fmt.Sprintf("%d endpoints changed", len(edits)), Generation: sw.generation}, nil
}

// said is what a source says now of endpoints, by name; nil: nothing any more.
type said map[string]*ownedEndpoint

// saidOf reads what a change says of endpoints.
func (sw *Switch) saidOf(c *api.StateChange, cfg *config.Config) (said, error) {
	out := said{}
	for _, name := range c.RemoveEndpoints {
		if old, there := sw.stated.endpoints[name]; there && old.by == c.Source {
			out[name] = nil
		}
	}
	for i := range c.Endpoints {
		a := &c.Endpoints[i]
		if old, there := sw.stated.endpoints[a.Name]; there && old.by != c.Source {
			return nil, owned("endpoint", a.Name, old.by)
		}
		e, err := statedEndpoint(a, cfg)
		if err != nil {
			return nil, err
		}
		out[a.Name] = &ownedEndpoint{c.Source, e}
	}
	if sw.statedWith(out) > maxStated {
		return nil, api.Busy(fmt.Sprintf("sources state more than %d endpoints", maxStated), "take some back first")
	}
	return out, nil
}

// statedWith counts what sources state of endpoints with what is said now.
func (sw *Switch) statedWith(s said) int {
	n := len(sw.stated.endpoints)
	for name, o := range s {
		switch _, there := sw.stated.endpoints[name]; {
		case o == nil:
			n--
		case !there:
			n++
		}
	}
	return n
}

// editsOf works out which endpoints are others by what is said.
func (sw *Switch) editsOf(s said) ([]edit, error) {
	var edits []edit
	for name, o := range s {
		var local *endpoint
		if e, there := sw.local[name]; there {
			local = &e
		}
		now, err := over(local, o)
		if err != nil {
			return nil, err
		}
		if e := sw.editTo(name, now); e != nil {
			edits = append(edits, *e)
		}
	}
	return edits, nil
}

// editTo is the edit that makes an endpoint what it is to be; nil: it is so.
func (sw *Switch) editTo(name string, now *endpoint) *edit {
	was, there := sw.roster[name]
	switch {
	case !there && now == nil, there && now != nil && was.same(now):
		return nil
	case !there:
		return &edit{now: now}
	}
	return &edit{was: &was, now: now}
}

// same tells whether two are the same in everything.
func (e *endpoint) same(o *endpoint) bool {
	return fmt.Sprint(*e) == fmt.Sprint(*o) && maps.Equal(e.Labels, o.Labels)
}

func (sw *Switch) keepSaid(s said) {
	for name, o := range s {
		if o == nil {
			delete(sw.stated.endpoints, name)
			continue
		}
		sw.stated.endpoints[name] = *o
	}
}

// restate makes edits live, with another overlay if that is touched. If it fails
// nothing has happened.
func (sw *Switch) restate(cfg *config.Config, touched bool, edits []edit) error {
	if !touched {
		return sw.relinkEndpoints(edits)
	}
	next := maps.Clone(sw.roster)
	for _, e := range edits {
		next.apply(e)
	}
	if err := next.besideGateways(cfg); err != nil {
		return err
	}
	return sw.publish(cfg, next, sw.rules, sw.keepPorts())
}

// besideGateways refuses an overlay in which a workload has the address or the MAC
// of a gateway: it would answer for it. Those of the file config.With knows; what
// sources and the API have stated came by the gateways that there were.
func (r roster) besideGateways(cfg *config.Config) error {
	type at struct{ scope, what string } // an address in a VRF, a MAC in a segment
	taken, vrfs := map[at]string{}, map[string]string{}
	for i := range cfg.Segments {
		s := &cfg.Segments[i]
		vrfs[s.Name] = s.VRF
		for _, g := range s.Gateways {
			taken[at{s.VRF, g.Addr().String()}], taken[at{s.Name, s.GatewayMAC.String()}] = s.Name, s.Name
		}
	}
	for _, e := range r {
		has := []at{{e.Segment, e.MAC.String()}}
		for _, ip := range e.IPs {
			has = append(has, at{vrfs[e.Segment], ip.String()})
		}
		for _, h := range has {
			if segment, is := taken[h]; is {
				return fmt.Errorf("%s of endpoint %q would also be that of the gateway of segment %q", h.what, e.Name, segment)
			}
		}
	}
	return nil
}

// changeLocal puts an edit of the local layer in force. Where a source says that
// the endpoint is elsewhere it stays there, until the source takes that back.
func (sw *Switch) changeLocal(name string, local edit) error {
	var under *ownedEndpoint
	if o, there := sw.stated.endpoints[name]; there {
		under = &o
	}
	now, err := over(local.now, under)
	if err != nil {
		return err
	}
	e := edit{now: now}
	if was, there := sw.roster[name]; there {
		e.was = &was
	}
	if err := sw.relinkEndpoints([]edit{e}); err != nil {
		return api.Invalid(err.Error(), "nothing has changed")
	}
	sw.local.apply(local)
	sw.version++
	return nil
}

// localWith is the local layer for a change of the API: a move of an endpoint
// that only a source states begins with who it is by that.
func (sw *Switch) localWith(c *api.EndpointChange) (roster, error) {
	o, there := sw.stated.endpoints[c.Name]
	_, local := sw.local[c.Name]
	switch {
	case !there || local:
		return sw.local, nil
	case c.Op == api.EndpointMove:
		e := o.e
		e.FromAPI = true
		return roster{c.Name: e}, nil
	}
	return nil, owned("endpoint", c.Name, o.by)
}

// State tells what is stated, layer by layer.
func (o *Operator) State() (*api.State, error) {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	out := &api.State{Version: sw.version, VTEP: []string{}, Segments: []api.StateSegment{}, Peers: []api.StatePeer{}, Local: []api.StateEndpoint{}, Stated: []api.StateEndpoint{}}
	if v := sw.file.VTEP; v != nil {
		for _, a := range v.Addresses {
			out.VTEP = append(out.VTEP, a.String())
		}
	}
	for i := range sw.file.Segments {
		s := &sw.file.Segments[i]
		a := api.StateSegment{Name: s.Name, VNI: s.VNI, VRF: s.VRF, GatewayMAC: s.GatewayMAC.String(), Source: "config"}
		for _, g := range s.Gateways {
			a.Gateways = append(a.Gateways, g.String())
		}
		out.Segments = append(out.Segments, a)
	}
	for _, s := range sw.stated.segments {
		out.Segments = append(out.Segments, api.StateSegment{Name: s.s.Name, VNI: uint32(s.s.VNI), VRF: s.s.VRF, Gateways: s.s.Gateways, GatewayMAC: s.s.GatewayMAC, Source: s.by})
	}
	for i := range sw.file.Peers {
		p := &sw.file.Peers[i]
		out.Peers = append(out.Peers, api.StatePeer{Name: p.Name, Address: p.Address.String(), Segments: p.Segments, Source: "config"})
	}
	for _, p := range sw.stated.peers {
		out.Peers = append(out.Peers, api.StatePeer{Name: p.p.Name, Address: p.p.Address, Segments: p.p.Segments, Source: p.by})
	}
	for _, e := range sw.local.sorted() {
		if e.Port != "" || e.FromAPI {
			out.Local = append(out.Local, describeStated(e, e.statedBy()))
		}
	}
	for _, o := range sw.stated.endpoints {
		out.Stated = append(out.Stated, describeStated(&o.e, o.by))
	}
	return out, nil
}

func describeStated(e *endpoint, by string) api.StateEndpoint {
	labels, _ := config.SplitHost(e.Labels)
	return api.StateEndpoint{Name: e.Name, Segment: e.Segment, Port: e.Port, Peer: e.Peer, MAC: e.MAC.String(), IPs: texts(e.IPs), Labels: labels, Source: by}
}

// statedBy says who states an endpoint.
func (e *endpoint) statedBy() string {
	switch {
	case e.Source != "":
		return e.Source
	case e.FromAPI:
		return "api"
	}
	return "config"
}
