package fuzz

import (
	"bytes"
	"slices"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/erspan"
	"bulkhead/dataplane/packet"
)

// The mirrors of FuzzPipeline: what comes in, cut; what is dropped for any reason,
// for a collector; and what goes out by some ports, for another.
const (
	snapIn  = 100
	snapOut = 2000
)

// mirrorStates are what the mirrors count, for good: snapshots are built once.
var mirrorStates = [3]*dataplane.MirrorState{new(dataplane.MirrorState), new(dataplane.MirrorState), new(dataplane.MirrorState)}

func mirrors() []dataplane.Mirror {
	var ports dataplane.PortSet
	for _, id := range []packet.PortID{portB, portD, uplink} {
		ports.Add(id)
	}
	var every [drop.Count]bool
	for _, r := range drop.All() {
		every[r] = true
	}
	return []dataplane.Mirror{
		{Name: "in", State: mirrorStates[0], To: portMirror, In: true, Snap: snapIn},
		{Name: "dropped", State: mirrorStates[1], To: portMirror, In: true, Drops: &every, Of: &dataplane.Who{Sets: []uint32{1, 4}}, Replies: true, Snap: snapOut, Tunnel: erspan.II},
		{Name: "out", State: mirrorStates[2], To: portMirror, Out: true, Ports: &ports, Snap: snapOut, Tunnel: erspan.III},
	}
}

// sentBytes keeps what is received, to hold what is shown to it.
func (m *machine) sentBytes(n int) (all [][]byte) {
	for i := range n {
		all = append(all, slices.Clone(m.batch.Frame(i).Bytes()))
	}
	return all
}

// shown holds what the mirrors show to what was received and what goes out: each copy
// goes to the mirror's port, is no longer than its length, and is a piece of such a
// frame, but for a checksum that was left to others; and each frame is accounted for.
func (m *machine) shown(sent [][]byte) {
	all := &m.worker.Mirrored
	if m.change&mirrored == 0 && all.Len() > 0 {
		m.Fatalf("%d frames are shown by no mirror", all.Len())
	}
	for i := range all.Len() {
		f := all.Frame(i)
		b, limit := f.Bytes(), snapIn
		if _, frame, is := erspan.Get(b); is {
			b, limit = frame, snapOut
		}
		if f.Egress != portMirror || f.Reason != drop.None || len(b) > limit {
			m.Fatalf("%d bytes are shown by port %d", len(b), f.Egress)
		}
		if !m.isPiece(b, sent) {
			m.Fatalf("what is shown was neither received nor sent: %x", b)
		}
		m.mirrored++
	}
	all.Settle()
	for i, s := range mirrorStates {
		if sum := s.Sent.Load() + s.Lost.Load() + s.Full.Load() + s.Limited.Load(); sum != s.Selected.Load() {
			m.Fatalf("mirror %d selected %d frames, and accounts for %d", i, s.Selected.Load(), sum)
		}
	}
}

// isPiece compares all bytes but those of a checksum that may have been finished.
func (m *machine) isPiece(b []byte, sent [][]byte) bool {
	for i := range m.batch.Len() {
		sent = append(sent, m.batch.Frame(i).Bytes())
	}
	return slices.ContainsFunc(sent, func(whole []byte) bool {
		if bytes.Contains(whole, b) {
			return true
		}
		for at := 0; at+len(b) <= len(whole); at++ {
			if differing(whole[at:at+len(b)], b) <= 2 {
				return true
			}
		}
		return false
	})
}

// differing counts the bytes in which two texts of one length differ.
func differing(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// Mirrors change nothing: every program, and many that are drawn, ends frame by frame
// as it does without them.
func TestMirrorsChangeNothing(t *testing.T) {
	with, without := newMachine(t), newMachine(t)
	with.always = mirrored
	list := programs()
	for i := range pool {
		for _, tunnel := range []byte{0, 2, 3} {
			list = append(list, []byte{opTunnel, tunnel, opSend, byte(i)}, []byte{opMutate, 3, 20, 7, 40, 9, 12, 1, opSend, byte(i)})
		}
	}
	for _, p := range list {
		for _, m := range []*machine{with, without} {
			m.reset(t)
			m.outcomes = nil
			for m.left = slices.Clone(p); len(m.left) > 0; {
				m.step()
			}
		}
		if !slices.Equal(with.outcomes, without.outcomes) {
			t.Fatalf("program %v:\nwith mirrors    %q\nwithout mirrors %q", p, with.outcomes, without.outcomes)
		}
	}
	if with.mirrored == 0 {
		t.Error("nothing was shown")
	}
}
