package fdb

import (
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

const second = Time(time.Second)

func newTable(t testing.TB, cfg Config) *Table {
	t.Helper()
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

// macOf makes the n-th of many MACs.
func macOf(n int) packet.MAC {
	return packet.MAC{2, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

func port(n int) Dest { return Dest{Port: packet.PortID(n), Peer: NoPeer} }
func peer(n int) Dest { return AtPeer(uint16(n), 0) }

func expect(t *testing.T, table *Table, mac packet.MAC, now Time, want Dest, found bool) {
	t.Helper()
	if d, ok := table.Lookup(1, mac, now); ok != found || d != want {
		t.Errorf("Lookup(%v) = %v, %v; want %v, %v", mac, d, ok, want, found)
	}
}

func TestLearnMoveAge(t *testing.T) {
	table := newTable(t, Config{Age: 10 * time.Second})
	mac, now := macOf(1), Time(0)
	expect(t, table, mac, now, Dest{}, false)
	for i, c := range []struct {
		at   Time
		from Dest
		want Event
	}{
		{0, port(1), Added}, {0, port(1), Known}, {5 * second, port(1), Known},
		{6 * second, port(2), Moved}, {6 * second, peer(3), Moved},
		{7 * second, AtPeer(3, 17), Moved}, // the same peer, for another group
		{40 * second, port(1), Added},      // aged meanwhile: new, not moved
	} {
		if got := table.Learn(1, mac, c.from, c.at); got != c.want {
			t.Fatalf("step %d: %v, want %v", i, got, c.want)
		}
		expect(t, table, mac, c.at, c.from, true)
	}
	if d, found := table.Lookup(2, mac, 40*second); found {
		t.Errorf("found in another segment: %v", d)
	}
	expect(t, table, mac, 49*second, port(1), true)
	expect(t, table, mac, 53*second, Dest{}, false)
	if n := table.Expire(53*second, 1<<30); n != 1 {
		t.Errorf("%d expired, want 1", n)
	}
	want := Stats{Added: 2, Moved: 3, Expired: 2}
	if got := table.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestNoHostsMACs(t *testing.T) {
	table := newTable(t, Config{})
	for _, mac := range []packet.MAC{{}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0x5e, 0, 0, 1}} {
		if e := table.Learn(0, mac, port(1), 0); e != Refused {
			t.Errorf("%v was %v", mac, e)
		}
		expect(t, table, mac, 0, Dest{}, false)
	}
}

func TestStaticStays(t *testing.T) {
	table := newTable(t, Config{Age: 10 * time.Second})
	mac := macOf(1)
	table.Learn(1, mac, port(7), 0)
	if !table.AddStatic(1, mac, port(1)) {
		t.Fatal("no room in an empty table")
	}
	if e := table.Learn(1, mac, port(2), second); e != Refused {
		t.Errorf("learned elsewhere: %v", e)
	}
	if e := table.Learn(1, mac, port(1), second); e != Known {
		t.Errorf("learned there: %v", e)
	}
	table.FlushPort(1)
	table.Expire(1000*second, 1<<30)
	expect(t, table, mac, 1000*second, port(1), true)
	if n := table.Held(port(1)) + table.Held(port(7)); n != 0 {
		t.Errorf("%d charged", n)
	}
	if got := table.Stats(); got.Entries != 1 || got.Static != 1 {
		t.Errorf("stats %+v", got)
	}
	if !table.Remove(1, mac) || table.Remove(1, mac) {
		t.Error("removed never or twice")
	}
	expect(t, table, mac, 0, Dest{}, false)
}

// A port that sends from a million addresses holds its quota and no more, and
// nobody else loses an entry; its own that is in use comes back at once.
func TestFloodHurtsOnlyItself(t *testing.T) {
	table := newTable(t, Config{Entries: 1000})
	for i := range 30 {
		table.Learn(1, macOf(1_000_000+i), port(2), 0)
		table.Learn(1, macOf(2_000_000+i), peer(2), 0)
	}
	for i := range 100_000 {
		now := Time(i) * 10_000
		if e := table.Learn(1, macOf(i), port(1), now); e != Added {
			t.Fatalf("frame %d: %v", i, e)
		}
		if n := table.Held(port(1)); n > 64 {
			t.Fatalf("port 1 holds %d", n)
		}
	}
	for i := range 30 {
		expect(t, table, macOf(1_000_000+i), second, port(2), true)
		expect(t, table, macOf(2_000_000+i), second, peer(2), true)
	}
}

// What is seen again and again is not the victim of its port's own flood.
func TestClockSparesWhatIsInUse(t *testing.T) {
	table := newTable(t, Config{})
	mac := macOf(5_000_000)
	lost := 0
	for i := range 6000 {
		now := Time(i) * second / 10
		if e := table.Learn(1, mac, port(1), now); e == Added && i > 0 {
			lost++
		}
		table.Learn(1, macOf(i), port(1), now)
	}
	if lost > 0 {
		t.Errorf("the MAC in use was evicted %d times", lost)
	}
}

// A full table takes from who has most, and only for who has less.
func TestFullTableTakesFromTheGlutton(t *testing.T) {
	table := newTable(t, Config{Entries: 2000, PortQuota: 2000})
	for i := range 4000 {
		table.Learn(1, macOf(i), port(1), 0)
	}
	if n := table.Held(port(1)); n != 2000 {
		t.Fatalf("the glutton holds %d of 2000", n)
	}
	refused := 0
	for i := range 500 {
		if table.Learn(1, macOf(1_000_000+i), port(2), second) == Refused {
			refused++
		}
	}
	a, b := table.Held(port(1)), table.Held(port(2))
	if a+b != 2000 || b != 500-refused || refused > 5 {
		t.Errorf("glutton %d, newcomer %d, %d refused", a, b, refused)
	}
	if e := table.Learn(1, macOf(9_000_000), port(1), second); e != Refused {
		t.Errorf("the glutton got one more: %v", e)
	}
}

func TestQuotas(t *testing.T) {
	table := newTable(t, Config{})
	table.SetQuota(port(1), 0)
	table.SetQuota(peer(1), 3)
	if e := table.Learn(1, macOf(1), port(1), 0); e != Refused {
		t.Errorf("quota 0: %v", e)
	}
	for i := range 10 {
		table.Learn(1, macOf(i), peer(1), 0)
		table.Learn(1, macOf(i), AtPeer(1, 0), 0)
	}
	if n := table.Held(peer(1)); n != 3 {
		t.Errorf("peer holds %d, want 3", n)
	}
	table.Learn(1, macOf(50), port(2), 0)
	if e := table.Learn(1, macOf(50), port(1), 0); e != Refused {
		t.Errorf("moved to a port that may hold none: %v", e)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{{Entries: -1}, {Entries: maxEntries + 1}, {PortQuota: -1}, {PeerQuota: -1}, {Age: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// Any sequence of calls, against a map: what the table knows is true, whatever
// a bound made it forget; the accounts add up.
func TestAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const quota, most = 6, 40
		table, err := New(Config{Entries: most, PortQuota: quota, PeerQuota: quota, Age: 20 << tickShift, Secret: hashtab.NewSecret()})
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		type known struct {
			dest   Dest
			seen   uint32
			static bool
		}
		model := map[packet.MAC]known{}
		now := Time(0)
		someMAC := rapid.Custom(func(t *rapid.T) packet.MAC { return macOf(rapid.IntRange(0, 80).Draw(t, "mac")) })
		someDest := rapid.Custom(func(t *rapid.T) Dest {
			n := rapid.IntRange(0, 5).Draw(t, "dest")
			if n > 3 {
				return peer(n)
			}
			return port(n)
		})
		t.Repeat(map[string]func(*rapid.T){
			"learn": func(t *rapid.T) {
				mac, d := someMAC.Draw(t, "mac"), someDest.Draw(t, "dest")
				was, inModel := model[mac]
				e := table.Learn(1, mac, d, now)
				switch {
				case e == Refused:
					if got, found := table.Lookup(1, mac, now); found && got == d {
						t.Fatalf("refused, yet at %v", got)
					}
					return
				case inModel && was.static && (e != Known || was.dest != d):
					t.Fatalf("static at %v, learned at %v: %v", was.dest, d, e)
				case e == Known && (!inModel || was.dest != d), e == Moved && (!inModel || was.dest == d):
					t.Fatalf("%v, but was %+v", e, was)
				}
				if !was.static {
					model[mac] = known{d, tickOf(now), false}
				}
			},
			"static": func(t *rapid.T) {
				mac, d := someMAC.Draw(t, "mac"), someDest.Draw(t, "dest")
				if len(model) < 10 && table.AddStatic(1, mac, d) {
					model[mac] = known{dest: d, static: true}
				}
			},
			"remove": func(t *rapid.T) {
				mac := someMAC.Draw(t, "mac")
				table.Remove(1, mac)
				delete(model, mac)
			},
			"flush": func(t *rapid.T) {
				gone := someDest.Draw(t, "dest")
				table.Flush(func(d Dest) bool { return d == gone })
				for mac, k := range model {
					if k.dest == gone && !k.static {
						delete(model, mac)
					}
				}
			},
			"wait":  func(t *rapid.T) { now += Time(rapid.IntRange(0, 12<<tickShift).Draw(t, "wait")) },
			"sweep": func(t *rapid.T) { table.Expire(now, rapid.IntRange(0, 12).Draw(t, "buckets")) },
			"": func(t *rapid.T) {
				for n := range 81 {
					mac := macOf(n)
					k, inModel := model[mac]
					d, found := table.Lookup(1, mac, now)
					if found && (!inModel || d != k.dest || !k.static && tickOf(now)-k.seen > 20) {
						t.Fatalf("%v found at %v, but is %+v (%v)", mac, d, k, inModel)
					}
					if !found && k.static {
						t.Fatalf("static %v is gone", mac)
					}
				}
				checkAccounts(t, table, quota, most)
			},
		})
	})
}

// checkAccounts checks that counts, lists and entries agree.
func checkAccounts(t *rapid.T, table *Table, quota, most int) {
	learned, statics := map[Dest]int{}, 0
	for at := range table.rows {
		for i := range lanes {
			lane := uint32(at*lanes + i)
			v := value(table.value(lane).Load())
			switch {
			case table.rows[at].keys[i].Load() == 0:
			case v.isStatic():
				statics++
			default:
				learned[holderName(v.dest())]++
			}
		}
	}
	total := statics
	for name, h := range table.holders {
		n := 0
		for lane := h.oldest; lane != 0; lane = table.links[lane-1].newer {
			n++
		}
		if n != h.count || n != learned[name] || n > quota {
			t.Fatalf("%v: %d listed, %d counted, %d there, of %d", name, n, h.count, learned[name], quota)
		}
		total += n
	}
	if s := table.stats; s.Entries != total || s.Static != statics || total > most {
		t.Fatalf("stats %+v; %d there, %d static", s, total, statics)
	}
}

// Readers never see a MAC at a place where it was never learned, however fast
// its bucket changes hands. Each MAC n only ever is at port n%50.
func TestReadersSeeNoMixture(t *testing.T) {
	table := newTable(t, Config{Entries: 40, PortQuota: 3})
	const macs = 400
	var stop atomic.Bool
	var readers, writers sync.WaitGroup
	for r := range 2 {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(r), 1))
			for !stop.Load() {
				n := random.IntN(macs)
				if d, found := table.Lookup(1, macOf(n), 0); found && d != port(n%50) {
					t.Errorf("MAC %d at %v", n, d)
					return
				}
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 2))
			for i := range 20_000 {
				n := random.IntN(macs)
				table.Learn(1, macOf(n), port(n%50), Time(i%3)<<tickShift)
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
}

func TestEachVisitsAll(t *testing.T) {
	table := newTable(t, Config{PortQuota: 500})
	for i := range 300 {
		table.Learn(uint16(i), macOf(i), port(1), 0)
	}
	table.AddStatic(7, macOf(1000), peer(4))
	seen := map[packet.MAC]Entry{}
	table.Each(3<<tickShift, func(e Entry) { seen[e.MAC] = e })
	if len(seen) != 301 {
		t.Fatalf("%d visited", len(seen))
	}
	if got, want := seen[macOf(299)], (Entry{Segment: 299, MAC: macOf(299), Dest: port(1), Idle: 3 << tickShift}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := seen[macOf(1000)], (Entry{Segment: 7, MAC: macOf(1000), Dest: peer(4), Static: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLayoutAndAllocations(t *testing.T) {
	if size := reflect.TypeFor[bucket]().Size(); size != 128 {
		t.Errorf("a bucket is %d bytes, not two cache lines", size)
	}
	if probes > 16 {
		t.Errorf("%d probes", probes)
	}
	table := newTable(t, Config{})
	n := 0
	if allocs := testing.AllocsPerRun(1000, func() {
		n++
		now := Time(n) * second
		table.Lookup(1, macOf(1), now)
		table.Learn(1, macOf(1), port(1), now)
		table.Learn(1, macOf(n), port(1), now)
		for i := range 4 { // each move empties a port
			table.Learn(1, macOf(2), port(2+i), now)
		}
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkLookup(b *testing.B) {
	for name, n := range map[string]int{"64": 64, "60k": 60_000} {
		b.Run(name, func(b *testing.B) {
			table := newTable(b, Config{PortQuota: n})
			for i := range n {
				table.Learn(1, macOf(i*7919), port(1), 0)
			}
			order := rand.New(rand.NewPCG(1, 1)).Perm(n)
			for i := 0; b.Loop(); i++ {
				if _, found := table.Lookup(1, macOf(order[i%n]*7919), 0); !found {
					b.Fatal("lost")
				}
			}
		})
	}
}

func BenchmarkLearnKnown(b *testing.B) {
	table := newTable(b, Config{})
	table.Learn(1, macOf(1), port(1), 0)
	for b.Loop() {
		table.Learn(1, macOf(1), port(1), 0)
	}
}

func BenchmarkLearnFlood(b *testing.B) {
	table := newTable(b, Config{})
	for i := 0; b.Loop(); i++ {
		table.Learn(1, macOf(i), port(1), 0)
	}
}

// MACs that all meet, as a peer that knew the secret could make them, fill two buckets
// and no more; under another secret they are like any others.
func TestCollidingMACs(t *testing.T) {
	const n = 40
	secret := hashtab.Secret{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93, 0xa0761d6478bd642f, 0xe7037ed1a0b428db}
	known, other := newTable(t, Config{Entries: 64, Secret: secret}), newTable(t, Config{Entries: 64, Secret: hashtab.Secret{0x8ebc6af09c88c6e3, 0x589965cc75374cc3, 0x1d8e4e27c47d124f, 0xeb44accab455d165, 0x2545f4914f6cdd1d, 0xff51afd7ed558ccd}})
	first, second := known.pair(keyOf(1, macOf(1)))
	var macs []packet.MAC
	for i := 1; len(macs) < n; i++ {
		if a, b := known.pair(keyOf(1, macOf(i))); a == first && b == second {
			macs = append(macs, macOf(i))
		}
	}
	for i, mac := range macs {
		if event := known.Learn(1, mac, peer(1), 1e9); (event == Added) != (i < probes) {
			t.Errorf("MAC %d of those that meet is %s", i, event)
		}
		if event := other.Learn(1, mac, peer(1), 1e9); event != Added {
			t.Errorf("MAC %d is %s under a secret that nobody knew", i, event)
		}
	}
	for i, mac := range macs {
		if _, found := known.Lookup(1, mac, 1e9); found != (i < probes) {
			t.Errorf("MAC %d of those that meet is found: %v", i, found)
		}
	}
}
