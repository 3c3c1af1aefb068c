package fdb

import (
	"syscall"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
)

// What was learned survives with its time, and can be learned by another table, which
// ages it as the first would have. Of a bucket that was being written nothing survives,
// and what an operator had set is no packet's.
func TestSurvivors(t *testing.T) {
	const at = Time(1000 * time.Second)
	mem, err := syscall.Mmap(-1, 0, MemorySize(64), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(mem) }()
	first, err := New(Config{Entries: 64, Memory: mem})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	mac := func(n int) packet.MAC { return packet.MAC{2, 0, 0, 0, 0, byte(n)} }
	for n := range 20 {
		first.Learn(3, mac(n), AtPeer(uint16(n%4), uint16(n)), at+Time(n)*Time(10*time.Second))
	}
	first.AddStatic(3, mac(100), AtPort(7))
	second, err := New(Config{Entries: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	now := at + Time(400*time.Second) // those seen in the first 100 s are too old
	got := map[Event]int{}
	torn, err := Survivors(mem, 64, func(segment uint16, m packet.MAC, d Dest, seen Time) {
		got[second.Adopt(segment, m, d, seen, now)]++
	})
	if err != nil || torn != 0 || got[Added]+got[Refused] != 20 || got[Added] < 9 || got[Added] > 11 {
		t.Errorf("%v, torn %d, %v", got, torn, err)
	}
	for n := range 20 {
		d, found := second.Lookup(3, mac(n), now)
		if want, there := first.Lookup(3, mac(n), now); found != there || d != want {
			t.Errorf("MAC %d is at %+v, %v; was at %+v, %v", n, d, found, want, there)
		}
	}
	if _, found := second.Lookup(3, mac(19), now+Time(300*time.Second)); found {
		t.Error("a MAC that was adopted does not age")
	}
	if e := second.Adopt(3, mac(50), AtPort(1), now+Time(time.Hour), now); e != Refused {
		t.Errorf("one seen in the future is %v", e)
	}
	before := 0
	for at := range first.rows {
		for i := range first.rows[at].keys {
			if key, v := first.rows[at].keys[i].Load(), value(first.rows[at].values[i].Load()); key != 0 && !v.isStatic() {
				before++
			}
		}
	}
	first.rows[0].version.Add(1) // killed in the middle
	whole := 0
	torn, err = Survivors(mem, 64, func(uint16, packet.MAC, Dest, Time) { whole++ })
	if err != nil || torn+whole != before || torn == 0 && first.rows[0].keys[0].Load() != 0 {
		t.Errorf("%d torn and %d whole of %d, %v", torn, whole, before, err)
	}
}
