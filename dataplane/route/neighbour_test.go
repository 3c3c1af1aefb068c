package route

import (
	"math/rand/v2"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
)

const second = Time(time.Second)

func mac(n int) packet.MAC { return packet.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)} }

// find is what the table knows of an address.
func find(n *Neighbours, segment uint16, a *packet.Addr, now Time) (packet.MAC, bool) {
	mac, _, found := n.Lookup(segment, a, now)
	return mac, found
}

// An address is known once it was asked for and answered, until it does not
// answer again.
func TestNeighbourIsAskedForAndAnswers(t *testing.T) {
	n := NewNeighbours()
	a, now := packet.AddrFrom4([4]byte{192, 0, 2, 1}), 100*second
	if n.Answer(1, &a, mac(1), now) {
		t.Error("an answer that nobody asked for is kept")
	}
	if !n.ShouldSolicit(1, &a, now) || n.ShouldSolicit(1, &a, now+second-1) || !n.ShouldSolicit(1, &a, now+second) {
		t.Error("it is not asked for once a second")
	}
	if _, found := find(n, 1, &a, now); found {
		t.Error("it is known before it has answered")
	}
	if !n.Answer(1, &a, mac(1), now+second) || n.Answer(1, &a, mac(2), now+second) {
		t.Error("not the first answer, and only that, is kept")
	}
	if _, found := find(n, 2, &a, now+second); found {
		t.Error("it is known in another segment")
	}
	if got, old, found := n.Lookup(1, &a, now+second+int64(reachable)); !found || old || got != mac(1) {
		t.Errorf("known as %s, %v, old %v", got, found, old)
	}
	later := now + 1000*second
	if got, old, found := n.Lookup(1, &a, later); !found || !old || got != mac(1) {
		t.Errorf("after a silence known as %s, %v, old %v", got, found, old)
	}
	if !n.ShouldSolicit(1, &a, later) {
		t.Error("it cannot be asked for again while it is known")
	}
	later += 1000 * second
	if _, found := find(n, 1, &a, later); !found {
		t.Error("one question that was lost before a silence has made it dead")
	}
	for at := later; at <= later+int64(unanswered); at += 5 * second {
		if !n.ShouldSolicit(1, &a, at) {
			t.Error("it cannot be asked for again and again")
		}
		if _, found := find(n, 1, &a, at); !found {
			t.Error("it is given up before its time")
		}
	}
	later += int64(unanswered) + second
	n.ShouldSolicit(1, &a, later)
	if _, found := find(n, 1, &a, later); found {
		t.Error("it is known although it does not answer")
	}
	if !n.Answer(1, &a, mac(3), later+20*second) {
		t.Error("its answer is too late")
	}
	if got, _ := find(n, 1, &a, later+20*second); got != mac(3) {
		t.Errorf("after the second answer it is %s", got)
	}
}

// The table is bounded: the address that was asked for or has answered longest
// ago makes room, and a flood of answers makes none known.
func TestNeighboursAreBounded(t *testing.T) {
	n := NewNeighbours()
	address := func(i int) *packet.Addr {
		a := packet.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		return &a
	}
	for i := range MaxNeighbours {
		n.ShouldSolicit(1, address(i), second+Time(i))
	}
	n.Answer(1, address(0), mac(0), 10*second) // the first asked for is now the newest
	for i := range 10_000 {
		n.Answer(1, address(MaxNeighbours+i), mac(i), 11*second)
	}
	if n.Len() != MaxNeighbours {
		t.Fatalf("%d addresses, want %d", n.Len(), MaxNeighbours)
	}
	n.ShouldSolicit(1, address(MaxNeighbours), 12*second)
	if n.Len() != MaxNeighbours || n.Answer(1, address(1), mac(1), 12*second) {
		t.Errorf("%d addresses; the oldest is still asked for", n.Len())
	}
	if _, found := find(n, 1, address(0), 12*second); !found {
		t.Error("one that has just answered made room")
	}
}

// neighbourModel is the golden twin: what was asked when, and answered when.
type neighbourModel struct {
	asked, waiting map[packet.Addr]Time
	macs           map[packet.Addr]packet.MAC
}

func TestNeighboursAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	n := NewNeighbours()
	m := neighbourModel{map[packet.Addr]Time{}, map[packet.Addr]Time{}, map[packet.Addr]packet.MAC{}}
	now := second
	for i := range 50_000 {
		now += r.Int64N(2 * second)
		a := packet.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(20))})
		switch r.IntN(3) {
		case 0:
			last, asked := m.asked[a]
			want := !asked || now-last >= second
			if want {
				if m.waiting[a] == 0 || now-last > int64(unanswered) {
					m.waiting[a] = now
				}
				m.asked[a] = now
			}
			if got := n.ShouldSolicit(7, &a, now); got != want {
				t.Fatalf("step %d: ask for %s: %v, want %v", i, a, got, want)
			}
		case 1:
			_, want := m.asked[a]
			if want {
				delete(m.asked, a)
				delete(m.waiting, a)
				m.macs[a] = mac(i)
			}
			if got := n.Answer(7, &a, mac(i), now); got != want {
				t.Fatalf("step %d: %s answers: %v, want %v", i, a, got, want)
			}
		default:
			_, want := m.macs[a]
			want = want && (m.waiting[a] == 0 || m.asked[a]-m.waiting[a] <= int64(unanswered))
			if got, found := find(n, 7, &a, now); found != want || found && got != m.macs[a] {
				t.Fatalf("step %d: %s is %s, %v; want %s, %v", i, a, got, found, m.macs[a], want)
			}
		}
	}
}
