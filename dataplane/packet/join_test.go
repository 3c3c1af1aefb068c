package packet_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// parsed makes a frame of a segment as it comes in, its checksum looked at.
func parsed(t packettest.TB, b []byte) *packet.Frame {
	t.Helper()
	f := packettest.Frame(b, packet.Headroom)
	if reason := packet.Parse(f); reason != drop.None || !packet.VerifyChecksum(f) {
		t.Fatalf("a segment is wrong: %s", reason)
	}
	f.Offload.Checksum = packet.ChecksumGood
	return f
}

func newJoiner() *packet.Joiner {
	j := new(packet.Joiner)
	j.Init(make([]byte, packet.JoinerSize))
	return j
}

// What was cut is joined to what it was: byte for byte, offload and headers
// included.
func TestJoinUndoesCut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		gso := rapid.SampledFrom([]packet.GSO{packet.GSOTCP4, packet.GSOTCP6}).Draw(r, "gso")
		size := rapid.IntRange(1, 1448).Draw(r, "size")
		payload := rapid.IntRange(size+1, size+min(40*size, 60000)).Draw(r, "payload")
		f := superframe(r, gso, min(payload, 64000), size)
		f.Bytes()[f.Headers.L4+13] = packet.TCPAckFlag | byte(rapid.SampledFrom([]int{0, packet.TCPPsh}).Draw(r, "push"))
		if reason := packet.Parse(f); reason != drop.None {
			r.Fatalf("superframe: %s", reason)
		}
		want, offload := bytes.Clone(f.Bytes()), f.Offload
		j := newJoiner()
		for i, b := range cut(r, f) {
			s := parsed(r, append(b, 0, 0)) // padding has no effect
			if i == 0 && !j.Start(s) || i > 0 && !j.Add(s) {
				r.Fatalf("segment %d was not taken", i)
			}
		}
		var out packet.Frame
		j.Frame(&out)
		if !bytes.Equal(out.Bytes(), want) {
			r.Fatalf("joined\n%x\nwant\n%x", out.Bytes()[:80], want[:80])
		}
		if out.Offload != offload {
			r.Errorf("offload %+v, want %+v", out.Offload, offload)
		}
		joined := out.Headers
		if reason := packet.Parse(&out); reason != drop.None || out.Headers != joined {
			r.Errorf("the superframe is %s, its headers %+v", reason, joined)
		}
		if len(cut(r, &out)) != j.Count() {
			r.Errorf("cut again into others than %d", j.Count())
		}
	})
}

// What must not be joined: each case is the second of three segments, changed.
func TestJoinRefuses(t *testing.T) {
	type change func(b []byte, h *packet.Headers) []byte
	at := func(of func(*packet.Headers) uint16, n int, to byte) change {
		return func(b []byte, h *packet.Headers) []byte { b[int(of(h))+n] ^= to; return b }
	}
	l3, l4 := func(h *packet.Headers) uint16 { return h.L3 }, func(h *packet.Headers) uint16 { return h.L4 }
	eth := func(*packet.Headers) uint16 { return 0 }
	cases := map[string]change{
		"source_mac":      at(eth, 11, 1),
		"sequence_number": at(l4, 7, 1),
		"acknowledgement": at(l4, 11, 1),
		"port":            at(l4, 1, 1),
		"fin":             at(l4, 13, packet.TCPFin),
		"syn":             at(l4, 13, packet.TCPSyn),
		"rst":             at(l4, 13, packet.TCPRst),
		"urg":             at(l4, 13, packet.TCPUrg),
		"ece":             at(l4, 13, packet.TCPEce),
		"cwr":             at(l4, 13, packet.TCPCwr),
		"no_ack":          at(l4, 13, packet.TCPAckFlag),
		"window":          at(l4, 15, 1),
	}
	v4, v6 := map[string]change{"tos": at(l3, 1, 1), "ttl": at(l3, 8, 1), "no_df": at(l3, 6, 0x40), "address": at(l3, 19, 1)},
		map[string]change{"traffic_class": at(l3, 1, 0x10), "flow_label": at(l3, 3, 1), "hop_limit": at(l3, 7, 1), "address": at(l3, 39, 1)}
	for _, family := range []struct {
		gso  packet.GSO
		more map[string]change
	}{{packet.GSOTCP4, v4}, {packet.GSOTCP6, v6}} {
		for _, list := range []map[string]change{cases, family.more, {"nothing": nil}} {
			for name, change := range list {
				t.Run(gsoKinds[family.gso]+"/"+name, func(t *testing.T) {
					f := superframe(t, family.gso, 3000, 1000)
					f.Bytes()[f.Headers.L4+13] = packet.TCPAckFlag
					segments := cut(t, f)
					h := f.Headers
					if change != nil {
						segments[1] = remade(t, change(segments[1], &h), &h)
					}
					j := newJoiner()
					if !j.Start(parsed(t, segments[0])) {
						t.Fatal("the first was not taken")
					}
					if got := j.Add(parsed(t, segments[1])); got != (change == nil) {
						t.Errorf("taken: %v", got)
					}
				})
			}
		}
	}
}

// remade makes the checksums of a segment right again.
func remade(t *testing.T, b []byte, h *packet.Headers) []byte {
	t.Helper()
	if !h.V6 {
		b[h.L3+10], b[h.L3+11] = 0, 0
		sum := uint32(0)
		for i := int(h.L3); i < int(h.L4); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		sum = sum>>16 + sum&0xffff
		binary.BigEndian.PutUint16(b[h.L3+10:], ^uint16(sum>>16+sum))
	}
	f := packettest.Frame(b, 0)
	if reason := packet.Parse(f); reason != drop.None {
		t.Fatalf("the test made a bad frame: %s", reason)
	}
	packettest.Partial(f)
	packet.FinishChecksum(f)
	return f.Bytes()
}

// A segment shorter than the others, or pushed, is the last; a longer one is
// none; and nothing is joined whose checksum nobody has looked at.
func TestJoinEnds(t *testing.T) {
	segments := func(sizes ...int) (out []*packet.Frame) {
		seq := uint32(100)
		for _, size := range sizes {
			f := superframe(t, packet.GSOTCP4, size, size)
			b := cut(t, f)[0]
			b[f.Headers.L4+13] = packet.TCPAckFlag
			binary.BigEndian.PutUint32(b[f.Headers.L4+4:], seq)
			seq += uint32(size)
			out = append(out, parsed(t, remade(t, b, &f.Headers)))
		}
		return out
	}
	for name, c := range map[string]struct {
		frames []*packet.Frame
		spoil  func([]*packet.Frame)
		want   int
	}{
		"all":             {segments(100, 100, 100), nil, 3},
		"short_is_last":   {segments(100, 50, 50), nil, 2},
		"long_is_none":    {segments(100, 101), nil, 1},
		"pushed_is_last":  {segments(100, 100, 100), func(f []*packet.Frame) { f[1].Headers.TCPFlags |= packet.TCPPsh }, 2},
		"unknown_is_none": {segments(100, 100), func(f []*packet.Frame) { f[1].Offload.Checksum = packet.ChecksumUnknown }, 1},
		"bad_is_none":     {segments(100, 100), func(f []*packet.Frame) { f[1].Offload.Checksum = packet.ChecksumBad }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if c.spoil != nil {
				c.spoil(c.frames)
			}
			j := newJoiner()
			if !j.Start(c.frames[0]) {
				t.Fatal("the first was not taken")
			}
			for _, f := range c.frames[1:] {
				j.Add(f)
			}
			if j.Count() != c.want {
				t.Errorf("%d joined, want %d", j.Count(), c.want)
			}
		})
	}
}

func TestJoinAllocatesNothing(t *testing.T) {
	f := superframe(t, packet.GSOTCP4, 3000, 1000)
	f.Bytes()[f.Headers.L4+13] = packet.TCPAckFlag
	var frames []*packet.Frame
	for _, b := range cut(t, f) {
		frames = append(frames, parsed(t, b))
	}
	j, out := newJoiner(), packet.Frame{}
	if n := testing.AllocsPerRun(100, func() {
		j.Start(frames[0])
		j.Add(frames[1])
		j.Add(frames[2])
		j.Frame(&out)
	}); n != 0 || j.Count() != 3 {
		t.Errorf("%v allocations, %d joined", n, j.Count())
	}
}
