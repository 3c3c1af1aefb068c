package conntrack

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

func TestNoAllocations(t *testing.T) {
	table := newTable(t, Config{PortQuota: 50})
	syn, data := synOf(1, 1), o(ack, 1, 1, 10).frame(keyOf(packet.ProtoTCP, 1), 1)
	put(table, syn, 0)
	put(table, handshake[1].frame(syn.Headers.Key, 1), 0)
	n := 0
	if allocs := testing.AllocsPerRun(2000, func() {
		n++
		put(table, data, Time(n)*second/100)
		syn.Headers.Key.SrcPort = uint16(n) | 2
		put(table, syn, Time(n)*second/100)
		table.Expire(Time(n)*second/100, 32)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// filled returns a table with n open sessions, and their keys in random order.
func filled(b *testing.B, n int) (*Table, []packet.Key) { return filledIn(b, n, nil) }

// filledIn is filled in memory that is given.
func filledIn(b *testing.B, n int, memory []byte) (*Table, []packet.Key) {
	table := newTable(b, Config{Sessions: uint32(n), EmbryonicQuota: uint32(n), Memory: memory, Seal: testSecret})
	keys := make([]packet.Key, n)
	f := frameOf(packet.Key{}, 1, 10)
	for i := range keys {
		keys[i] = keyOf(packet.ProtoUDP, i)
		f.Headers.Key = keys[i]
		if _, reason := put(table, f, 0); reason != drop.None {
			b.Fatal(i, reason)
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return table, keys
}

// benchHit is hash, look-up and advance of UDP sessions in random order.
func benchHit(b *testing.B, n int) {
	table, keys := filled(b, n)
	f := frameOf(packet.Key{}, 1, 10)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		k := &keys[i%n]
		s, d := table.Find(k, table.Hash(k), 0)
		if s == nil || table.Advance(s, d, f, 0) != drop.None {
			b.Fatal("lost")
		}
	}
}

func BenchmarkHitThousand(b *testing.B) { benchHit(b, 1000) }
func BenchmarkHitMillion(b *testing.B)  { benchHit(b, 1_000_000) }

// BenchmarkHitMillionStaged is the same in batches of 32: hash all, fetch the
// buckets of all, then the sessions of all, then look up.
func BenchmarkHitMillionStaged(b *testing.B) {
	table, keys := filled(b, 1_000_000)
	benchStaged(b, table, keys)
}

// BenchmarkHitMillionKept is the same where sessions outlive the process: in a memory
// file, for which kernels give no huge pages unless shmem_enabled says so.
func BenchmarkHitMillionKept(b *testing.B) {
	const n = 1_000_000
	table, keys := filledIn(b, n, mapFile(b, filepath.Join(b.TempDir(), "memory"), MemorySize(n)))
	benchStaged(b, table, keys)
}

func benchStaged(b *testing.B, table *Table, keys []packet.Key) {
	const batch = 32
	n := len(keys)
	f := frameOf(packet.Key{}, 1, 10)
	var hashes [batch]uint64
	var rows [batch]uint32
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		at := i % (n - batch)
		for j := range batch {
			hashes[j] = table.Hash(&keys[at+j])
		}
		table.TouchAll(hashes[:], rows[:])
		for j := range batch {
			s, d := table.FindNear(rows[j], &keys[at+j], hashes[j], 0)
			if s == nil || table.Advance(s, d, f, 0) != drop.None {
				b.Fatal("lost")
			}
		}
	}
}

// BenchmarkTCPHit is an acknowledged segment of one open connection.
func BenchmarkTCPHit(b *testing.B) {
	table := newTable(b, Config{})
	k := keyOf(packet.ProtoTCP, 1)
	for _, step := range handshake {
		put(table, step.frame(k, 1), 0)
	}
	f := o(ack, 1, 1, 10).frame(k, 1)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if _, reason := put(table, f, 0); reason != drop.None {
			b.Fatal(reason)
		}
	}
}

// BenchmarkOpen opens sessions in a table of a million that is full of
// unanswered ones: look up, evict the oldest, open.
func BenchmarkOpen(b *testing.B) {
	const n = 1_000_000
	table, _ := filled(b, n)
	f := frameOf(packet.Key{}, 1, 10)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		f.Headers.Key = keyOf(packet.ProtoUDP, n+i)
		if _, reason := put(table, f, 0); reason != drop.None {
			b.Fatal(reason)
		}
	}
}

// BenchmarkOpenEmpty opens sessions in a table that has room.
func BenchmarkOpenEmpty(b *testing.B) {
	f := frameOf(packet.Key{}, 1, 10)
	table := newTable(b, Config{Sessions: 1 << 21, EmbryonicQuota: 1 << 21, Populate: true})
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		f.Headers.Key = keyOf(packet.ProtoUDP, i)
		if _, reason := put(table, f, 0); reason != drop.None {
			b.Fatal(reason)
		}
	}
}
