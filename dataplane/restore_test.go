package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
)

const keptAt = Time(1000 * time.Second)

// keptConfig is of small tables, in memory that is kept.
func keptConfig(t testing.TB, workers int) StateConfig {
	t.Helper()
	cfg := StateConfig{
		Sessions: conntrack.Config{Sessions: 64 * 32, Ports: 16}, Workers: workers,
		NAT: nat.Config{Mappings: 100}, FDB: fdb.Config{Entries: 200},
	}
	mem, err := syscall.Mmap(-1, 0, KeepSize(cfg), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	cfg.Keep = mem
	return cfg
}

func keptState(t testing.TB, cfg StateConfig) *State {
	t.Helper()
	s, err := NewState(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func keptKey(n int) packet.Key {
	return packet.Key{
		Src: packet.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), Dst: packet.AddrFrom4([4]byte{192, 0, 2, 1}),
		SrcPort: uint16(1024 + n), DstPort: 53, Zone: 1, Proto: packet.ProtoUDP,
	}
}

// keptRules has an address for each of the inside.
func keptRules(t testing.TB) *nat.Rules {
	t.Helper()
	pool := []packet.Addr{packet.AddrFrom4([4]byte{198, 51, 100, 1}), packet.AddrFrom4([4]byte{198, 51, 100, 2}), packet.AddrFrom4([4]byte{198, 51, 100, 3})}
	r, err := nat.NewRules([]nat.Source{{Zone: 1, From: netip.MustParsePrefix("10.0.0.0/8"), Pool: pool, Least: 2000, Most: 60000}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fill opens sessions of ports 3 and 5, every fourth translated, learns MACs in segment 2,
// and notes what a test wants.
func fill(t testing.TB, s *State, sessions int) {
	t.Helper()
	rules := keptRules(t)
	for n := range sessions {
		f := &packet.Frame{}
		f.Begin(make([]byte, 256), 0, 200, 3+packet.PortID(n%2*2))
		f.Headers.Key, f.Headers.L3, f.Headers.L4, f.Headers.Payload, f.Headers.PacketEnd = keptKey(n), 14, 34, 42, 90
		hash := s.Sessions.hash(&f.Headers.Key)
		table := s.Sessions.shard(hash).table
		session, reason := table.Open(f, hash, keptAt)
		if reason != drop.None {
			t.Fatal(n, reason)
		}
		session.Generation, session.Rule = 9, 4
		if n%4 == 0 {
			tag, reason := s.NAT.Leave(rules, rules.SourceFor(&f.Headers.Key), &f.Headers.Key, uint16(f.Ingress))
			if reason != drop.None || !table.SetTag(session, uint32(tag)) {
				t.Fatal(n, reason)
			}
		}
	}
	for n := range 20 {
		s.FDB.Learn(2, packet.MAC{2, 0, 0, 0, 0, byte(n)}, fdb.AtPeer(uint16(n%2), 0), keptAt)
	}
}

var keptNames = &Renumbering{
	Ports: map[packet.PortID]packet.PortID{3: 7}, Zones: map[uint16]uint16{1: 6},
	Segments: map[uint16]uint16{2: 0}, Peers: map[uint16]uint16{1: 8},
}

// What one state has left another takes in, by its own numbers, whatever the number of
// workers of either: sessions as old ones that nobody has judged, with the very same
// outside ends, and MACs. What goes by a port or a peer that is no more is forgotten.
func TestRestore(t *testing.T) {
	for _, workers := range [][2]int{{1, 1}, {1, 4}, {4, 1}} {
		before, after := keptState(t, keptConfig(t, workers[0])), keptState(t, keptConfig(t, workers[1]))
		fill(t, before, 120)
		before.FDB.Learn(2, packet.MAC{2, 0, 0, 0, 9, 9}, fdb.AtPort(5), keptAt) // which no switch does
		r, err := OpenRemains(before.keeping.mem)
		if err != nil {
			t.Fatal(err)
		}
		got, err := after.Restore(r, keptNames, keptAt+Time(time.Second))
		// 60 sessions are of port 5, and of 20 MACs 10 behind peer 0.
		if want := (Restored{Sessions: 60, Translations: 30, MACs: 10, Unknown: 70, Refused: 1}); got != want || err != nil {
			t.Errorf("workers %v: %+v, %v; want %+v", workers, got, err, want)
		}
		for n := range 120 {
			old := keptKey(n)
			key := old
			key.Zone = 6
			hash := after.Sessions.hash(&key)
			table := after.Sessions.shard(hash).table
			s, _ := table.Find(&key, hash, keptAt+Time(time.Second))
			if (s != nil) != (n%2 == 0) {
				t.Fatalf("workers %v: session %d is there: %v", workers, n, s != nil)
			}
			if s == nil {
				continue
			}
			if s.Generation != 0 || s.Rule != 0 || s.Owner() != 7 {
				t.Errorf("session %d is of generation %d, rule %d, port %d", n, s.Generation, s.Rule, s.Owner())
			}
			tag := nat.Tag(table.Tag(s))
			if (tag != 0) != (n%4 == 0) {
				t.Fatalf("session %d has tag %d", n, tag)
			}
			if tag == 0 {
				continue
			}
			hash = before.Sessions.hash(&old)
			theirs := before.Sessions.shard(hash).table
			was, _ := theirs.Find(&old, hash, keptAt)
			a, b := before.NAT.Of(nat.Tag(theirs.Tag(was))), after.NAT.Of(tag)
			if a.Inside != b.Inside || a.Outside != b.Outside || b.Zone != 6 {
				t.Errorf("session %d was translated as %+v, and is as %+v", n, *a, *b)
			}
			if inside, found := after.NAT.Inward(6, packet.ProtoUDP, 0, &b.Outside); !found || inside != b.Inside {
				t.Errorf("session %d: its outside end leads to %v, %v", n, inside, found)
			}
		}
		if d, found := after.FDB.Lookup(0, packet.MAC{2, 0, 0, 0, 0, 1}, keptAt); !found || d.Peer != 8 {
			t.Errorf("a MAC is at %+v, %v", d, found)
		}
		if sessions := after.NAT.Stats().Mappings; sessions != 30 {
			t.Errorf("%d mappings", sessions)
		}
		// An inside address keeps its address of the pool, also for what begins now.
		if a, b := addressFor(t, before, 500), addressFor(t, after, 500); a != b {
			t.Errorf("one inside end leaves by %v, and after by %v", a, b)
		}
	}
}

func addressFor(t *testing.T, s *State, n int) packet.Addr {
	t.Helper()
	rules, key := keptRules(t), keptKey(n)
	tag, reason := s.NAT.Leave(rules, rules.SourceFor(&key), &key, 1)
	if reason != drop.None {
		t.Fatal(reason)
	}
	return s.NAT.Of(tag).Outside.Addr
}

// Sessions whose time is over by now, and translations that have lingered, are not
// taken in.
func TestRestoreIsLate(t *testing.T) {
	before, after := keptState(t, keptConfig(t, 1)), keptState(t, keptConfig(t, 1))
	fill(t, before, 100)
	r, err := OpenRemains(before.keeping.mem)
	if err != nil {
		t.Fatal(err)
	}
	got, err := after.Restore(r, keptNames, keptAt+Time(time.Hour))
	if want := (Restored{Unknown: 60, Refused: 60}); got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if s := after.NAT.Stats(); s.Mappings != 0 || s.Lingering != 0 {
		t.Errorf("translations are left: %+v", s)
	}
}

// What is not what this build keeps is not looked into.
func TestRemainsRefused(t *testing.T) {
	s := keptState(t, keptConfig(t, 1))
	fill(t, s, 10)
	word := binary.NativeEndian
	resum := func(b []byte) { word.PutUint64(b[headEnd:], sumOf(b[:headEnd])) }
	for _, k := range []struct {
		situation string
		harm      func(b []byte) []byte
		says      string
	}{
		{"nothing", func(b []byte) []byte { return nil }, "0 bytes"},
		{"never begun", func(b []byte) []byte { return make([]byte, len(b)) }, "nothing was kept"},
		{"another layout", func(b []byte) []byte { b[8]++; resum(b); return b }, ErrLayout.Error()},
		{"a damaged head", func(b []byte) []byte { b[40]++; return b }, "damaged"},
		{"cut", func(b []byte) []byte { return b[:len(b)-1] }, "speaks of others"},
		{"more sessions", func(b []byte) []byte { word.PutUint32(b[16:], 1<<20); resum(b); return b }, "speaks of others"},
		{"too many of everything", func(b []byte) []byte {
			for at := 16; at < 32; at += 4 {
				word.PutUint32(b[at:], 1<<32-1)
			}
			resum(b)
			return b
		}, "speaks of others"},
		{"no shards", func(b []byte) []byte { word.PutUint32(b[20:], 0); resum(b); return b }, "speaks of others"},
	} {
		_, err := OpenRemains(k.harm(bytes.Clone(s.keeping.mem)))
		if err == nil || !strings.Contains(err.Error(), k.says) {
			t.Errorf("%s: %v", k.situation, err)
		}
	}
	defer func() { keepSalt = "" }()
	keepSalt = "another build"
	if _, err := OpenRemains(s.keeping.mem); !errors.Is(err, ErrLayout) {
		t.Errorf("another build takes it: %v", err)
	}
}

// The note that is found is the last that is whole.
func TestNote(t *testing.T) {
	s := keptState(t, keptConfig(t, 1))
	note := func() string {
		r, err := OpenRemains(s.keeping.mem)
		if err != nil {
			t.Fatal(err)
		}
		return string(r.Note())
	}
	if got := note(); got != "" {
		t.Errorf("nobody has left %q", got)
	}
	for n := range 5 {
		if err := s.Note([]byte(fmt.Sprint("note ", n))); err != nil || note() != fmt.Sprint("note ", n) {
			t.Errorf("note %d: %q, %v", n, note(), err)
		}
	}
	if err := s.Note(make([]byte, noteRoom)); err == nil || note() != "note 4" {
		t.Errorf("one that is too long: %q, %v", note(), err)
	}
	last := s.keeping.mem[noteAt+int(s.keeping.notes%2)*noteRoom:]
	for _, at := range []int{0, 8, 16, noteHead, noteHead + 5} { // killed while it was written
		last[at] ^= 1
		if got := note(); got != "note 3" {
			t.Errorf("with byte %d wrong: %q", at, got)
		}
		last[at] ^= 1
	}
}

// Whatever bytes are left, Restore ends, and what it has taken in is bounded, charged,
// and goes away by its time.
func TestRestoreOfDamagedMemory(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	before := keptState(t, keptConfig(t, 1))
	fill(t, before, 200)
	good := bytes.Clone(before.keeping.mem)
	for round := range 300 {
		mem := before.keeping.mem
		copy(mem[tablesAt:], good[tablesAt:])
		for range 1 + r.IntN(2000) {
			at := tablesAt + r.IntN(len(mem)-tablesAt)
			mem[at] = byte(r.Uint32())
		}
		remains, err := OpenRemains(mem)
		if err != nil {
			t.Fatal(err)
		}
		after := keptState(t, keptConfig(t, 1))
		got, err := after.Restore(remains, keptNames, keptAt)
		if err != nil {
			t.Fatal(err)
		}
		table := after.Sessions.shards[0].table
		n := 0
		table.Range(0, 1<<20, keptAt, func(s *conntrack.Session, _ conntrack.Time) {
			if n++; s.Key.Zone != 6 || s.Owner() != 7 || s.Generation != 0 {
				t.Errorf("round %d of seed %d: %+v", round, seed, *s)
			}
		})
		if charged, _ := table.Charged(7); n != got.Sessions || int(charged) != n || n > 100 {
			t.Errorf("round %d of seed %d: %d sessions, %d said, %d charged", round, seed, n, got.Sessions, charged)
		}
		for at := keptAt; at < keptAt+Time(10*time.Minute); at += Time(time.Minute) {
			table.Expire(at, 1<<20)
			after.NAT.Expire(at, 1<<20)
		}
		if m := after.NAT.Stats().Mappings; table.Len() != 0 || m != 0 {
			t.Errorf("round %d of seed %d: %d sessions and %d translations stay for ever", round, seed, table.Len(), m)
		}
	}
}
