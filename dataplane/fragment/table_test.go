package fragment

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

func newTable(t interface {
	Helper()
	Fatal(...any)
}, cfg Config) *Table {
	t.Helper()
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func keyOf(holder uint16, id uint32) Key {
	return Key{Src: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: packet.AddrFrom4([4]byte{10, 0, 0, 2}), ID: id, Holder: holder, Proto: 17}
}

// twin is a packet as its definition has it: a byte is seen or not.
type twin struct {
	seen   [1 << 16]bool
	end    int // 0: not known
	last   int // the last byte seen, and one
	pieces int
	state  State
	held   [][]byte
	born   Time
}

// place is what the package comment says of a piece.
func (w *twin) place(p Piece) drop.Reason {
	if w.state == Refused {
		return drop.None
	}
	fresh, old := 0, 0
	for i := p.Start; i < p.End; i++ {
		if w.seen[i] {
			old++
		} else {
			fresh++
		}
	}
	behind := w.end != 0 && int(p.End) > w.end || p.Last && w.end != 0 && int(p.End) != w.end || p.Last && w.last > int(p.End)
	if behind || fresh > 0 && old > 0 || w.pieces == MaxPieces {
		w.state, w.held = Refused, nil
		return drop.FragmentOverlap
	}
	if fresh == 0 {
		return drop.FragmentOverlap
	}
	for i := p.Start; i < p.End; i++ {
		w.seen[i] = true
	}
	if p.Last {
		w.end = int(p.End)
	}
	w.last = max(w.last, int(p.End))
	w.pieces++
	return drop.None
}

func (w *twin) whole() bool {
	if w.end == 0 {
		return false
	}
	for _, seen := range w.seen[:w.end] {
		if !seen {
			return false
		}
	}
	return true
}

// The table says of every fragment what the twin says, whatever comes in which
// order, and Foretell says so before.
func TestTableAgreesWithItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newTable(t, Config{Packets: 64, Held: 600})
		defer table.Close()
		twins := map[Key]*twin{}
		now := Time(time.Hour)
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now += Time(rapid.SampledFrom([]int64{0, 1e6, 1e9}).Draw(t, "after"))
			k := keyOf(1, rapid.Uint32Range(1, 5).Draw(t, "packet"))
			start := rapid.Uint16Range(0, 20).Draw(t, "start") * 8
			p := Piece{Start: start, End: start + rapid.Uint16Range(1, 6).Draw(t, "length")*8, Last: rapid.IntRange(0, 5).Draw(t, "last") == 0}
			w := twins[k]
			if w == nil || now-w.born >= Lifetime {
				w = &twin{born: now}
				twins[k] = w
			}
			told, before := table.Foretell(&k, p, now)
			got, reason := table.Place(&k, p, now)
			want := w.place(p)
			if reason != want || before != want {
				t.Fatalf("%+v of packet %d is %v, foretold %v, want %v", p, k.ID, reason, before, want)
			}
			if reason != drop.None {
				continue
			}
			if got.State != w.state || told.State != w.state || w.state == Passing && got.Ports.DstPort != uint16(k.ID) {
				t.Fatalf("%+v of packet %d: %+v, foretold %+v, want state %d", p, k.ID, got, told, w.state)
			}
			switch {
			case w.state == Refused:
			case p.Start == 0 && w.state == Waiting:
				if rapid.Bool().Draw(t, "allowed") {
					table.Allow(got, Ports{DstPort: uint16(k.ID)})
					w.state = Passing
					var buf [MaxHeldLen]byte
					for _, frame := range w.held {
						if n := table.Take(got, buf[:]); !bytes.Equal(buf[:n], frame) {
							t.Fatalf("held %x, got back %x", frame, buf[:n])
						}
					}
					w.held = nil
					if n := table.Take(got, buf[:]); n != 0 {
						t.Fatalf("a fragment of %d bytes that nobody brought", n)
					}
				} else {
					table.Refuse(got)
					w.state, w.held = Refused, nil
				}
			case w.state == Waiting:
				frame := bytes.Repeat([]byte{byte(start), byte(k.ID)}, 1+int(start))
				if !table.Hold(got, frame) {
					t.Fatal("there is room, and it is not held")
				}
				w.held = append(w.held, frame)
			}
			if w.state == Passing && w.whole() {
				delete(twins, k)
			}
		}
		alive, held := 0, 0
		for _, w := range twins {
			if now-w.born < Lifetime {
				alive, held = alive+1, held+len(w.held)
			}
		}
		if s := table.Stats(); int(s.Packets) < alive || int(s.Held) < held {
			t.Fatalf("%+v, want at least %d packets and %d held", s, alive, held)
		}
	})
}

// A packet in any order of its fragments becomes whole, and is then forgotten
// with all that was held of it.
func TestAnyOrderBecomesWhole(t *testing.T) {
	table := newTable(t, Config{Packets: 16, Held: 400})
	defer table.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		n := 1 + random.IntN(MaxPieces)
		k := keyOf(3, uint32(round))
		passed, seen := false, 0
		for _, i := range random.Perm(n) {
			p, reason := table.Place(&k, Piece{Start: uint16(i) * 1000, End: uint16(i)*1000 + 1000, Last: i == n-1}, 1)
			if reason != drop.None {
				t.Fatalf("round %d, piece %d of %d: %v", round, i, n, reason)
			}
			switch {
			case i == 0:
				passed, seen = true, seen+1
				table.Allow(p, Ports{})
				for table.Lose(p) {
					seen++
				}
			case passed:
				seen++
			case !table.Hold(p, make([]byte, 100)):
				t.Fatalf("round %d: not held", round)
			}
		}
		if s := table.Stats(); seen != n || s.Packets != 0 || s.Held != 0 {
			t.Fatalf("round %d: %d of %d seen, and then %+v", round, seen, n, s)
		}
	}
}

// Who floods takes an eighth of the table and what is held, and no more; another
// holder goes on as before, and after 5 s the flooder does, too.
func TestFloodStaysWithItsHolder(t *testing.T) {
	table := newTable(t, Config{Packets: 800, Held: 60})
	defer table.Close()
	refused, unheld := 0, 0
	for i := range uint32(10_000) {
		k := keyOf(1, i)
		p, reason := table.Place(&k, Piece{Start: 8, End: 16, Last: true}, 1)
		switch {
		case reason == drop.FragmentQuota:
			refused++
		case !table.Hold(p, make([]byte, 1500)):
			unheld++
		}
	}
	if s := table.Stats(); refused != 10_000-100 || unheld != 90 || s.Packets != 100 || s.Held != 10 {
		t.Errorf("%d refused, %d not held, %+v", refused, unheld, s)
	}
	other := keyOf(2, 1)
	if _, reason := table.Place(&other, Piece{Start: 0, End: 8}, 1); reason != drop.None {
		t.Errorf("another holder: %v", reason)
	}
	for i := range uint32(200) {
		k := keyOf(1, i)
		if _, reason := table.Place(&k, Piece{Start: 8, End: 16, Last: true}, 1+Lifetime); reason != drop.None && i < 100 {
			t.Fatalf("after its time, packet %d: %v", i, reason)
		}
	}
}

func TestTooLongIsNotHeld(t *testing.T) {
	table := newTable(t, Config{})
	defer table.Close()
	k := keyOf(1, 1)
	p, _ := table.Place(&k, Piece{Start: 8, End: 16}, 1)
	if table.Hold(p, make([]byte, MaxHeldLen+1)) || !table.Hold(p, make([]byte, MaxHeldLen)) {
		t.Error("the bound on a held frame is another")
	}
}

// A row that another packet has by now is not touched for who had it before.
func TestStaleHandle(t *testing.T) {
	table := newTable(t, Config{Packets: 16})
	defer table.Close()
	k := keyOf(1, 1)
	old, _ := table.Place(&k, Piece{Start: 8, End: 16}, 1)
	again, _ := table.Place(&k, Piece{Start: 8, End: 16}, 1+Lifetime)
	if old.row != again.row {
		t.Fatal("the row was not used again")
	}
	table.Refuse(old)
	if table.Hold(old, []byte{1}) || !table.Hold(again, []byte{1}) {
		t.Error("the old packet's handle still works")
	}
}

func TestMemory(t *testing.T) {
	table := newTable(t, Config{})
	defer table.Close()
	if s := table.Stats(); s.Bytes > 8<<20 {
		t.Errorf("%d bytes, want 8 MiB at the most", s.Bytes)
	}
	k := keyOf(1, 1)
	if n := testing.AllocsPerRun(100, func() {
		k.ID++
		p, _ := table.Place(&k, Piece{Start: 8, End: 16, Last: true}, 1)
		table.Hold(p, make([]byte, 8))
		p, _ = table.Place(&k, Piece{Start: 0, End: 8}, 1)
		table.Allow(p, Ports{})
		table.Lose(p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Packets that all meet, as a sender of IPv6 that knew the secret could number them,
// fill two buckets and no more; under another secret they are like any others.
func TestCollidingPackets(t *testing.T) {
	const n = 40
	place := func(table *Table, id int) drop.Reason {
		k := keyOf(uint16(1+id%8), uint32(id))
		_, reason := table.Place(&k, Piece{0, 8, false}, 0)
		return reason
	}
	known, other := newTable(t, Config{Packets: 64, Secret: hashtab.Secret{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93, 0xa0761d6478bd642f, 0xe7037ed1a0b428db}}), newTable(t, Config{Packets: 64, Secret: hashtab.Secret{0x8ebc6af09c88c6e3, 0x589965cc75374cc3, 0x1d8e4e27c47d124f, 0xeb44accab455d165, 0x2545f4914f6cdd1d, 0xff51afd7ed558ccd}})
	defer known.Close()
	defer other.Close()
	const buckets = 64/4 + 2
	pair := func(id int) [2]uint64 {
		k := keyOf(uint16(1+id%8), uint32(id))
		h := known.hash(&k)
		return [2]uint64{uint64(uint32(h)) * buckets >> 32, uint64(uint32(h>>26)) * buckets >> 32}
	}
	held, ids := 0, 0
	for id := 0; ids < n; id++ {
		if pair(id) != pair(0) {
			continue
		}
		if ids++; place(known, id) == drop.None {
			held++
		}
		if reason := place(other, id); reason != drop.None && reason != drop.FragmentQuota {
			t.Errorf("packet %d under a secret that nobody knew: %s", id, reason)
		}
	}
	if got := int(other.Stats().Packets); held > hashtab.MaxProbes || got <= held || got < n*3/4 {
		t.Errorf("%d of %d packets that meet are held, at most %d can be; %d under a secret that nobody knew", held, n, hashtab.MaxProbes, got)
	}
}
