package vnet

import (
	"bytes"
	"testing"

	"bulkhead/dataplane/packet"
)

// tcp4 is a frame of n bytes whose TCP header begins at 34.
func tcp4(n int) []byte {
	b := make([]byte, n)
	b[12], b[13] = 0x08, 0x00
	if n > 46 {
		b[46] = 5 << 4
	}
	return b
}

// as6 makes the frame IPv6, tagged so often.
func as6(b []byte, tags int) []byte {
	for i := range tags {
		b[12+4*i], b[13+4*i] = 0x81, 0x00
	}
	b[12+4*tags], b[13+4*tags] = 0x86, 0xdd
	return b
}

func header(flags, gso byte, hdrLen, size, start, offset uint16) []byte {
	return []byte{flags, gso, byte(hdrLen), byte(hdrLen >> 8), byte(size), byte(size >> 8),
		byte(start), byte(start >> 8), byte(offset), byte(offset >> 8)}
}

func TestDecode(t *testing.T) {
	partial := packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: 34, CsumOffset: 16}
	super := func(kind packet.GSO, headers uint16, ecn bool) packet.Offload {
		o := partial
		o.GSO, o.Size, o.HeaderLen, o.ECN = kind, 1448, headers, ecn
		return o
	}
	for name, tt := range map[string]struct {
		header, frame []byte
		want          packet.Offload
		ok            bool
	}{
		"nothing to do":        {header(0, 0, 0, 0, 0, 0), tcp4(60), packet.Offload{}, true},
		"checksum vouched for": {header(2, 0, 0, 0, 0, 0), tcp4(60), packet.Offload{Checksum: packet.ChecksumGood}, true},
		"checksum partial":     {header(1, 0, 54, 0, 34, 16), tcp4(60), partial, true},
		"field ends the frame": {header(1, 0, 0, 0, 34, 16), tcp4(52), partial, true},
		"tcp4":                 {header(1, 1, 9999, 1448, 34, 16), tcp4(9000), super(packet.GSOTCP4, 54, false), true},
		"tcp4 with ECN":        {header(1, 0x81, 54, 1448, 34, 16), tcp4(9000), super(packet.GSOTCP4, 54, true), true},
		"tcp6":                 {header(1, 4, 54, 1448, 34, 16), as6(tcp4(9000), 0), super(packet.GSOTCP6, 54, false), true},
		"udp4":                 {header(1, 5, 42, 1448, 34, 16), tcp4(9000), super(packet.GSOUDP4, 42, false), true},
		"udp6, two tags":       {header(1, 5, 42, 1448, 34, 16), as6(tcp4(9000), 2), super(packet.GSOUDP6, 42, false), true},

		"field beyond the frame":       {header(1, 0, 0, 0, 34, 16), tcp4(51), packet.Offload{}, false},
		"start beyond the frame":       {header(1, 0, 0, 0, 65535, 65535), tcp4(60), packet.Offload{}, false},
		"sums the Ethernet header":     {header(1, 0, 0, 0, 13, 16), tcp4(60), packet.Offload{}, false},
		"unknown flag":                 {header(4, 0, 0, 0, 0, 0), tcp4(60), packet.Offload{}, false},
		"superframe without checksum":  {header(0, 1, 54, 1448, 34, 16), tcp4(9000), packet.Offload{}, false},
		"superframe vouched for":       {header(2, 1, 54, 1448, 34, 16), tcp4(9000), packet.Offload{}, false},
		"segments of nothing":          {header(1, 1, 54, 0, 34, 16), tcp4(9000), packet.Offload{}, false},
		"UFO, gone since Linux 4.14":   {header(1, 3, 42, 1448, 34, 6), tcp4(9000), packet.Offload{}, false},
		"unknown kind":                 {header(1, 7, 54, 1448, 34, 16), tcp4(9000), packet.Offload{}, false},
		"in a UDP tunnel":              {header(1, 0x21, 54, 1448, 34, 16), tcp4(9000), packet.Offload{}, false},
		"ECN of UDP":                   {header(1, 0x85, 42, 1448, 34, 6), tcp4(9000), packet.Offload{}, false},
		"tcp4 over IPv6":               {header(1, 1, 54, 1448, 34, 16), as6(tcp4(9000), 0), packet.Offload{}, false},
		"tcp6 over IPv4":               {header(1, 4, 54, 1448, 34, 16), tcp4(9000), packet.Offload{}, false},
		"tcp over three tags":          {header(1, 4, 54, 1448, 34, 16), as6(tcp4(9000), 3), packet.Offload{}, false},
		"tcp over ARP":                 {header(1, 1, 54, 1448, 34, 16), make([]byte, 9000), packet.Offload{}, false},
		"no payload":                   {header(1, 1, 54, 1448, 34, 16), tcp4(54), packet.Offload{}, false},
		"frame ends in the TCP header": {header(1, 1, 54, 1448, 34, 16), tcp4(53), packet.Offload{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Decode(tt.header, tt.frame)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("%+v, %v; want %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestEncodeIsWhatDecodeReads(t *testing.T) {
	for _, o := range []packet.Offload{
		{},
		{Checksum: packet.ChecksumPartial, CsumStart: 34, CsumOffset: 16},
		{Checksum: packet.ChecksumPartial, CsumStart: 34, CsumOffset: 16, GSO: packet.GSOTCP4, Size: 1448, HeaderLen: 54, ECN: true},
		{Checksum: packet.ChecksumPartial, CsumStart: 34, CsumOffset: 6, GSO: packet.GSOUDP4, Size: 1200, HeaderLen: 42},
	} {
		h := bytes.Repeat([]byte{0xff}, HeaderLen) // the headroom is never clean
		Encode(h, &o)
		if got, ok := Decode(h, tcp4(9000)); !ok || got != o {
			t.Errorf("%+v came back as %+v, %v", o, got, ok)
		}
	}
	h := make([]byte, HeaderLen)
	if Encode(h, &packet.Offload{Checksum: packet.ChecksumGood}); !bytes.Equal(h, make([]byte, HeaderLen)) {
		t.Errorf("a good checksum: %x", h)
	}
}

// FuzzDecode: whatever workload and kernel say, an offload that is believed
// lies inside its frame.
func FuzzDecode(f *testing.F) {
	f.Add(header(1, 1, 54, 1448, 34, 16), tcp4(9000))
	f.Add(header(1, 4, 74, 1428, 54, 16), as6(tcp4(9000), 1))
	f.Add(header(1, 5, 42, 1, 34, 6), tcp4(43))
	f.Add(header(1, 0x81, 0xffff, 0xffff, 0xffff, 0xffff), tcp4(60))
	f.Fuzz(func(t *testing.T, h, frame []byte) {
		if len(h) < HeaderLen || len(frame) < EthernetLen {
			return
		}
		o, ok := Decode(h, frame)
		if !ok {
			return
		}
		n := len(frame)
		if o.Checksum == packet.ChecksumPartial && (o.CsumStart < EthernetLen || int(o.CsumStart)+int(o.CsumOffset)+2 > n) {
			t.Errorf("checksum at %d+%d of %d bytes", o.CsumStart, o.CsumOffset, n)
		}
		if o.GSO != packet.GSONone && (o.Checksum != packet.ChecksumPartial || o.Size == 0 || int(o.HeaderLen) >= n || o.HeaderLen < o.CsumStart+8) {
			t.Errorf("superframe %+v of %d bytes", o, n)
		}
	})
}
