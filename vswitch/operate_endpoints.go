package vswitch

import (
	"fmt"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// Endpoints lists the workloads.
func (o *Operator) Endpoints() ([]api.Endpoint, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	out := []api.Endpoint{}
	for _, e := range o.sw.roster.sorted() {
		a := api.Endpoint{Name: e.Name, Segment: e.Segment, Port: e.Port, Peer: e.Peer, MAC: e.MAC.String(), Source: e.statedBy(), PlacedBy: e.PlacedBy, Services: []string{}, IPs: []string{}}
		a.Labels, a.Host = config.SplitHost(e.Labels)
		for _, ip := range e.IPs {
			a.IPs = append(a.IPs, ip.String())
		}
		if l := o.sw.live.Load(); l != nil && l.snapshot.Rules != nil {
			rules := l.snapshot.Rules
			for _, s := range o.sw.indexOf(rules).ServicesOf(e.Labels) {
				if s != policy.Any {
					a.Services = append(a.Services, rules.Sets[s].Name)
				}
			}
		}
		out = append(out, a)
	}
	return out, nil
}

// changed says of a change that it is done.
var changed = map[string]string{api.EndpointAdd: "added", api.EndpointMove: "moved", api.EndpointDel: "deleted"}

// ChangeEndpoint adds, moves or deletes an endpoint: a new snapshot, the same
// policy, and nothing linked again but that endpoint. The generation is a new one
// if some address is another's, or another workload's, than before.
func (o *Operator) ChangeEndpoint(c *api.EndpointChange) (*api.Done, error) {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	local, err := sw.localWith(c)
	if err != nil {
		return nil, err
	}
	next, err := local.change(c, sw.cfg)
	if err != nil {
		return nil, err
	}
	if err := sw.changeLocal(c.Name, next); err != nil {
		return nil, err
	}
	sw.log.Info("endpoint", "op", c.Op, "name", c.Name, "port", c.Port, "generation", sw.generation)
	done := changed[c.Op] + " " + c.Name
	if e := sw.roster[c.Name]; e.PlacedBy != "" {
		done += fmt.Sprintf("; it stays behind peer %s until %s says that it is here", e.Peer, e.PlacedBy)
	}
	return &api.Done{Done: done, Generation: sw.generation}, nil
}
