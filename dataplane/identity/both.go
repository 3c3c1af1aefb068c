package identity

import "bulkhead/dataplane/packet"

// ByMACFor finds the endpoint of a MAC in a segment, as ByMAC does, and tells
// whether packets for an address may be given to it, as Owns does. Nearly every
// packet is for an endpoint's own address, and then one look-up, of the
// address, answers both; no two endpoints of a segment have one MAC.
func (t *Table) ByMACFor(segment uint16, mac packet.MAC, zone uint16, a *packet.Addr) (endpoint uint32, owns, found bool) {
	if b := t.binding(zone, a); b != nil && b.mac == mac && b.segment == segment {
		return b.endpoint, true, true
	}
	if endpoint, found = t.ByMAC(segment, mac); found {
		owns = t.Owns(endpoint, zone, a)
	}
	return endpoint, owns, found
}
