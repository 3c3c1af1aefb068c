package fuzz

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// FuzzParse: any bytes parse or are refused; what parses lies in the frame,
// does not depend on padding, and says what gopacket says.
func FuzzParse(f *testing.F) {
	for _, s := range packettest.Seeds() {
		f.Add(s.Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 9000 {
			return
		}
		frame := packet.NewFrame(b, 1)
		if packet.Parse(frame) != drop.None {
			return
		}
		h := frame.Headers
		if int(h.PacketEnd) > len(b) || h.L3 > uint16(h.PacketEnd) {
			t.Fatalf("offsets outside the frame: %+v", h)
		}
		padded := packet.NewFrame(append(append([]byte(nil), b...), make([]byte, 37)...), 1)
		if packet.Parse(padded) != drop.None || padded.Headers != h {
			t.Fatalf("padding changes what is read: %+v and %+v", h, padded.Headers)
		}
		if h.Kind != packet.KindIP || h.ICMPError {
			return
		}
		p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
		if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && h.Key.Proto == packet.ProtoTCP {
			if uint16(tcp.SrcPort) != h.Key.SrcPort || uint16(tcp.DstPort) != h.Key.DstPort || tcp.Seq != h.TCPSeq {
				t.Fatalf("gopacket reads %v, Parse %+v", tcp, h)
			}
		}
	})
}
