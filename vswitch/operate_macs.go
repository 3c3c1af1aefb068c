package vswitch

import (
	"cmp"
	"slices"

	"bulkhead/dataplane/fdb"
	"bulkhead/vswitch/control/api"
)

// FDB lists the MACs that are bound, and those that were learned.
func (o *Operator) FDB() ([]api.FDBEntry, error) {
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	out := []api.FDBEntry{}
	for _, e := range l.snapshot.Identity.All() {
		out = append(out, api.FDBEntry{
			Segment: nameAt(l.snapshot.Names.Segments, e.Segment), MAC: e.MAC.String(), Kind: "bound", Endpoint: e.Name,
			Port: portAt(l, e.Port), Peer: nameAt(l.snapshot.Names.Peers, e.Peer),
		})
	}
	slices.SortFunc(out, func(a, b api.FDBEntry) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	learned, err := o.learned()
	if err != nil {
		return nil, err
	}
	for _, e := range learned {
		out = append(out, api.FDBEntry{
			Segment: nameAt(l.snapshot.Names.Segments, e.Segment), MAC: e.MAC.String(), Kind: "learned",
			Port: portAt(l, e.Dest.Port), Peer: nameAt(l.snapshot.Names.Peers, e.Dest.Peer), Group: e.Dest.Group, IdleSeconds: e.Idle.Seconds(),
		})
	}
	return out, nil
}

// learned lists the MACs that were learned. The table's memory goes with the
// switch: it is read under the lock that Close takes.
func (o *Operator) learned() ([]fdb.Entry, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	if o.sw.closed {
		return nil, errStopping
	}
	var list []fdb.Entry
	o.sw.state.FDB.Each(o.sw.now(), func(e fdb.Entry) { list = append(list, e) })
	return list, nil
}
