package route

import (
	"testing"

	"bulkhead/dataplane/packet"
)

// framed is a frame of a port whose last byte is its number.
func framed(port packet.PortID, length, n int) *packet.Frame {
	f := packet.NewFrame(make([]byte, length), port)
	f.Bytes()[length-1] = byte(n)
	return f
}

// numbers takes all that waits for an address, and returns what it is.
func (w *Waiting) numbers(t *testing.T, hop *packet.Addr, now Time) (list []int) {
	t.Helper()
	var c packet.Frame
	buf := make([]byte, packet.Headroom+MaxWaitingLen)
	for {
		generation, found := w.Take(hop, &c, buf, now)
		if !found {
			return list
		}
		if generation != 7 || c.Ingress != 3 {
			t.Errorf("generation %d, port %d", generation, c.Ingress)
		}
		list = append(list, int(c.Bytes()[c.Len()-1]))
	}
}

// What waits is given back once, in the order in which it came, to the address
// that it waits for.
func TestWaitingInOrder(t *testing.T) {
	w, a, b := NewWaiting(), packet.Addr{15: 1}, packet.Addr{15: 2}
	for i := range 3 {
		w.Hold(framed(3, 100, i), &a, 7, Time(i+1))
		w.Hold(framed(3, 100, i+10), &b, 7, Time(i+1))
	}
	if got := w.numbers(t, &a, 5); len(got) != 3 || got[0] != 0 || got[1] != 1 || got[2] != 2 {
		t.Errorf("%v", got)
	}
	if got := w.numbers(t, &a, 5); got != nil {
		t.Errorf("given twice: %v", got)
	}
	if got := w.numbers(t, &b, 5); len(got) != 3 || got[0] != 10 {
		t.Errorf("%v", got)
	}
}

// For one address the oldest makes room; in all, and for a port, there is a bound.
func TestWaitingIsBounded(t *testing.T) {
	w, a := NewWaiting(), packet.Addr{15: 1}
	for i := range 20 {
		if !w.Hold(framed(3, 100, i), &a, 7, Time(i+1)) {
			t.Fatal("refused")
		}
	}
	if s := w.Stats(); s.Waiting != waitingPerHop || s.Evicted != 12 {
		t.Errorf("%+v", s)
	}
	if got := w.numbers(t, &a, 30); len(got) != waitingPerHop || got[0] != 12 {
		t.Errorf("%v", got)
	}
	for i := range waitingPerPort {
		hop := packet.Addr{15: byte(i)}
		if !w.Room(framed(3, 100, 0), 0, 50) || !w.Hold(framed(3, 100, 0), &hop, 7, 50) {
			t.Fatalf("no room for %d of a port", i)
		}
	}
	if w.Room(framed(3, 100, 0), 0, 50) || !w.Room(framed(4, 100, 0), 0, 50) {
		t.Error("a port is not bounded, or another one is by it")
	}
	for i := range MaxWaiting - waitingPerPort {
		w.Hold(framed(packet.PortID(10+i), 100, 0), &packet.Addr{14: 1, 15: byte(i)}, 7, 50)
	}
	if w.Room(framed(5, 100, 0), 0, 50) || w.Hold(framed(5, 100, 0), &packet.Addr{13: 1}, 7, 50) {
		t.Error("there is no bound")
	}
	if !w.Room(framed(5, 100, 0), 0, 50+int64(patience)) || w.Stats().Waiting != 0 || w.Stats().Expired != MaxWaiting {
		t.Errorf("nothing has expired: %+v", w.Stats())
	}
}

// Behind a gateway all peers have one next hop: who floods it pushes out his own.
func TestWaitingFloodHurtsOnlyItself(t *testing.T) {
	w, gateway := NewWaiting(), packet.Addr{15: 1}
	w.Hold(framed(4, 100, 200), &gateway, 7, 1)
	for i := range 100 {
		w.Hold(framed(3, 100, i), &gateway, 7, Time(i+2))
	}
	var c packet.Frame
	buf := make([]byte, packet.Headroom+MaxWaitingLen)
	if _, found := w.Take(&gateway, &c, buf, 200); !found || c.Ingress != 4 {
		t.Errorf("the other port's frame was pushed out: the oldest is of port %d", c.Ingress)
	}
	if got := w.numbers(t, &gateway, 200); len(got) != waitingPerHop-1 || got[0] != 93 {
		t.Errorf("of the flood: %v", got)
	}
	for i := range waitingPerHop {
		w.Hold(framed(3, 100, i), &gateway, 7, 300)
	}
	if !w.Hold(framed(4, 100, 200), &gateway, 7, 301) || w.ofPort(4) != 1 {
		t.Error("who has none there yet has no room")
	}
}

func TestWaitingTakesNoLongOnes(t *testing.T) {
	w, a := NewWaiting(), packet.Addr{15: 1}
	super := framed(3, 100, 0)
	super.Offload.GSO = packet.GSOTCP4
	if w.Room(framed(3, MaxWaitingLen-69, 0), 70, 1) || w.Room(super, 0, 1) || w.Hold(framed(3, MaxWaitingLen+1, 0), &a, 7, 1) {
		t.Error("taken")
	}
	if !w.Room(framed(3, MaxWaitingLen-70, 0), 70, 1) {
		t.Error("what fits is refused")
	}
}
