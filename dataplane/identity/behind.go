package identity

import "net/netip"

// outside is the prefixes of which something is known, and their table.
type outside struct {
	list  []outsidePrefix
	made  *prefixes
	stale bool // the table is not of the list
	full  bool // a prefix more came than there may be
}

type outsidePrefix struct {
	prefix netip.Prefix
	id     ID
}

func (o *outside) add(prefix netip.Prefix, id ID) {
	o.list, o.stale = append(o.list, outsidePrefix{prefix, id}), true
}

func (o *outside) table() *prefixes {
	if !o.stale {
		return o.made
	}
	o.made, o.stale = newPrefixes(o.list, maxBlocks), false
	return o.made
}

// routers are the endpoints with prefixes behind them. Their tables are made
// anew when one comes or goes: routers are few.
type routers struct {
	of     map[uint32]router // by endpoint
	behind map[uint32]*prefixes
	remote map[place]*prefixes
	stale  bool

	prefixes int // of all
}

type router struct {
	place    place
	prefixes []netip.Prefix
	table    *prefixes
}

func newRouters() routers { return routers{of: map[uint32]router{}, stale: true} }

func (r *routers) add(endpoint uint32, at place, behind []netip.Prefix) {
	r.of[endpoint], r.stale = router{at, behind, tableOf(behind)}, true
	r.prefixes += len(behind)
}

func (r *routers) remove(endpoint uint32) {
	if old, is := r.of[endpoint]; is {
		r.prefixes -= len(old.prefixes)
		delete(r.of, endpoint)
		r.stale = true
	}
}

// tables returns what is behind each router, and behind all routers of a peer.
func (r *routers) tables() (map[uint32]*prefixes, map[place]*prefixes) {
	if !r.stale {
		return r.behind, r.remote
	}
	r.behind, r.remote, r.stale = map[uint32]*prefixes{}, map[place]*prefixes{}, false
	at := map[place][]netip.Prefix{}
	for endpoint, one := range r.of {
		r.behind[endpoint] = one.table
		if one.place.peer != NoPeer {
			at[one.place] = append(at[one.place], one.prefixes...)
		}
	}
	for where, list := range at {
		r.remote[where] = tableOf(list)
	}
	return r.behind, r.remote
}

// tableOf makes the table of prefixes that all mean the same.
func tableOf(list []netip.Prefix) *prefixes {
	same := make([]outsidePrefix, len(list))
	for i, prefix := range list {
		same[i] = outsidePrefix{prefix.Masked(), 1}
	}
	return newPrefixes(same, -1)
}
