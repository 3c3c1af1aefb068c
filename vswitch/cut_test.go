package vswitch

import (
	"bytes"
	"fmt"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// A superframe on its way to a port that does not take it whole comes out as
// the segments it stands for, of any length that the MTU allows: jumbo ones do
// not fit the chunks that ordinary ones lie in.
func TestCut(t *testing.T) {
	for _, size := range []int{1000, 3900, 3914, 3915, 8900} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			region, err := port.NewRegion(make([]byte, 80*port.ChunkSize))
			if err != nil {
				t.Fatal(err)
			}
			w := &worker{pool: port.NewPool(region)}
			out, err := mem.New(mem.Config{Name: "out", MTU: 9000, Caps: &port.Caps{}})
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			if err := out.Up(); err != nil {
				t.Fatal(err)
			}
			payload := packettest.Payload(60000)
			f := packettest.Frame(packettest.Make(packettest.Ethernet(), packettest.IPv4(packettest.A4, packettest.B4),
				packettest.TCP(1, 2, packet.TCPAckFlag), payload), packet.Headroom)
			if reason := packet.Parse(f); reason != drop.None {
				t.Fatal(reason)
			}
			packettest.Partial(f)
			f.Offload.GSO, f.Offload.Size, f.Offload.HeaderLen = packet.GSOTCP4, uint16(size), f.Headers.Payload
			w.cut(out.Queues()[0], f)
			if f.Reason != drop.None {
				t.Fatal(f.Reason)
			}
			var got []byte
			for {
				s, found := out.Take(0)
				if !found {
					break
				}
				if n := len(s.Bytes) - 54; n > size || n < size && len(got)+n != len(payload) {
					t.Errorf("a segment of %d bytes", n)
				}
				packettest.Check(t, s.Bytes, packettest.Checksums)
				got = append(got, s.Bytes[54:]...)
			}
			if !bytes.Equal(got, payload) {
				t.Errorf("%d bytes of payload came out of %d, or others", len(got), len(payload))
			}
			if w.pool.Drain(); region.Free() != region.Chunks() {
				t.Errorf("%d of %d chunks are left", region.Free(), region.Chunks())
			}
		})
	}
}
