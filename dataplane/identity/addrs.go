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

// FindAddr returns the first of an endpoint's first 16 addresses that suits; on the
// walk, so it allocates nothing.
func (t *Table) FindAddr(endpoint uint32, suits func(a *packet.Addr) bool) (packet.Addr, bool) {
	const most = 16
	at := t.endpoints.At(endpoint).first
	for range most {
		if at == 0 {
			break
		}
		b := t.bindings.At(at - 1)
		if suits(&b.addr) {
			return b.addr, true
		}
		at = b.next
	}
	return packet.Addr{}, false
}

// At finds the endpoint of a MAC on a port, in a segment.
func (t *Table) At(port packet.PortID, segment uint16, mac packet.MAC) (endpoint uint32, found bool) {
	return t.onPort(port, segment, mac)
}
