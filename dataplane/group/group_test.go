package group

import (
	"math/rand/v2"
	"testing"

	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

func newTable(t testing.TB, cfg Config) *Table {
	t.Helper()
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func groupAddr(n int) packet.Addr {
	return packet.AddrFrom4([4]byte{239, byte(n >> 16), byte(n >> 8), byte(n)})
}

// Any sequence of calls, against a map.
func TestAgainstMap(t *testing.T) {
	type key struct {
		segment uint16
		group   packet.Addr
		holder  Holder
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 30 {
		table := newTable(t, Config{Rows: 60, PortQuota: 10, PeerQuota: 20, Secret: hashtab.NewSecret()})
		model, now := map[key]Time{}, Time(0)
		held := func(h Holder) (n int) {
			for k := range model {
				if k.holder == h {
					n++
				}
			}
			return n
		}
		for range 3000 {
			k := key{uint16(r.IntN(2)), groupAddr(r.IntN(12)), []Holder{Port(1), Port(2), Peer(1), Peer(2), Nobody}[r.IntN(5)]}
			until, known := model[k]
			switch r.IntN(5) {
			case 0, 1:
				got := table.Join(k.segment, &k.group, k.holder, now, now+50)
				full := !known && (len(model) == 60 || k.holder == Port(1) && held(k.holder) == 10 || k.holder == Port(2) && held(k.holder) == 10 || k.holder >= 1<<16 && k.holder < Nobody && held(k.holder) == 20)
				if (got == Refused) != full || got == Known != (known && until > now) {
					t.Fatalf("%+v: %d; known %v, %d of %d", k, got, known, held(k.holder), len(model))
				}
				if got != Refused {
					model[k] = max(until, now+50)
				}
			case 2:
				if got := table.Leave(k.segment, &k.group, k.holder, now, now+2); got != (until > now+2) {
					t.Fatalf("leave %+v: %v", k, got)
				} else if got {
					model[k] = now + 2
				}
			case 3:
				now += Time(r.IntN(10))
			case 4:
				table.Expire(now, 60)
				for k, until := range model {
					if until <= now {
						delete(model, k)
					}
				}
			}
			k = key{uint16(r.IntN(2)), groupAddr(r.IntN(12)), Port(1)}
			if got := table.Has(k.segment, &k.group, k.holder, now); got != (model[k] > now) {
				t.Fatalf("has %+v: %v", k, got)
			}
			if n := table.Stats().Rows; n != len(model) {
				t.Fatalf("%d rows, %d in the model", n, len(model))
			}
		}
		seen := 0
		table.Each(now, func(Entry) { seen++ })
		for _, until := range model {
			if until > now {
				seen--
			}
		}
		if seen != 0 {
			t.Fatalf("Each differs by %d", seen)
		}
		if table.Flush(); table.Stats().Rows != 0 || table.ports[1] != 0 || table.peers[1] != 0 {
			t.Fatal("something is left")
		}
	}
}

// A port that joins a million groups has its share, and others what they had.
func TestFloodHurtsOnlyItself(t *testing.T) {
	table := newTable(t, Config{})
	one := groupAddr(0xabcdef)
	table.Join(1, &one, Port(2), 0, 1000)
	for i := range 1_000_000 {
		g := groupAddr(i)
		table.Join(1, &g, Port(1), 0, 1000)
	}
	if s := table.Stats(); s.Rows != 65 || s.Refused != 1_000_000-64 || !table.Has(1, &one, Port(2), 1) {
		t.Errorf("%+v", s)
	}
	other := groupAddr(7)
	if table.Join(1, &other, Port(2), 0, 1000) != Added {
		t.Error("another port cannot join")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{{Rows: -1}, {PortQuota: -1}, {PeerQuota: maxRows + 1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	table := newTable(t, Config{})
	g := groupAddr(1)
	if n := testing.AllocsPerRun(100, func() {
		table.Join(1, &g, Port(1), 0, 10)
		table.Has(1, &g, Port(1), 1)
		table.Leave(1, &g, Port(1), 1, 2)
		table.Expire(11, 16)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
