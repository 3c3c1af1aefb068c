package conntrack

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

func TestASessionIsTwoCacheLines(t *testing.T) {
	session := reflect.TypeFor[Session]()
	cold, _ := session.FieldByName("windows")
	if session.Size() != 128 || cold.Offset != 64 {
		t.Errorf("%d bytes, cold line from %d", session.Size(), cold.Offset)
	}
	table := newTable(t, Config{Sessions: 1_000_000})
	if got := table.Stats().Bytes; got > 160<<20 {
		t.Errorf("a million sessions take %d bytes", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{{}, {Sessions: MaxSessions + 1}, {Sessions: 1, Ports: -1}, {Sessions: 1, Ports: packet.MaxPorts + 1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	table := newTable(t, Config{Sessions: 1, Populate: true})
	if _, reason := put(table, frameOf(keyOf(packet.ProtoUDP, 1), 0, 0), 0); reason != drop.None {
		t.Errorf("a table of one takes none: %v", reason)
	}
}

// tcpOf returns the SYN, or the last ACK of the handshake, of the n-th flow.
func synOf(n int, port packet.PortID) *packet.Frame {
	return o(syn, 0, 0, 0).frame(keyOf(packet.ProtoTCP, n), port)
}

// open opens a connection completely.
func open(t *testing.T, table *Table, n int, port packet.PortID, now Time) {
	t.Helper()
	for _, step := range handshake {
		if _, reason := put(table, step.frame(keyOf(packet.ProtoTCP, n), port), now); reason != drop.None {
			t.Fatalf("flow %d: %v", n, reason)
		}
	}
}

// A flood of SYNs by one port costs nobody a session but itself, not even its
// own open ones, and is over when it is over.
func TestSynFloodHurtsOnlyItself(t *testing.T) {
	table := newTable(t, Config{Sessions: 4000, PortQuota: 1000, EmbryonicQuota: 250})
	for n := range 100 {
		open(t, table, n, 1, 0)
		open(t, table, 1_000_000+n, 2, 0)
	}
	for n := range 50_000 {
		if _, reason := put(table, synOf(2_000_000+n, 1), Time(n)*10_000); reason != drop.None {
			t.Fatalf("SYN %d: %v", n, reason)
		}
		if n%100 == 0 { // meanwhile the other port opens and closes at its leisure
			k := keyOf(packet.ProtoTCP, 10_000_000+n)
			open(t, table, 10_000_000+n, 2, Time(n)*10_000)
			s, _ := find(table, k, Time(n)*10_000)
			table.Remove(s)
		}
	}
	if sessions, embryonic := table.Charged(1); sessions != 350 || embryonic != 250 {
		t.Errorf("port 1 holds %d, %d of them embryonic", sessions, embryonic)
	}
	for n := range 100 {
		for _, m := range []int{n, 1_000_000 + n} {
			if s, _ := find(table, keyOf(packet.ProtoTCP, m), second); s == nil || s.State() != StateEstablished {
				t.Fatalf("open connection %d is lost", m)
			}
		}
	}
	for table.Expire(35*second, 100) > 0 || table.wheel.next <= tickOf(35*second) {
	}
	if _, embryonic := table.Charged(1); embryonic != 0 {
		t.Errorf("35 s after the flood %d are left of it", embryonic)
	}
}

// A port whose sessions are all answered opens no more than its quota.
func TestQuotaOfAnsweredSessions(t *testing.T) {
	table := newTable(t, Config{Sessions: 100, PortQuota: 20})
	table.SetQuota(2, 5, 5)
	for n := range 20 {
		open(t, table, n, 1, 0)
	}
	if _, reason := put(table, synOf(50, 1), 0); reason != drop.SessionQuota {
		t.Errorf("the 21st: %v", reason)
	}
	for n := range 5 {
		open(t, table, 100+n, 2, 0)
	}
	if _, reason := put(table, synOf(150, 2), 0); reason != drop.SessionQuota {
		t.Errorf("the 6th of a port that may hold 5: %v", reason)
	}
	if _, reason := put(table, synOf(151, packet.NoPort), 0); reason != drop.SessionQuota {
		t.Errorf("a port that is none: %v", reason)
	}
}

// A full table refuses who has nothing to give for it, and takes from its own
// who has.
func TestFullTable(t *testing.T) {
	table := newTable(t, Config{Sessions: 50, EmbryonicQuota: 50})
	for n := range 49 {
		open(t, table, n, 1, 0)
	}
	put(table, synOf(100, 2), 0)
	if _, reason := put(table, synOf(101, 1), 0); reason != drop.SessionFull {
		t.Errorf("port 1 has only open ones: %v", reason)
	}
	if _, reason := put(table, synOf(102, 2), 0); reason != drop.None {
		t.Errorf("port 2 has a half-open one to give: %v", reason)
	}
	if s, _ := find(table, keyOf(packet.ProtoTCP, 100), 0); s != nil {
		t.Error("the half-open one is still there")
	}
	if got := table.Stats(); got.Sessions != 50 || got.Evicted != 1 || got.Embryonic != 1 {
		t.Errorf("stats %+v", got)
	}
}

// colliding returns keys that all share both buckets of a table for 40.
func colliding(table *Table, n int) (keys []packet.Key) {
	const buckets = 40/4 + 2
	pair := func(h uint64) [2]uint64 {
		return [2]uint64{uint64(uint32(h)) * buckets >> 32, uint64(uint32(h>>26)) * buckets >> 32}
	}
	first := keyOf(packet.ProtoUDP, 0)
	for i := 0; len(keys) < n; i++ {
		k := keyOf(packet.ProtoUDP, i)
		if pair(table.Hash(&k)) == pair(table.Hash(&first)) {
			keys = append(keys, k)
		}
	}
	return keys
}

// Keys that all meet, as an attacker with the secret could make them, fill two
// buckets and no more: 16 sessions. Then the port's own unanswered session
// that has least time left makes room, never an answered one or another port's.
func TestCollidingKeys(t *testing.T) {
	table := newTable(t, Config{Sessions: 40, EmbryonicQuota: 40})
	keys := colliding(table, 40)
	for i, k := range keys[:hashtab.MaxProbes] {
		port := packet.PortID(1 + i%2)
		if _, reason := put(table, frameOf(k, port, 0), Time(i)*second); reason != drop.None {
			t.Fatalf("key %d: %v", i, reason)
		}
		if port == 2 {
			put(table, frameOf(k.Reverse(), 5, 0), Time(i)*second)
		}
	}
	now := 16 * second
	for port, want := range map[packet.PortID]drop.Reason{2: drop.SessionFull, 3: drop.SessionFull, 1: drop.None} {
		if _, reason := put(table, frameOf(keys[20+int(port)], port, 0), now); reason != want {
			t.Errorf("port %d: %v, want %v", port, reason, want)
		}
	}
	for i, k := range keys[:hashtab.MaxProbes] {
		if s, _ := find(table, k, now); (s == nil) != (i == 0) {
			t.Errorf("key %d: found %v", i, s != nil)
		}
		if _, d := find(table, k.Reverse(), now); i != 0 && d != Reply {
			t.Errorf("key %d is not found in reverse", i)
		}
	}
	// Once one is dead of age, anybody may have its place.
	now = 33 * second
	if _, reason := put(table, frameOf(keys[30], 3, 0), now); reason != drop.None {
		t.Errorf("after the time of one: %v", reason)
	}
	if got := table.Stats(); got.Sessions != hashtab.MaxProbes || got.Evicted != 1 || got.Expired != 1 {
		t.Errorf("stats %+v", got)
	}
}

// One secret or another: what the table answers is the same.
func TestOutcomesDoNotDependOnTheSecret(t *testing.T) {
	run := func(secret hashtab.Secret) (reasons []drop.Reason, stats Stats) {
		table := newTable(t, Config{Sessions: 300, PortQuota: 150, Secret: secret})
		for n := range 2000 {
			_, reason := put(table, frameOf(keyOf(packet.ProtoUDP, n*7919), packet.PortID(n%3), 10), Time(n)*second/100)
			reasons = append(reasons, reason)
			table.Expire(Time(n)*second/100, 10)
		}
		return reasons, table.Stats()
	}
	wantReasons, wantStats := run(testSecret)
	for range 5 {
		secret := hashtab.NewSecret()
		if reasons, stats := run(secret); !reflect.DeepEqual(reasons, wantReasons) || stats != wantStats {
			t.Errorf("secret %x: %+v, want %+v", secret, stats, wantStats)
		}
	}
}

// Each state lives its timeout, and at most two ticks more; then it is not
// found, and Expire takes it away.
func TestTimeouts(t *testing.T) {
	udp := func(table *Table, now Time, replies int) {
		k := keyOf(packet.ProtoUDP, 1)
		put(table, frameOf(k, 1, 0), now)
		for range replies {
			put(table, frameOf(k.Reverse(), 1, 0), now)
		}
	}
	tcp := func(steps []step) func(*Table, Time) {
		return func(table *Table, now Time) {
			for _, step := range steps {
				put(table, step.frame(keyOf(packet.ProtoTCP, 1), 1), now)
			}
		}
	}
	for name, c := range map[string]struct {
		state State
		make  func(*Table, Time)
	}{
		"syn sent":       {StateSynSent, tcp(handshake[:1])},
		"syn received":   {StateSynReceived, tcp(handshake[:2])},
		"established":    {StateEstablished, tcp(handshake)},
		"half closed":    {StateCloseWait, tcp(halfClosed())},
		"time wait":      {StateTimeWait, tcp(finished())},
		"reset":          {StateClosed, tcp(established(step{o(rst, 1, 0, 0), pass, sCL}))},
		"udp unanswered": {StateUnanswered, func(table *Table, now Time) { udp(table, now, 0) }},
		"udp answered":   {StateAnswered, func(table *Table, now Time) { udp(table, now, 2) }},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable(t, Config{})
			born := 1000*second + 77
			c.make(table, born)
			var s *Session
			table.Range(0, 1000, born, func(found *Session, _ Time) { s = found })
			if s == nil || s.State() != c.state {
				t.Fatalf("%v", s)
			}
			k, life := s.Key, Time(DefaultTimeouts[c.state])
			if s, _ := find(table, k, born+life); s == nil {
				t.Error("dead before its time")
			}
			turn(table, born+life)
			if table.Len() != 1 {
				t.Error("expired before its time")
			}
			turn(table, born+life+2<<tickShift)
			if table.Len() != 0 {
				t.Error("not expired at its time")
			}
		})
	}
}

// turn turns the wheel to now.
func turn(table *Table, now Time) {
	for table.wheel.next <= tickOf(now) {
		table.Expire(now, 1000)
	}
}

// A session past its deadline is gone for Find, although Expire never ran, and
// its key can be opened again.
func TestFindDoesNotWaitForExpire(t *testing.T) {
	table := newTable(t, Config{})
	k := keyOf(packet.ProtoUDP, 1)
	put(table, frameOf(k, 1, 0), 0)
	if s, _ := find(table, k, 31*second); s != nil {
		t.Error("found after its time")
	}
	if _, reason := put(table, frameOf(k.Reverse(), 2, 0), 31*second); reason != drop.None || table.Len() != 1 {
		t.Errorf("%v, %d sessions", reason, table.Len())
	}
	if _, d := find(table, k, 31*second); d != Reply {
		t.Error("the new session has the old one's direction")
	}
}

// No call of Expire looks at more than its budget, and a table of long-lived
// sessions is worked off all the same, a long sleep included.
func TestExpireIsBounded(t *testing.T) {
	table := newTable(t, Config{Sessions: 5000, EmbryonicQuota: 5000})
	for n := range 5000 {
		put(table, frameOf(keyOf(packet.ProtoUDP, n), 1, 0), 0)
	}
	now := 3 * 24 * 3600 * second
	for calls := 1; table.Len() > 0; calls++ {
		if n := table.Expire(now, 32); n > 32 {
			t.Fatalf("%d expired by a budget of 32", n)
		}
		if calls > (5000+wheelSlots)/32+1 {
			t.Fatalf("after %d calls %d sessions are left", calls, table.Len())
		}
	}
	open(t, table, 1, 1, now)
	for hour := range Time(48) { // refreshed once an hour, it lives for ever
		now += 3600 * second
		turn(table, now)
		if _, reason := put(table, o(ack, 1, 1, 0).frame(keyOf(packet.ProtoTCP, 1), 1), now); reason != drop.None {
			t.Fatalf("hour %d: %v", hour, reason)
		}
	}
}

func TestICMPEcho(t *testing.T) {
	v6 := func(k packet.Key) packet.Key {
		k.Src, k.Dst = packet.Addr{0x20, 1, 15: 1}, packet.Addr{0x20, 1, 15: 2}
		return k
	}
	for name, c := range map[string]struct {
		k              packet.Key
		request, reply uint8
	}{
		"echo":       {keyOf(packet.ProtoICMP, 1), packet.ICMPEchoRequest, packet.ICMPEchoReply},
		"timestamp":  {keyOf(packet.ProtoICMP, 1), 13, 14},
		"echo of v6": {v6(keyOf(packet.ProtoICMPv6, 1)), packet.ICMPv6EchoRequest, packet.ICMPv6EchoReply},
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable(t, Config{})
			send := func(k packet.Key, icmpType uint8) drop.Reason {
				f := frameOf(k, 1, 8)
				f.Headers.ICMPType = icmpType
				_, reason := put(table, f, 0)
				return reason
			}
			for i, c := range []struct {
				k        packet.Key
				icmpType uint8
				want     drop.Reason
			}{
				{c.k.Reverse(), c.reply, drop.ICMPUnmatched},   // nobody asked
				{c.k, 5, drop.ICMPUnmatched},                   // no question
				{c.k, c.request, drop.None},                    //
				{c.k.Reverse(), c.reply, drop.None},            //
				{c.k.Reverse(), c.request, drop.ICMPUnmatched}, // the other end may not ask
				{c.k, c.reply, drop.ICMPUnmatched},             // who asked does not answer
				{c.k, c.request, drop.None},
			} {
				if got := send(c.k, c.icmpType); got != c.want {
					t.Errorf("packet %d: %v, want %v", i, got, c.want)
				}
			}
		})
	}
}

// An ICMP error is believed if what it quotes was under way, and changes
// nothing either way.
func TestICMPError(t *testing.T) {
	const at = second
	tcpKey, udpKey, echoKey := keyOf(packet.ProtoTCP, 1), keyOf(packet.ProtoUDP, 1), keyOf(packet.ProtoICMP, 1)
	stranger := udpKey
	stranger.Zone++

	for name, c := range map[string]struct {
		inner packet.Key
		first uint32 // bytes 0-3 of the quoted header
		seq   uint32 // bytes 4-7
		short uint32 // bytes missing of the eight
		now   Time
		want  bool
	}{
		"unacknowledged":         {tcpKey, 0, isnOriginal + 201, 0, at, true},
		"last byte":              {tcpKey, 0, isnOriginal + 500, 0, at, true},
		"pure ack":               {tcpKey, 0, isnOriginal + 501, 0, at, true},
		"acknowledged long ago":  {tcpKey, 0, isnOriginal + 200, 0, at, false},
		"never sent":             {tcpKey, 0, isnOriginal + 502, 0, at, false},
		"guessed":                {tcpKey, 0, 1 << 30, 0, at, false},
		"reply direction":        {tcpKey.Reverse(), 0, isnReply + 1, 0, at, true},
		"reply, never sent":      {tcpKey.Reverse(), 0, isnReply + 302, 0, at, false},
		"seven bytes":            {tcpKey, 0, isnOriginal + 201, 1, at, false},
		"udp":                    {udpKey, 0, 0, 0, at, true},
		"udp of another zone":    {stranger, 0, 0, 0, at, false},
		"udp after its time":     {udpKey, 0, 0, 0, at + 40*second, false},
		"echo request":           {echoKey, packet.ICMPEchoRequest << 24, 0, 0, at, true},
		"echo reply of who asks": {echoKey, packet.ICMPEchoReply << 24, 0, 0, at, false},
		"udp, never answered":    {udpKey.Reverse(), 0, 0, 0, at, false},
		"echo, never answered":   {echoKey.Reverse(), packet.ICMPEchoReply << 24, 0, 0, at, false},
		"no session":             {keyOf(packet.ProtoUDP, 99), 0, 0, 0, at, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := frameOf(keyOf(packet.ProtoICMP, 1000), 2, 0)
			f.Headers.Inner, f.Headers.InnerL4 = c.inner, 60
			f.Headers.PacketEnd = 68 - c.short
			for i := range 4 {
				f.Buf[60+i], f.Buf[64+i] = byte(c.first>>(24-8*i)), byte(c.seq>>(24-8*i))
			}
			table := newTable(t, Config{})
			for _, step := range established(
				step{o(ack, 1, 1, 500), pass, sES},
				step{r(ack, 1, 201, 300), pass, sES},
			) {
				put(table, step.frame(tcpKey, 1), at)
			}
			put(table, frameOf(udpKey, 1, 0), at)
			request := frameOf(echoKey, 1, 0)
			request.Headers.ICMPType = packet.ICMPEchoRequest
			put(table, request, at)

			sessions := func() (all []Session) {
				table.Range(0, 10, c.now, func(s *Session, _ Time) { all = append(all, *s) })
				return all
			}
			before := sessions()
			if s := table.ICMPError(f, table.Hash(&c.inner), c.now); (s != nil) != c.want {
				t.Errorf("session %v", s)
			}
			if after := sessions(); !reflect.DeepEqual(before, after) {
				t.Errorf("sessions changed from %+v to %+v", before, after)
			}
		})
	}
}

func TestTrafficIsCounted(t *testing.T) {
	table := newTable(t, Config{})
	k := keyOf(packet.ProtoUDP, 1)
	s, _ := put(table, frameOf(k, 1, 0), 0)
	s.packetsLow[Original] = 1<<32 - 1
	s, _ = put(table, frameOf(k, 1, 0), 0)
	if frames, bytes := s.Traffic(Original); frames != 1<<32 || bytes != 400 {
		t.Errorf("%d frames, %d bytes", frames, bytes)
	}
	if frames, bytes := s.Traffic(Reply); frames != 0 || bytes != 0 || s.Answered() {
		t.Errorf("reply: %d frames, %d bytes", frames, bytes)
	}
}

// Any sequence of packets, removals and waits against a map that does what
// the package comment says, slowly.
func TestAgainstMap(t *testing.T) {
	type flow struct {
		owner    packet.PortID
		answered bool
		deadline uint32
		born     int
	}
	const sessions, quota, embryos = 60, 20, 7
	rapid.Check(t, func(t *rapid.T) {
		table, err := New(Config{Sessions: sessions, Ports: 4, PortQuota: quota, EmbryonicQuota: embryos, Secret: hashtab.NewSecret()})
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		model, now, births := map[packet.Key]*flow{}, Time(0), 0
		live := func(k packet.Key) *flow {
			if m := model[k]; m != nil && tickOf(now) < m.deadline {
				return m
			}
			delete(model, k)
			return nil
		}
		held := func(port packet.PortID) (all, embryonic int, oldest packet.Key) {
			born := births
			for k, m := range model {
				if m.owner != port {
					continue
				}
				all++
				if !m.answered {
					embryonic++
					if m.born < born {
						oldest, born = k, m.born
					}
				}
			}
			return
		}
		clean := func() { // Expire to the end, so that both count the same
			turn(table, now)
			for k := range model {
				live(k)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"packet": func(t *rapid.T) {
				k := keyOf(packet.ProtoUDP, rapid.IntRange(0, 90).Draw(t, "flow"))
				port := packet.PortID(rapid.IntRange(0, 3).Draw(t, "port"))
				if rapid.Bool().Draw(t, "reverse") {
					k = k.Reverse()
				}
				clean()
				_, reason := put(table, frameOf(k, port, 0), now)
				timeout := DefaultTimeouts.ticks()
				if m := live(k); m != nil {
					if m.deadline = tickOf(now) + timeout[StateUnanswered]; m.answered {
						m.deadline = tickOf(now) + timeout[StateAnswered]
					}
				} else if m := live(k.Reverse()); m != nil {
					m.answered, m.deadline = true, tickOf(now)+timeout[StateAnswered]
				} else {
					all, embryonic, oldest := held(port)
					want := drop.None
					switch {
					case all < quota && embryonic < embryos && len(model) < sessions:
					case embryonic > 0:
						delete(model, oldest)
					case all >= quota:
						want = drop.SessionQuota
					default:
						want = drop.SessionFull
					}
					if reason != want {
						t.Fatalf("new flow of port %d with %d, %d: %v, want %v", port, all, embryonic, reason, want)
					}
					if want == drop.None {
						births++
						model[k] = &flow{owner: port, deadline: tickOf(now) + timeout[StateUnanswered], born: births - 1}
					}
					return
				}
				if reason != drop.None {
					t.Fatalf("known flow: %v", reason)
				}
			},
			"remove": func(t *rapid.T) {
				k := keyOf(packet.ProtoUDP, rapid.IntRange(0, 90).Draw(t, "flow"))
				if s, _ := find(table, k, now); s != nil {
					delete(model, s.Key)
					table.Remove(s)
				}
			},
			"wait": func(t *rapid.T) {
				now += Time(rapid.Int64Range(0, int64(40*time.Second)).Draw(t, "wait"))
				table.Expire(now, rapid.IntRange(0, 40).Draw(t, "budget"))
			},
			"": func(t *rapid.T) {
				clean()
				for n := range 91 {
					k := keyOf(packet.ProtoUDP, n)
					s, d := find(table, k, now)
					if d == Reply {
						k = k.Reverse()
					}
					if m := live(k); (m != nil) != (s != nil) || s != nil && (s.Key != k || s.Owner() != m.owner || s.Answered() != m.answered || s.deadline != m.deadline) {
						t.Fatalf("flow %d: %+v, model %+v", n, s, m)
					}
				}
				for port := range packet.PortID(4) {
					all, embryonic, _ := held(port)
					if s, e := table.Charged(port); int(s) != all || int(e) != embryonic {
						t.Fatalf("port %d holds %d, %d; model %d, %d", port, s, e, all, embryonic)
					}
				}
				if table.Len() != len(model) {
					t.Fatalf("%d sessions, model %d", table.Len(), len(model))
				}
			},
		})
	})
}
