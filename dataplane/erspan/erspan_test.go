package erspan

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// The bytes, worked out by hand from the drawing.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		h    Header
		want string
	}{
		{"type_2", Header{Type: II, Session: 7, Sequence: 1, Index: 5}, "100088be" + "00000001" + "10000007" + "00000005"},
		{"type_2_cut", Header{Type: II, Session: 1023, Sequence: 0xffffffff, Cut: true, Index: MaxIndex}, "100088be" + "ffffffff" + "100007ff" + "000fffff"},
		{"type_2_tag_20_priority_5", Header{Type: II, Session: 1, VLAN: 0xa014, Tagged: true}, "100088be" + "00000000" + "1014b801" + "00000000"},
		{"type_3", Header{Type: III, Session: 7, Sequence: 2, Time: 1_500_000}, "100022eb" + "00000002" + "20000007" + "0000000f" + "00000000"},
		{"type_3_out_cut", Header{Type: III, Session: 7, Cut: true, Out: true}, "100022eb" + "00000000" + "20000407" + "00000000" + "00000008"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := make([]byte, c.h.Type.Len())
			Put(b, &c.h)
			if got := hex.EncodeToString(b); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			got, frame, good := Get(append(b, 0xab))
			if !good || len(frame) != 1 || got != c.h {
				t.Errorf("read back as %+v, %x, %v", got, frame, good)
			}
			for n := range b {
				if _, _, good := Get(b[:n]); good {
					t.Errorf("%d bytes of it are one", n)
				}
			}
		})
	}
}

// What is drawn is read by gopacket as it was written, type II.
func TestGopacketReadsTypeII(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		h := Header{Type: II, Session: uint16(r.IntN(MaxSession + 1)), Sequence: r.Uint32(), Index: r.Uint32() & MaxIndex, Cut: r.IntN(2) == 0}
		if h.Tagged = r.IntN(2) == 0; h.Tagged {
			h.VLAN = uint16(r.IntN(1<<16)) &^ (1 << 12)
		}
		b := make([]byte, II.Len(), 64)
		Put(b, &h)
		p := gopacket.NewPacket(append(b, make([]byte, 60)...), layers.LayerTypeGRE, gopacket.Default)
		gre, is := p.Layer(layers.LayerTypeGRE).(*layers.GRE)
		if !is || !gre.SeqPresent || gre.Seq != h.Sequence || gre.Version != 0 {
			t.Fatalf("GRE %+v of %+v", gre, h)
		}
		e, is := p.Layer(layers.LayerTypeERSPANII).(*layers.ERSPANII)
		if !is || e.Version != 1 || e.SessionID != h.Session || e.Index != h.Index || e.IsTruncated != h.Cut || e.VLANIdentifier != h.VLAN&0xfff || e.CoS != uint8(h.VLAN>>13) {
			t.Fatalf("ERSPAN %+v of %+v", e, h)
		}
	}
}
