package agent

import (
	"fmt"

	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/agent/store"
	"bulkhead/vswitch/agent/world"
)

// A store that has lost its data, was set up anew, or was put back from a copy
// answers like one whose workloads are all gone. So a view is only believed if it
// is of the store that was known: the same etcd cluster, the same id in the
// cluster's record, and a revision that has not gone back. Who sees such a store
// first takes it for the one. Anything else is a doubt: what was in force stays, and
// an operator who means it says so with --new-store.

// trust takes the follower's view, if it is to be believed; changed tells whether
// it is another than before.
func (a *Agent) trust(st store.State) (changed bool) {
	if st.View == nil || st.View == a.taken {
		return false
	}
	r := a.reader.Read(st.View)
	if a.doubt = a.doubtOf(st.View, r); a.doubt != "" {
		return false
	}
	if a.saved.Cluster == "" {
		a.log.Info("cluster", "id", r.Cluster.ID, "store", fmt.Sprintf("%x", st.View.Store), "effect", "from now on no other is believed")
	}
	a.saved.Cluster, a.saved.Store, a.saved.View = r.Cluster.ID, st.View.Store, st.View
	a.taken, a.records, a.dirty, a.sure = st.View, r, true, true
	return true
}

// doubtOf says why a view is not believed.
func (a *Agent) doubtOf(v *world.View, r *world.Records) string {
	const cure = "; if it is meant, start the agent with --new-store"
	_, has := v.Entries[schema.ClusterKey]
	switch s := &a.saved; {
	case s.Store != 0 && v.Store != s.Store:
		return fmt.Sprintf("it is another store: its id is %x, and was %x", v.Store, s.Store) + cure
	case s.Cluster == "" && !has:
		return "the store is no cluster's yet: vswitch-agent init makes it one"
	case !has:
		return "the store has lost the cluster's record" + cure
	case r.Cluster == nil:
		return "the cluster's record cannot be read"
	case s.Cluster != "" && r.Cluster.ID != s.Cluster:
		return fmt.Sprintf("the store says that it is of cluster %.8s, and it was of %.8s", r.Cluster.ID, s.Cluster) + cure
	case s.View != nil && v.Revision < s.View.Revision:
		return fmt.Sprintf("the store's revision went back from %d to %d", s.View.Revision, v.Revision) + cure
	}
	return ""
}
