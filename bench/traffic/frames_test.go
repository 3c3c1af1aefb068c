package traffic

import (
	"context"
	"math"
	"strings"
	"testing"

	"bulkhead/dataplane/packet"
)

// A wire loses nothing of what comes slowly; every frame is read, once; and the
// rate is never more than the one asked for. A machine with other work holds the
// sender up, but not each time.
func TestFramesArriveAtTheirRate(t *testing.T) {
	p := wire(t)
	for _, frame := range []int{64, 1518, IMIX} {
		best := 0.0
		for try := 0; try < 10 && best < 10; try++ {
			c, err := Frames(context.Background(), p, Load{Frame: frame, Rate: 20_000, Verify: true}, Options{For: moment, Seed: 1})
			if err != nil || c.Sent == 0 || c.Arrived != c.Sent || c.Rate() > 20.5 {
				t.Fatalf("%d: %.1f kpps, want 20 at the most; %+v, %v", frame, c.Rate(), c, err)
			}
			best = max(best, c.Rate())
		}
		if best < 4 {
			t.Errorf("%d: %.1f kpps at the best, want 20", frame, best)
		}
	}
}

// As fast as it can nobody reads, and the counters tell what came.
func TestFramesAreCountedUnread(t *testing.T) {
	c, err := Frames(context.Background(), wire(t), Load{Frame: 64}, Options{For: moment, Seed: 1})
	if err != nil || c.Sent < 1000 || c.Overflow == 0 || c.Loss() > 5 {
		t.Errorf("%+v, %v", c, err)
	}
}

// So many frames and no more.
func TestFramesAreAsManyAsAsked(t *testing.T) {
	p := wire(t)
	for _, most := range []uint64{1, 63, 64, 1000} {
		c, err := Frames(context.Background(), p, Load{Frame: 64, Most: most, Verify: true}, Options{Seed: 1})
		if err != nil || c.Sent != most || c.Arrived != most {
			t.Errorf("%d: %+v, %v", most, c, err)
		}
	}
}

// A wire that drops shows it, and one that makes copies is found out even where
// it drops as many.
func TestFramesLossAndCopies(t *testing.T) {
	c, err := Frames(context.Background(), wire(t, "udp dport 5203-5210 udp length > 0 numgen inc mod 4 == 0 drop"), Load{Frame: 64, Rate: 20_000, Verify: true}, Options{For: moment, Seed: 1})
	if err != nil || math.Abs(c.Loss()-25) > 1 {
		t.Errorf("loss %.2f %%, want 25: %v", c.Loss(), err)
	}
	var seen numbers
	b := make([]byte, numbered)
	for _, n := range []uint32{0, 63, 64, 1 << 20} {
		putNumber(b, n)
		if err := seen.take(b); err != nil {
			t.Error(err)
		}
	}
	if err := seen.take(b); err == nil || !strings.Contains(err.Error(), "frame 1048576 arrived twice") {
		t.Errorf("%v", err)
	}
	if err := seen.take([]byte("no number")); err == nil {
		t.Error("took what is no number")
	}
}

// Whatever its number, a frame's checksum holds, and the sizes are those on the
// wire.
func TestBurst(t *testing.T) {
	spec := packet.Spec{Src: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: packet.AddrFrom4([4]byte{10, 0, 0, 2}), Proto: packet.ProtoUDP, SrcPort: 1, DstPort: 2}
	sizes := map[int]int{}
	frames, err := burstOf(spec, IMIX, Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range frames {
		sizes[len(b)+4]++
		putNumber(b[overhead-4:], uint32(i)*0x01234567)
		spec.Payload = b[overhead-4:]
		if want, err := packet.Build(spec); err != nil || string(want) != string(b) {
			t.Fatalf("frame %d has a wrong checksum: % x, %v", i, b, err)
		}
	}
	if sizes[64] != 35 || sizes[570] != 20 || sizes[1518] != 5 {
		t.Errorf("%v, want 64, 570 and 1518 B as 7:4:1", sizes)
	}
	if _, err := burstOf(spec, 63, Options{}); err == nil {
		t.Error("built a frame of 63 bytes")
	}
}

// Floods that follow each other have other ports, all of them among those that
// a policy lets through.
func TestFloodsHaveOtherPorts(t *testing.T) {
	last := floodPort()
	for range 20 {
		next := floodPort()
		if next == last || next < firstFlood || next > LastPort {
			t.Errorf("port %d after %d", next, last)
		}
		last = next
	}
}
