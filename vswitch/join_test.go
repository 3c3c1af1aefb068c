package vswitch

import (
	"slices"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/vswitch/port"
)

// stream is frames of connections, told apart by their source ports: n bytes
// of data each, or none. Sequence numbers go on.
type stream struct {
	t   *testing.T
	seq map[uint16]uint32
	all []*packet.Frame
}

func (s *stream) add(sport uint16, n int) *packet.Frame {
	s.t.Helper()
	tcp := packettest.TCP(sport, 443, packet.TCPAckFlag)
	tcp.Seq = s.seq[sport]
	s.seq[sport] += uint32(n)
	f := packettest.Frame(packettest.Make(packettest.Ethernet(), packettest.IPv4(packettest.A4, packettest.B4), tcp, packettest.Payload(n)), packet.Headroom)
	if reason := packet.Parse(f); reason != drop.None {
		s.t.Fatal(reason)
	}
	f.Offload.Checksum = packet.ChecksumGood
	s.all = append(s.all, f)
	return f
}

func newStream(t *testing.T) *stream { return &stream{t: t, seq: map[uint16]uint32{}} }

// Frames of one connection stay in order, whatever lies between them and
// whether they could be joined; those of others are joined past them.
func TestJoinKeepsOrderWithinAFlow(t *testing.T) {
	s := newStream(t)
	for range 3 {
		s.add(1, 100)
		s.add(2, 200)
	}
	bare := s.add(1, 0)
	s.add(2, 200)
	after := s.add(1, 100)
	s.add(1, 100)
	var j joins
	got := j.join(port.Caps{TSO: true}, s.all)
	var lens []int
	for _, f := range got {
		lens = append(lens, f.Len()-54)
	}
	if want := []int{300, 800, 0, 200}; !slices.Equal(lens, want) {
		t.Fatalf("joined into %v, want %v", lens, want)
	}
	if got[2] != bare || j.partsOf(got[3])[0] != after || len(j.partsOf(got[0])) != 3 || j.partsOf(bare) != nil {
		t.Error("the parts are others")
	}
}

// More flows than slots go as they are, and so does everything to a port that
// takes no superframes; a slot whose frame nothing followed is used again.
func TestJoinHasBounds(t *testing.T) {
	s := newStream(t)
	for range 2 {
		for flow := range uint16(joinSlots + 1) {
			s.add(flow+1, 100)
		}
	}
	var j joins
	if got := len(j.join(port.Caps{}, s.all)); got != len(s.all) {
		t.Errorf("%d frames to a port without TSO, want %d", got, len(s.all))
	}
	if got, want := len(j.join(port.Caps{TSO: true}, s.all)), joinSlots+2; got != want {
		t.Errorf("%d frames, want %d", got, want)
	}
	s = newStream(t)
	for range 10 {
		s.add(1, 100)
		s.add(1, 0)
	}
	s.add(1, 100)
	s.add(1, 100)
	got := j.join(port.Caps{TSO: true}, s.all)
	if len(got) != 21 || j.partsOf(got[20]) == nil {
		t.Errorf("%d frames, the last joined: %v", len(got), j.partsOf(got[len(got)-1]) != nil)
	}
}

func TestJoinAllocatesNothing(t *testing.T) {
	s := newStream(t)
	for range 60 {
		s.add(1, 1000)
	}
	var j joins
	j.join(port.Caps{TSO: true}, s.all)
	if n := testing.AllocsPerRun(20, func() { j.join(port.Caps{TSO: true}, s.all) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
