package checksum

import (
	"encoding/binary"
	"testing"
)

// udp4 is a superframe of UDP over IPv4 with n bytes of payload, all zero.
func udp4(n int) Superframe {
	b := make([]byte, 14+20+8+n)
	b[14] = 0x45
	copy(b[26:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	return Superframe{Frame: b, L3: 14, L4: 34, Payload: 42, End: len(b), Size: 100}
}

// What does not fit together is not cut: it would be written into many frames.
func TestSegmenterRefusesContradictions(t *testing.T) {
	cases := map[string]func(f *Superframe){
		"size_zero":                func(f *Superframe) { f.Size = 0 },
		"size_negative":            func(f *Superframe) { f.Size = -1 },
		"no_payload":               func(f *Superframe) { f.End = f.Payload },
		"end_behind_frame":         func(f *Superframe) { f.End++ },
		"ip_inside_ethernet":       func(f *Superframe) { f.L3 = 13 },
		"transport_inside_ip":      func(f *Superframe) { f.L4 = 33 },
		"options_behind_transport": func(f *Superframe) { f.Frame[14] = 0x46 },
		"header_length_too_small":  func(f *Superframe) { f.Frame[14] = 0x44 },
		"ipv6_too_short":           func(f *Superframe) { f.V6 = true },
		"tcp_too_short":            func(f *Superframe) { f.TCP = true },
		"payload_inside_udp":       func(f *Superframe) { f.Payload = 41 },
		"tunnel_of_unknown_length": func(f *Superframe) { f.Outer, f.L3, f.L4, f.Payload = 51, 65, 85, 93 },
		"tunnel_negative":          func(f *Superframe) { f.Outer = -1 },
		"tunnel_over_ip":           func(f *Superframe) { f.Outer = 50 },
	}
	for name, edit := range cases {
		f := udp4(1000)
		edit(&f)
		var s Segmenter
		if s.Init(f) || s.NextLen() != 0 || s.Next(make([]byte, 2000)) != 0 {
			t.Errorf("%s: can be cut", name)
		}
	}
	var s Segmenter
	if !s.Init(udp4(1000)) {
		t.Error("what the cases change cannot be cut either: they show nothing")
	}
}

// A UDP checksum that comes out as zero is written as ffff: zero means none.
func TestSegmentOfUDPWithSumOfZero(t *testing.T) {
	f := udp4(100)
	var s Segmenter
	dst := make([]byte, 200)
	s.Init(f)
	n := s.Next(dst)
	// The last word of the payload takes up what is missing to a sum of ffff.
	sum := binary.BigEndian.Uint16(dst[40:])
	binary.BigEndian.PutUint16(f.Frame[n-2:], sum)
	s.Init(f)
	s.Next(dst)
	if got := binary.BigEndian.Uint16(dst[40:]); got != 0xffff {
		t.Errorf("checksum is %04x, want ffff", got)
	}
}
