package dataplane_test

import (
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
)

// On a veth a peer leaves the checksum of the packet in its tunnel unfinished,
// and the port cannot say so: the walk finds out behind the tunnel, too.
func TestAPartialChecksumInATunnel(t *testing.T) {
	r := newSwitch(t)
	s, ingress := r.written("up", "vxlan 192.168.0.2 > 192.168.0.1 vni=100 : tcp 10.0.0.4:40000 > 10.0.0.1:5432 syn seq=100 sum=partial")
	buf := make([]byte, packet.Headroom, packet.Headroom+len(s.bytes))
	buf = append(buf, s.bytes...)
	r.batch.Reset()
	f := r.batch.Next()
	f.Begin(buf, packet.Headroom, uint32(len(buf)), ingress)
	f.MaybePartial = true
	dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	if f.Headers.Key.DstPort != 5432 {
		t.Fatalf("not taken out of its tunnel: %v", f.Reason)
	}
	if f.Offload.Checksum != packet.ChecksumPartial {
		t.Errorf("found to be %d, want partial", f.Offload.Checksum)
	}
}
