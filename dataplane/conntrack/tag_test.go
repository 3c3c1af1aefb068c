package conntrack

import (
	"slices"
	"testing"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// However a session ends, who tied a tag to it is told, once: removed, expired and
// found so, expired and swept, evicted for another of its port.
func TestTagsEndWithSessions(t *testing.T) {
	var ended []uint32
	table := newTable(t, Config{Sessions: 100, EmbryonicQuota: 3, PortQuota: 100, Populate: true, Ended: func(tag uint32) { ended = append(ended, tag) }})
	tagged := func(n int, tag uint32, now Time) *packet.Frame {
		t.Helper()
		f := frameOf(keyOf(packet.ProtoUDP, n), 1, 0)
		s, reason := table.Open(f, table.Hash(&f.Headers.Key), now)
		if reason != drop.None {
			t.Fatal(reason)
		}
		if tag != 0 && !table.SetTag(s, tag) || table.Tag(s) != tag {
			t.Fatalf("tag %d: %d", tag, table.Tag(s))
		}
		return f
	}
	find := func(f *packet.Frame, now Time) *Session {
		s, _ := table.Find(&f.Headers.Key, table.Hash(&f.Headers.Key), now)
		return s
	}
	expect := func(what string, want ...uint32) {
		t.Helper()
		if !slices.Equal(ended, want) {
			t.Errorf("%s: %v ended, want %v", what, ended, want)
		}
		ended = nil
	}
	table.Remove(find(tagged(1, 11, 0), 0))
	expect("removed", 11)
	table.Remove(find(tagged(1, 0, 0), 0)) // the same row
	expect("without a tag")
	f := tagged(2, 12, 0)
	if find(f, Time(time.Minute)) != nil {
		t.Error("it lives for ever")
	}
	expect("found expired", 12)
	tagged(3, 13, Time(time.Minute))
	turn(table, Time(3*time.Minute))
	expect("swept", 13)
	for i := range 4 {
		tagged(10+i, uint32(20+i), Time(3*time.Minute))
	}
	expect("evicted", 20)
}

// A table that has nobody to tell takes no tags.
func TestNoTagsWithoutAnEnd(t *testing.T) {
	table := newTable(t, Config{Sessions: 10})
	f := frameOf(keyOf(packet.ProtoUDP, 1), 1, 0)
	s, _ := table.Open(f, table.Hash(&f.Headers.Key), 0)
	if table.SetTag(s, 1) || table.Tag(s) != 0 {
		t.Error("taken")
	}
}
