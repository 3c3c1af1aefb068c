package identity

import "bulkhead/dataplane/packet"

// Addrs returns the addresses of an endpoint.
func (t *Table) Addrs(endpoint uint32) []packet.Addr {
	var all []packet.Addr
	for n := t.endpoints.At(endpoint).first; n != 0; {
		b := t.bindings.At(n - 1)
		all = append(all, b.addr)
		n = b.next
	}
	return all
}
