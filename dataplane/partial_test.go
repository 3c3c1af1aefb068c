package dataplane_test

import (
	"net/netip"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/dataplane/vxlan"
)

// On a veth a peer leaves the checksum of the packet in its tunnel unfinished,
// and the port cannot say so: the walk finds out behind the tunnel, too.
func TestAPartialChecksumInATunnel(t *testing.T) {
	ether := packettest.Ethernet()
	ether.DstMAC = macDB[:]
	inner := packettest.Frame(packettest.Make(ether, packettest.IPv4(netip.MustParseAddr("10.0.0.77"), netip.MustParseAddr("10.0.0.2")),
		packettest.TCP(1024, 5432, packet.TCPSyn), packettest.Payload(100)), 0)
	if reason := packet.Parse(inner); reason != drop.None {
		t.Fatal(reason)
	}
	packettest.Partial(inner)
	tunnel := packettest.Make(packettest.Ethernet(), packettest.IPv4(packettest.A4, packettest.B4),
		packettest.UDP(50000, vxlan.DefaultPort), packettest.VXLAN(7), packettest.Raw(inner.Bytes()...))
	tunnel[40], tunnel[41] = 0, 0 // no checksum without

	r := newRig(t)
	b := vxlan.NewBuilder()
	b.Local(packettest.Addr(packettest.B4))
	b.Segment(0, 7)
	b.Peer(0, packettest.Addr(packettest.A4), []uint16{0})
	var err error
	if r.snapshot.Tunnels, err = b.Build(); err != nil {
		t.Fatal(err)
	}
	r.snapshot.Segments[0].Learning = true // anybody may speak there
	r.snapshot.Ports[4] = dataplane.Port{Role: dataplane.RoleUplink, Segment: dataplane.NoSegment, MTU: 1500}
	f := packettest.Frame(tunnel, packet.Headroom)
	f.Ingress, f.MaybePartial = 4, true
	r.batch.Reset()
	*r.batch.Next() = *f
	dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	got := r.batch.Frame(0)
	if got.Headers.Key.DstPort != 5432 {
		t.Fatalf("not taken out of its tunnel: %v", got.Reason)
	}
	if got.Offload.Checksum != packet.ChecksumPartial {
		t.Errorf("found to be %d, want partial", got.Offload.Checksum)
	}
}
