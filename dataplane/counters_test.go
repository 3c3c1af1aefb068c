package dataplane_test

import (
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/vxlan"
)

// A frame is booked with the length it came in with, and with the one it goes
// out with: a tunnel lies between the two.
func TestBytesAreCountedAtTheEdges(t *testing.T) {
	r := newRig(t)
	overlay(t, r)
	const frame = 14 + 20 + 8 + 100
	peer := packet.MAC{2, 0, 0, 0, 0, 9}
	r.worker.State.Neighbours.ShouldSolicit(dataplane.UnderlaySegment, ptr(addr("192.0.2.2")), r.now)
	r.worker.State.Neighbours.Answer(dataplane.UnderlaySegment, ptr(addr("192.0.2.2")), peer, r.now)

	out := r.send(1, packet.Spec{SrcMAC: macWeb, DstMAC: macGW, Src: addr("10.0.0.1"), Dst: addr("10.0.1.3"), Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 53, Payload: make([]byte, 100)})
	if out.Reason != drop.None || out.Egress != 5 {
		t.Fatalf("ended as %s, at port %d", out.Reason, out.Egress)
	}
	if c := &r.worker.Counters.Ports[1]; c.InBytes != frame || c.OutBytes != frame+vxlan.Overhead4 {
		t.Errorf("into the tunnel: %d bytes in, %d out; want %d, %d", c.InBytes, c.OutBytes, frame, frame+vxlan.Overhead4)
	}

	back := *out
	b := append([]byte(nil), back.Bytes()...)
	copy(b[26:30], []byte{192, 0, 2, 2}) // the peer answers: both outer addresses turned round,
	copy(b[30:34], []byte{192, 0, 2, 1}) // which leaves the header's sum as it was
	in := r.sendBytes(5, b)
	if in.Reason == drop.UnknownPeer || in.Reason == drop.BadIPv4Checksum {
		t.Fatalf("ended as %s", in.Reason)
	}
	if c := &r.worker.Counters.Ports[5]; c.InBytes != frame+vxlan.Overhead4 {
		t.Errorf("out of the tunnel: %d bytes in, want %d", c.InBytes, frame+vxlan.Overhead4)
	}
}

func ptr[T any](v T) *T { return &v }

// overlay moves the api of the rig behind a peer, reached by port 5.
func overlay(t *testing.T, r *rig) {
	t.Helper()
	b := vxlan.NewBuilder()
	b.Local(addr("192.0.2.1"))
	b.Segment(0, 100)
	b.Segment(1, 101)
	b.Peer(0, addr("192.0.2.2"), []uint16{0, 1})
	tunnels, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	r.snapshot.Tunnels = tunnels
	r.snapshot.Ports = append(r.snapshot.Ports, dataplane.Port{Role: dataplane.RoleUplink, Segment: dataplane.NoSegment, MTU: 1600, MAC: packet.MAC{2, 0, 0, 0, 0, 8}})
	r.snapshot.Underlay = dataplane.Underlay{Port: 5, Segment: dataplane.UnderlaySegment, Addrs: [2]packet.Addr{addr("192.0.2.1")}, Bits: [2]uint8{24}}
	api, _, found := r.snapshot.Identity.ByAddr(1, ptr(addr("10.0.1.3")))
	if !found {
		t.Fatal("api is not known")
	}
	e := r.snapshot.Identity.Endpoint(api)
	e.Port, e.Peer = packet.NoPort, 0
}
