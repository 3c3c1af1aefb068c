package checksum

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// slowSum is RFC 1071 as it is told: a word at a time, the carry added back at
// once.
func slowSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		if sum += word; sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

// RFC 1071 section 3: the bytes 00 01 f2 03 f4 f5 f6 f7 sum to ddf2.
func TestSumOfRFC1071Example(t *testing.T) {
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Fold(Sum(b, 0)); got != 0xddf2 {
		t.Errorf("sum = %04x, want ddf2", got)
	}
	if got := Of(b, 0); got != 0x220d {
		t.Errorf("checksum = %04x, want 220d", got)
	}
}

// Every length around the block size, and contents that carry the most.
func TestSumMatchesSlowSum(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for size := range 400 {
		noise := make([]byte, size)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		for name, b := range map[string][]byte{
			"noise": noise, "ones": bytes.Repeat([]byte{0xff}, size), "zeros": make([]byte, size),
		} {
			if got, want := Fold(Sum(b, 0)), slowSum(b); got != want {
				t.Errorf("%s of %d bytes: %04x, want %04x", name, size, got, want)
			}
		}
	}
	b := bytes.Repeat([]byte{0xff, 0xfe}, 40000)
	if got, want := Fold(Sum(b, 0)), slowSum(b); got != want {
		t.Errorf("80000 bytes: %04x, want %04x", got, want)
	}
}

// Sums of parts add up, in any order, as long as the parts are even.
func TestSumsOfPartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "b")
		cut := rapid.IntRange(0, len(b)/2).Draw(t, "cut") * 2
		want := slowSum(b)
		if got := Fold(Sum(b[cut:], Sum(b[:cut], 0))); got != want {
			t.Fatalf("front to back: %04x, want %04x", got, want)
		}
		if got := Fold(Sum(b[:cut], 0) + Sum(b[cut:], 0)); got != want {
			t.Fatalf("added: %04x, want %04x", got, want)
		}
	})
}

// An update gives exactly what summing anew gives, but for the case that RFC
// 1624 section 5 leaves open: everything that is summed is zero.
func TestUpdateMatchesSummingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{2, 4, 16}).Draw(t, "size")
		words := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 0xff}))
		b := rapid.SliceOfN(words, 40, 40).Draw(t, "b")
		b[39] |= 1 // what is not changed is not all zero, as a protocol number is not
		old := bytes.Clone(b[8 : 8+size])
		new := rapid.SliceOfN(words, size, size).Draw(t, "new")
		before := Of(b, 0)
		copy(b[8:], new)
		want := Of(b, 0)
		if got := UpdateBytes(before, old, new); got != want {
			t.Fatalf("UpdateBytes(%04x, %x, %x) = %04x, want %04x", before, old, new, got, want)
		}
		if got := UpdatePartial(^before, old, new); got != ^want {
			t.Fatalf("UpdatePartial(%04x, %x, %x) = %04x, want %04x", ^before, old, new, got, ^want)
		}
		if size == 2 {
			got := Update(before, binary.BigEndian.Uint16(old), binary.BigEndian.Uint16(new))
			if got != want {
				t.Fatalf("Update(%04x, %x, %x) = %04x, want %04x", before, old, new, got, want)
			}
		}
	})
}

// RFC 1624 section 4: with the older equation of RFC 1141 this comes out as
// ffff, and the receiver drops the packet.
func TestUpdateOfRFC1624Example(t *testing.T) {
	if got := Update(0xdd2f, 0x5555, 0x3285); got != 0x0000 {
		t.Errorf("Update = %04x, want 0000", got)
	}
}

// A partial checksum, finished, verifies; and finishing one that only looks
// partial changes nothing.
func TestFinish(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 20, 2000).Draw(t, "segment")
		pseudo := Pseudo([]byte{10, 0, 0, 1}, []byte{10, 0, 0, 2}, 6, uint32(len(b)))
		binary.BigEndian.PutUint16(b[16:], Fold(pseudo))
		if !IsPartial(binary.BigEndian.Uint16(b[16:]), pseudo) {
			t.Fatal("a partial checksum is not seen as one")
		}
		Finish(b, 16)
		if !Verify(b, pseudo) {
			t.Fatal("finished checksum does not verify")
		}
		// Make the whole checksum equal the pseudo-header's sum, by choice of
		// the first word.
		binary.BigEndian.PutUint16(b[0:], 0)
		binary.BigEndian.PutUint16(b[16:], Fold(pseudo))
		binary.BigEndian.PutUint16(b[0:], ^Fold(Sum(b, pseudo)))
		if !Verify(b, pseudo) {
			t.Fatal("the test made a wrong packet")
		}
		Finish(b, 16)
		if got := binary.BigEndian.Uint16(b[16:]); got != Fold(pseudo) {
			t.Fatalf("a whole checksum %04x was finished to %04x", Fold(pseudo), got)
		}
	})
}

func TestFinishNeverWritesZero(t *testing.T) {
	b := make([]byte, 8)
	b[0], b[1] = 0xff, 0xff
	Finish(b, 6)
	if got := binary.BigEndian.Uint16(b[6:]); got != 0xffff {
		t.Errorf("UDP checksum = %04x, want ffff: 0000 means none", got)
	}
}

func TestNothingAllocates(t *testing.T) {
	b := make([]byte, 1500)
	if n := testing.AllocsPerRun(100, func() {
		Finish(b, 16)
		UpdateBytes(Of(b, 0), b[:16], b[16:32])
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkSum(b *testing.B) {
	for _, size := range []int{20, 64, 1500, 64 << 10} {
		name := fmt.Sprint(size)
		if size == 64<<10 {
			name = "64K"
		}
		b.Run(name, func(b *testing.B) {
			data := make([]byte, size)
			b.SetBytes(int64(size))
			var sink uint64
			for b.Loop() {
				sink += Sum(data, 0)
			}
			_ = sink
		})
	}
}

// An IPv4 header verifies by words as it does byte by byte: right ones, and
// those with any one bit wrong.
func TestVerifyHeaderMatchesVerify(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var h [20]byte
		for i := range h {
			h[i] = [3]byte{byte(random.Uint32()), 0xff, 0}[random.IntN(3)]
		}
		h[10], h[11] = 0, 0
		sum := Of(h[:], 0)
		h[10], h[11] = byte(sum>>8), byte(sum)
		if !VerifyHeader(&h) {
			t.Fatalf("% x is right and was refused", h)
		}
		bit := random.IntN(8 * len(h))
		h[bit/8] ^= 1 << (bit % 8)
		if got, want := VerifyHeader(&h), Verify(h[:], 0); got != want || got {
			t.Fatalf("% x: %v, and %v byte by byte", h, got, want)
		}
	}
	for _, h := range [][20]byte{{}, {0: 0xff, 1: 0xff}} {
		if got, want := VerifyHeader(&h), Verify(h[:], 0); got != want {
			t.Errorf("% x: %v, and %v byte by byte", h, got, want)
		}
	}
}
