package packet_test

import (
	"net/netip"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// A query of our own is one that we and others read: checksums right, and a query.
func TestWriteQuery(t *testing.T) {
	ip := func(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }
	for name, c := range map[string]struct{ from, group packet.Addr }{
		"general, IPv4": {ip("10.0.0.254"), packet.AddrFrom4([4]byte{})}, "of a group, IPv4": {ip("10.0.0.254"), ip("239.1.2.3")},
		"general, IPv6": {ip("fe80::1"), packet.Addr{}}, "of a group, IPv6": {ip("fe80::1"), ip("ff15::1:2")},
	} {
		f := new(packet.Frame)
		buf := make([]byte, 512)
		f.Begin(buf, packet.Headroom, packet.Headroom, 1)
		if !packet.WriteQuery(f, packet.MAC{2, 0xbb, 0, 0, 0, 1}, &c.from, &c.group) {
			t.Errorf("%s: it is not written", name)
			continue
		}
		packettest.Check(t, f.Bytes(), packettest.Checksums)
		again := packet.NewFrame(f.Bytes(), 1)
		if r := packet.Parse(again); r != drop.None || packet.MembershipOf(again) != packet.MembershipQuery {
			t.Errorf("%s: %s, %d", name, r, packet.MembershipOf(again))
		}
		f.Begin(buf[:packet.Headroom+60], packet.Headroom, packet.Headroom, 1)
		if packet.WriteQuery(f, packet.MAC{2}, &c.from, &c.group) {
			t.Errorf("%s: it is written where there is no room", name)
		}
	}
}
