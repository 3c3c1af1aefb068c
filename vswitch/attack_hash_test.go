package vswitch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// A03, hash collisions: mallory knows the code, and guesses the key of the hash. Of
// all flows that it may open it sends those that would meet in a few buckets of the
// session table, which then could not hold them: they would be refused, and whatever
// of others falls there, too. The daemon has drawn its key at its start, so all of
// them are held, start after start. That the guess, were it right, does what it is for
// is tried on a table of that very key.
func TestAttackHash(t *testing.T) {
	root(t)
	t.Parallel()
	keys, shots := meeting(t)
	would := underTheGuess(t, keys)
	if would >= len(keys)*3/4 {
		t.Fatalf("under the guessed key %d of %d flows are held: they do not meet", would, len(keys))
	}
	s := stage(t, "tap", fmt.Sprintf("sessions = %d\nsessions_per_port = %[1]d\nembryonic_per_port = %[1]d", hashSessions))
	least, starts, sent := len(keys), times(20, 2), 0
	for i := range starts {
		if i > 0 {
			s.allKilled() // a switch alone would have its sessions taken over
			s.run()
			pings(t, s.bob, sceneIP(alice, 0))
		}
		gun, before := s.gun(), s.opened()
		for _, b := range shots {
			gun.fire(b)
			sent++
		}
		s.quiet("mallory")
		least = min(least, s.opened()-before)
		gun.close()
	}
	drops := s.drops("mallory")
	attackRow{id: "A03", what: fmt.Sprintf("flows that meet under a key that was guessed, %d starts", starts), sent: uint64(sent), reasons: drops,
		figures: fmt.Sprintf("%d of %d held at the least; had the guess been right: %d", least, len(keys), would)}.report(t)
	if least != len(keys) || drops["session-full"] != 0 {
		t.Errorf("of %d flows %d are held, at the least: %v", len(keys), least, drops)
	}
}

// The table is small, so that mallory has flows enough to fill a part of it beyond
// its end, and all of it is open to each port: nothing but the key is in the way.
const (
	hashSessions = 1024
	hashBuckets  = hashSessions/4 + 2
	hashFlows    = 200
)

// guess is the key that mallory takes it for.
var guess = [6]uint64{0x0123456789abcdef, 0x1123456789abcdef, 0x2123456789abcdef, 0x3123456789abcdef, 0x4123456789abcdef, 0x5123456789abcdef}

// guessed is a session table of that key.
func guessed(t *testing.T) *conntrack.Table {
	t.Helper()
	table, err := conntrack.New(conntrack.Config{Sessions: hashSessions, Secret: guess, EmbryonicQuota: hashSessions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

// meeting returns flows to alice both of whose buckets are among a few, and a packet of
// each.
func meeting(t *testing.T) (keys []packet.Key, shots [][]byte) {
	t.Helper()
	table := guessed(t)
	const few = hashFlows / 2 / 8 // they have room for half of the flows
	for family := range 2 {
		f := packet.NewFrame(made(t, family, func(*packet.Spec) {}), 1)
		if reason := packet.Parse(f); reason != drop.None {
			t.Fatal(reason)
		}
		k := f.Headers.Key
		k.Zone = 1
		for sport := 1024; sport < 1<<16 && len(keys) < hashFlows*(1+family)/2; sport++ {
			k.SrcPort = uint16(sport)
			h := table.Hash(&k)
			if uint64(uint32(h))*hashBuckets>>32 < few && uint64(uint32(h>>26))*hashBuckets>>32 < few {
				keys = append(keys, k)
				shots = append(shots, made(t, family, func(p *packet.Spec) { p.SrcPort = k.SrcPort }))
			}
		}
	}
	if len(keys) != hashFlows {
		t.Fatalf("%d flows of %d meet", len(keys), hashFlows)
	}
	return keys, shots
}

// underTheGuess is how many of the flows a table holds whose key it is.
func underTheGuess(t *testing.T, keys []packet.Key) (held int) {
	table := guessed(t)
	for i := range keys {
		f := packet.NewFrame(made(t, 0, func(*packet.Spec) {}), 1)
		if reason := packet.Parse(f); reason != drop.None {
			t.Fatal(reason)
		}
		f.Headers.Key = keys[i]
		_, _ = table.Open(f, table.Hash(&keys[i]), int64(time.Hour))
	}
	return table.Len()
}

// opened is how many sessions mallory has open to alice.
func (s *scene) opened() (n int) {
	s.t.Helper()
	var all api.Sessions
	s.get("/v1/sessions?limit=1000", &all)
	for i := range all.Sessions {
		if all.Sessions[i].Port == "mallory" && strings.HasSuffix(all.Sessions[i].Destination, ":5100") {
			n++
		}
	}
	return n
}
