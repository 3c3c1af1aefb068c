package packet_test

import (
	"encoding/binary"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// A SYN's segment size is lowered to what fits, wherever the option stands, and
// never raised; what has none, or none that is whole, stays as it is. Its checksum
// stays right, and a partial one partial.
func TestClampMSS(t *testing.T) {
	for name, c := range map[string]struct {
		options []byte
		mtu     uint32
		v6      bool
		want    uint16 // 0: no change
	}{
		"v4":                     {options: []byte{2, 4, 5, 180}, mtu: 1400, want: 1360},
		"v6":                     {options: []byte{2, 4, 5, 180}, mtu: 1400, v6: true, want: 1340},
		"fits":                   {options: []byte{2, 4, 5, 80}, mtu: 1400},
		"smaller":                {options: []byte{2, 4, 2, 24}, mtu: 1400},
		"at_an_odd_place":        {options: []byte{1, 2, 4, 5, 180, 1, 0, 0}, mtu: 1450, want: 1410},
		"behind_others":          {options: []byte{4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 255, 255}, mtu: 1450, want: 1410},
		"none":                   {options: nil, mtu: 1000},
		"behind_the_end":         {options: []byte{0, 2, 4, 5, 180, 0, 0, 0}, mtu: 1000},
		"cut_short":              {options: []byte{1, 1, 2, 4}, mtu: 1000},
		"length_zero":            {options: []byte{3, 0, 2, 4, 5, 180, 0, 0}, mtu: 1000},
		"of_another_length":      {options: []byte{2, 3, 5, 1}, mtu: 1000},
		"longer_than_the_header": {options: []byte{8, 40, 2, 4}, mtu: 1000},
		"no_room_for_any":        {options: []byte{2, 4, 5, 180}, mtu: 40},
	} {
		for _, partial := range []bool{false, true} {
			s := packet.Spec{
				SrcMAC: packet.MAC{2}, DstMAC: packet.MAC{2, 1}, Src: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: packet.AddrFrom4([4]byte{10, 0, 0, 2}),
				Proto: packet.ProtoTCP, TCPFlags: packet.TCPSyn, TCPOptions: c.options, SrcPort: 1, DstPort: 2,
			}
			if c.v6 {
				s.Src, s.Dst = packet.Addr{0: 0xfd, 15: 1}, packet.Addr{0: 0xfd, 15: 2}
			}
			b, err := packet.Build(s)
			if err != nil {
				t.Fatal(err)
			}
			f := packet.NewFrame(b, 1)
			if reason := packet.Parse(f); reason != drop.None {
				t.Fatal(name, reason)
			}
			if partial {
				packettest.Partial(f)
			}
			before := string(f.Bytes())
			if got := packet.ClampMSS(f, c.mtu); got != (c.want != 0) {
				t.Errorf("%s: changed: %v", name, got)
				continue
			}
			if c.want == 0 {
				if string(f.Bytes()) != before {
					t.Errorf("%s: changed", name)
				}
				continue
			}
			if partial {
				packet.FinishChecksum(f)
			}
			packettest.Check(t, f.Bytes(), packettest.Checksums)
			at := f.Headers.L4 + 20
			for f.Bytes()[at] != 2 || f.Bytes()[at+1] != 4 {
				at++
			}
			if mss := binary.BigEndian.Uint16(f.Bytes()[at+2:]); mss != c.want {
				t.Errorf("%s: %d, want %d", name, mss, c.want)
			}
		}
	}
}
