package identity

import "bulkhead/dataplane/packet"

// Addrs returns the addresses of an endpoint. It reads every binding: for
// traces.
func (t *Table) Addrs(endpoint uint32) []packet.Addr {
	var all []packet.Addr
	for i := range t.bindings {
		if t.bindings[i].endpoint == endpoint {
			all = append(all, t.bindings[i].addr)
		}
	}
	return all
}
