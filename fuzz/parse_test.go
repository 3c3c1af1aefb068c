package fuzz

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// FuzzParse: any bytes parse or are refused, as the second reader reads or refuses
// them, and both find the same in them. Of TCP gopacket is asked, too.
func FuzzParse(f *testing.F) {
	for _, s := range packettest.Seeds() {
		f.Add(s.Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 9000 {
			return
		}
		frame := packet.NewFrame(b, 1)
		reason := packet.Parse(frame)
		said := read(b)
		if (reason == drop.None) != (said.refused == "") {
			t.Fatalf("%x\nParse says %s; the reader says %q", b, reason, said.refused)
		}
		if reason != drop.None {
			return
		}
		agrees(t, frame, said)
		h := &frame.Headers
		if h.Kind != packet.KindIP || h.Key.Proto != packet.ProtoTCP || said.part {
			return
		}
		p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
		if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
			if uint16(tcp.SrcPort) != h.Key.SrcPort || uint16(tcp.DstPort) != h.Key.DstPort || tcp.Seq != h.TCPSeq {
				t.Fatalf("gopacket reads %v, Parse %+v", tcp, *h)
			}
		}
	})
}

// agrees holds what Parse found to what the reader did.
func agrees(t *testing.T, frame *packet.Frame, said *facts) {
	t.Helper()
	h := &frame.Headers
	kind := packet.KindIP
	switch {
	case said.arp != nil:
		kind = packet.KindARP
	case said.part:
		kind = packet.KindFragment
	case said.nd:
		kind = packet.KindND
	}
	same := h.Kind == kind && h.Dst == packet.MAC(said.dst) && h.Src == packet.MAC(said.src) && int(h.VLANs) == len(said.tags) && int(h.PacketEnd) == said.end
	for i, tci := range said.tags {
		same = same && h.VLAN[i] == tci
	}
	if kind == packet.KindARP {
		a := packet.ARPOf(frame)
		again := append(append(append(a.SenderMAC[:], a.SenderIP[12:]...), a.TargetMAC[:]...), a.TargetIP[12:]...)
		if !same || !bytes.Equal(again, said.arp[8:]) {
			t.Fatalf("%x\nParse %+v\nreader %+v", frame.Bytes(), *h, *said)
		}
		return
	}
	same = same && h.V6 == said.v6 && h.TTL == said.hops && h.Key.Src == addrOf(said.from) && h.Key.Dst == addrOf(said.to) && h.Key.Proto == said.proto &&
		h.Key.SrcPort == said.sport && h.Key.DstPort == said.dport && (h.Key.Query != packet.QueryNone) == said.question &&
		int(h.L4) == said.end-len(said.transport) && h.TCPFlags == said.flags && h.TCPSeq == said.seq && h.TCPAck == said.ack && h.TCPWindow == said.window &&
		h.ICMPType == said.kind && h.ICMPCode == said.code && h.ICMPError == (said.about != nil)
	if said.part {
		same = same && h.Fragment.ID == said.partID && int(h.Fragment.Offset) == said.partOffset && h.Fragment.More == said.partMore
	}
	if q := said.about; q != nil {
		same = same && h.Inner.Src == addrOf(q.from) && h.Inner.Dst == addrOf(q.to) && h.Inner.Proto == q.proto && h.Inner.SrcPort == q.sport &&
			h.Inner.DstPort == q.dport && (h.Inner.Query != packet.QueryNone) == q.question && int(h.InnerL4) == said.end-len(q.transport)
	}
	if !same {
		t.Fatalf("%x\nParse %+v\nreader %+v, about %+v", frame.Bytes(), *h, *said, said.about)
	}
}

func addrOf(a netip.Addr) packet.Addr {
	if a.Is4() {
		return packet.AddrFrom4(a.As4())
	}
	return a.As16()
}

// FuzzPadding: what is behind the packet is not read, whatever it is and however
// long, and no more is what lies in memory before and behind the frame; and of a
// packet that has lost its end nothing is left.
func FuzzPadding(f *testing.F) {
	for i, s := range packettest.Seeds() {
		f.Add(s.Bytes, []byte{byte(i), 0xa5, 0xff}, uint16(i*7))
	}
	f.Fuzz(func(t *testing.T, b, padding []byte, cut uint16) {
		if len(b) > 4000 || len(padding) > 1500 {
			return
		}
		whole := packet.NewFrame(b, 1)
		if packet.Parse(whole) != drop.None {
			return
		}
		want := whole.Headers
		same := func(name string, b []byte) {
			frame := packet.NewFrame(b, 1)
			for i := range frame.Buf[:frame.Start] {
				frame.Buf[i] = 0xa5
			}
			for i := range frame.Buf[frame.End:] {
				frame.Buf[int(frame.End)+i] = 0x5a
			}
			if reason := packet.Parse(frame); reason != drop.None || frame.Headers != want {
				t.Fatalf("%s, %x: %s, %+v; without %+v", name, b, reason, frame.Headers, want)
			}
		}
		end := int(want.PacketEnd)
		same("without padding", b[:end:end])
		same("with padding", append(b[:end:end], padding...))
		same("with some of it", b[:end+int(cut)%(len(b)-end+1)])
		short := packet.NewFrame(b[:int(cut)%end], 1)
		if packet.Parse(short) == drop.None {
			t.Fatalf("%x is cut to %d of %d bytes, and parses: %+v", b, short.Len(), end, short.Headers)
		}
	})
}
