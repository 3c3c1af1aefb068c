package nat

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// testSecret makes every run the same.
var testSecret = hashtab.Secret{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53, 0x94d049bb133111eb}

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func table(t testing.TB, cfg Config) *Table {
	t.Helper()
	cfg.Secret = testSecret
	tab, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tab.Close(); err != nil {
			t.Error(err)
		}
	})
	return tab
}

func rules(t testing.TB, sources []Source, published []Destination) *Rules {
	t.Helper()
	r, err := NewRules(sources, published)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// slow is a Table as one would write it without caring what it costs.
type slow struct {
	mappings []*slowMapping // in the order in which they began to linger, held ones first
	most     int
	quota    int
	now      Time
}

type slowMapping struct {
	inside, outside End
	proto           uint8
	account         int // -1: static
	refs            int
	until           Time
}

func (s *slow) lingering(account int) int {
	for i, m := range s.mappings {
		if m.refs == 0 && m.account == account {
			return i
		}
	}
	return -1
}

func (s *slow) held(account int) (n int) {
	for _, m := range s.mappings {
		if m.account == account {
			n++
		}
	}
	return n
}

func (s *slow) remove(i int) { s.mappings = append(s.mappings[:i:i], s.mappings[i+1:]...) }

// leave says whether a new flow must be refused, and takes in what it was given.
func (s *slow) leave(inside End, proto uint8, account int, got End, reason drop.Reason) error {
	for i, m := range s.mappings {
		if m.account >= 0 && m.inside == inside && m.proto == proto {
			if reason != drop.None || got != m.outside {
				return fmt.Errorf("%s has %s already, not %s (%s)", inside, m.outside, got, reason)
			}
			m.refs++
			s.remove(i) // held ones are in no order
			s.mappings = append(s.mappings, m)
			return nil
		}
	}
	if s.held(account) >= s.quota {
		i := s.lingering(account)
		if i < 0 {
			return want(reason, drop.NATQuota)
		}
		s.remove(i)
	}
	if len(s.mappings) >= s.most {
		i := s.lingering(account)
		if i < 0 {
			return want(reason, drop.NATFull)
		}
		s.remove(i)
	}
	if reason == drop.NATFull { // of the pool: checked by who calls
		return nil
	}
	for _, m := range s.mappings {
		if m.outside == got && m.proto == proto {
			return fmt.Errorf("%s is given to %s and %s", got, m.inside, inside)
		}
	}
	s.mappings = append(s.mappings, &slowMapping{inside: inside, outside: got, proto: proto, account: account, refs: 1})
	return want(reason, drop.None)
}

func want(reason, want drop.Reason) error {
	if reason != want {
		return fmt.Errorf("%s, want %s", reason, want)
	}
	return nil
}

func (s *slow) release(inside End, proto uint8, static bool) {
	for i, m := range s.mappings {
		if m.inside == inside && m.proto == proto && (m.account < 0) == static {
			if m.refs--; m.refs > 0 {
				return
			}
			s.remove(i)
			if !static && proto != packet.ProtoTCP {
				m.until = s.now + linger
				s.mappings = append(s.mappings, m)
			}
			return
		}
	}
}

func (s *slow) inward(outside End, proto uint8) (End, bool) {
	for _, m := range s.mappings {
		if m.outside == outside && m.proto == proto {
			return m.inside, true
		}
	}
	return End{}, false
}

func (s *slow) expire(now Time) {
	s.now = now
	for i := 0; i < len(s.mappings); {
		if m := s.mappings[i]; m.refs == 0 && m.until <= now {
			s.remove(i)
		} else {
			i++
		}
	}
}

// Whatever is asked of a table in whatever order, it answers as the slow one
// does, and its accounts are right.
func TestTableAgainstSlow(t *testing.T) {
	src := Source{Zone: 1, From: netip.MustParsePrefix("10.0.0.0/8"), Pool: []packet.Addr{addr("203.0.113.1"), addr("203.0.113.2")}, Least: 5000, Most: 5009}
	published := Destination{Zone: 1, Proto: packet.ProtoUDP, Outside: End{addr("203.0.113.1"), 5003}, Inside: End{addr("10.0.0.9"), 53}}
	r := rules(t, []Source{src}, []Destination{published})
	rapid.Check(t, func(t *rapid.T) {
		most, quota := rapid.IntRange(1, 12).Draw(t, "most"), rapid.IntRange(1, 8).Draw(t, "quota")
		fast, err := New(Config{Mappings: uint32(most), Quota: uint32(quota), Secret: testSecret})
		if err != nil {
			t.Fatal(err)
		}
		defer fast.Close()
		model := &slow{most: most, quota: min(quota, most), now: 1}
		now := Time(1)
		type held struct {
			tag    Tag
			inside End
			proto  uint8
			static bool
		}
		var sessions []held
		flow := func(t *rapid.T) packet.Key {
			return packet.Key{
				Zone: 1, Src: packet.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 3).Draw(t, "host"))}), Dst: addr("198.51.100.1"),
				SrcPort: uint16(rapid.IntRange(1, 6).Draw(t, "port")), Proto: rapid.SampledFrom([]uint8{packet.ProtoTCP, packet.ProtoUDP}).Draw(t, "proto"),
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"leave": func(t *rapid.T) {
				k := flow(t)
				account := int(k.Src[15]) % 2
				tag, reason := fast.Leave(r, &src, &k, uint16(account))
				inside, got := End{k.Src, k.SrcPort}, End{}
				if reason == drop.None {
					got = fast.Of(tag).Outside
					sessions = append(sessions, held{tag, inside, k.Proto, false})
					if !src.has(&got) || k.Proto == published.Proto && got == published.Outside {
						t.Fatalf("%s was given", got)
					}
				}
				if err := model.leave(inside, k.Proto, account, got, reason); err != nil {
					t.Fatal(err)
				}
			},
			"arrive": func(t *rapid.T) {
				outside := published.Outside
				tag, reason := fast.Arrive(r, 1, packet.ProtoUDP, packet.QueryNone, &outside)
				inside, there := model.inward(outside, packet.ProtoUDP)
				switch {
				case there:
					if reason != drop.None || inside != published.Inside {
						t.Fatal(reason, inside)
					}
				case len(model.mappings) >= most:
					if reason != drop.NATFull {
						t.Fatal(reason)
					}
					return
				default:
					if reason != drop.None {
						t.Fatal(reason)
					}
					model.mappings = append(model.mappings, &slowMapping{inside: published.Inside, outside: outside, proto: packet.ProtoUDP, account: -1})
				}
				for _, m := range model.mappings {
					if m.account < 0 {
						m.refs++
					}
				}
				sessions = append(sessions, held{tag, published.Inside, packet.ProtoUDP, true})
			},
			"release": func(t *rapid.T) {
				if len(sessions) == 0 {
					return
				}
				i := rapid.IntRange(0, len(sessions)-1).Draw(t, "which")
				s := sessions[i]
				sessions = append(sessions[:i:i], sessions[i+1:]...)
				fast.Release(uint32(s.tag))
				model.release(s.inside, s.proto, s.static)
			},
			"time": func(t *rapid.T) {
				now += int64(rapid.IntRange(0, 100).Draw(t, "seconds")) * int64(time.Second)
				fast.Expire(now, 100)
				model.expire(now)
			},
			"": func(t *rapid.T) {
				if n := fast.Stats().Mappings; int(n) != len(model.mappings) {
					t.Fatalf("%d mappings, want %d", n, len(model.mappings))
				}
				for account := range 2 {
					if n := fast.Held(uint16(account)); int(n) != model.held(account) {
						t.Fatalf("account %d holds %d, want %d", account, n, model.held(account))
					}
				}
				for _, m := range model.mappings {
					if in, found := fast.Inward(1, m.proto, packet.QueryNone, &m.outside); !found || in != m.inside {
						t.Fatalf("%s is %s (%v), want %s", m.outside, in, found, m.inside)
					}
				}
			},
		})
	})
}

// Of a small range every free port is found, however many are in use; no two
// flows have one.
func TestEveryPortOfASmallPoolIsFound(t *testing.T) {
	for _, n := range []int{1, 2, 3, 16, 97, 128} {
		src := Source{From: netip.MustParsePrefix("10.0.0.0/8"), Pool: []packet.Addr{addr("203.0.113.1")}, Least: 65535 - uint16(n) + 1, Most: 65535}
		r, tab := rules(t, []Source{src}, nil), table(t, Config{Mappings: 1000})
		seen := map[uint16]bool{}
		for i := range n {
			k := packet.Key{Src: addr("10.0.0.1"), SrcPort: uint16(i + 1), Proto: packet.ProtoUDP}
			tag, reason := tab.Leave(r, &src, &k, 0)
			if reason != drop.None {
				t.Fatalf("%d of %d ports given, then %s", i, n, reason)
			}
			seen[tab.Of(tag).Outside.Port] = true
		}
		if len(seen) != n {
			t.Errorf("%d flows have %d ports", n, len(seen))
		}
		k := packet.Key{Src: addr("10.0.0.1"), SrcPort: 60000, Proto: packet.ProtoUDP}
		if _, reason := tab.Leave(r, &src, &k, 0); reason != drop.NATFull {
			t.Errorf("one more: %s", reason)
		}
	}
}

// An inside address keeps its address of the pool, and the addresses are shared
// out evenly.
func TestPoolingIsPaired(t *testing.T) {
	src := Source{From: netip.MustParsePrefix("fd00::/64"), Least: 1024, Most: 65535}
	for i := range 4 {
		src.Pool = append(src.Pool, addr(fmt.Sprintf("2001:db8::%d", i)))
	}
	r, tab := rules(t, []Source{src}, nil), table(t, Config{Mappings: 8000})
	load := map[packet.Addr]int{}
	for host := range 1000 {
		a := addr(fmt.Sprintf("fd00::%x", host+1))
		var first packet.Addr
		for port := range 4 {
			k := packet.Key{Src: a, SrcPort: uint16(port + 1), Proto: packet.ProtoTCP}
			tag, reason := tab.Leave(r, &src, &k, 0)
			if reason != drop.None {
				t.Fatal(reason)
			}
			out := tab.Of(tag).Outside.Addr
			if port == 0 {
				first = out
				load[out]++
			}
			if out != first {
				t.Fatalf("%s leaves from %s and %s", a, first, out)
			}
		}
	}
	for a, n := range load {
		if n < 190 || n > 310 { // 250, with a deviation of 14
			t.Errorf("%s has %d of 1000", a, n)
		}
	}
}

func TestFirstRuleDecides(t *testing.T) {
	pool := []packet.Addr{addr("203.0.113.1")}
	other := []packet.Addr{addr("203.0.113.2")}
	r := rules(t, []Source{
		{Zone: 1, From: netip.MustParsePrefix("10.0.0.0/24"), To: prefixes("192.0.2.0/24"), Pool: other, Least: 1, Most: 9},
		{Zone: 1, From: netip.MustParsePrefix("10.0.0.0/8"), Except: prefixes("172.16.0.0/12"), Pool: pool, Least: 1, Most: 9},
	}, nil)
	for _, c := range []struct {
		zone     uint16
		src, dst string
		want     string
	}{
		{1, "10.0.0.1", "192.0.2.1", "203.0.113.2"},
		{1, "10.0.0.1", "198.51.100.1", "203.0.113.1"},
		{1, "10.9.0.1", "192.0.2.1", "203.0.113.1"},
		{1, "10.9.0.1", "172.17.0.1", ""},
		{2, "10.0.0.1", "198.51.100.1", ""},
		{1, "11.0.0.1", "198.51.100.1", ""},
		{1, "fd00::1", "2001:db8::1", ""},
	} {
		k := packet.Key{Zone: c.zone, Src: addr(c.src), Dst: addr(c.dst)}
		got := ""
		if s := r.SourceFor(&k); s != nil {
			got = s.Pool[0].String()
		}
		if got != c.want {
			t.Errorf("zone %d, %s to %s: %q, want %q", c.zone, c.src, c.dst, got, c.want)
		}
	}
}

func TestRulesAreChecked(t *testing.T) {
	ten, pool := netip.MustParsePrefix("10.0.0.0/8"), []packet.Addr{addr("203.0.113.1")}
	https := Destination{Proto: packet.ProtoTCP, Outside: End{pool[0], 443}, Inside: End{addr("10.0.0.1"), 443}}
	v6, icmp := https, https
	v6.Inside.Addr, icmp.Proto = addr("fd00::1"), packet.ProtoICMP
	for name, c := range map[string]struct {
		s Source
		d []Destination
	}{
		"no_pool":          {s: Source{From: ten, Least: 1, Most: 2}},
		"other_family":     {s: Source{From: netip.MustParsePrefix("fd00::/8"), Pool: pool, Least: 1, Most: 2}},
		"no_ports":         {s: Source{From: ten, Pool: pool}},
		"ports_reversed":   {s: Source{From: ten, Pool: pool, Least: 2, Most: 1}},
		"published_twice":  {d: []Destination{https, https}},
		"published_v6":     {d: []Destination{v6}},
		"published_a_ping": {d: []Destination{icmp}},
	} {
		var sources []Source
		if c.d == nil {
			sources = append(sources, c.s)
		}
		if _, err := NewRules(sources, c.d); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A mapping holds only while the rules would make it.
func TestUphold(t *testing.T) {
	src := Source{Zone: 1, From: netip.MustParsePrefix("10.0.0.0/8"), Pool: []packet.Addr{addr("203.0.113.1")}, Least: 1024, Most: 2047}
	web := Destination{Zone: 1, Proto: packet.ProtoTCP, Outside: End{addr("203.0.113.1"), 1443}, Inside: End{addr("10.0.0.1"), 443}}
	moved := web
	moved.Inside.Port = 8443
	m := Mapping{Zone: 1, Proto: packet.ProtoTCP, Inside: End{addr("10.0.0.1"), 40000}, Outside: End{addr("203.0.113.1"), 1443}}
	s := Mapping{Zone: 1, Proto: packet.ProtoTCP, Inside: web.Inside, Outside: web.Outside, fixed: 1}
	narrow, gone := src, src
	narrow.Most, gone.Pool = 1100, []packet.Addr{addr("203.0.113.2")}
	for name, c := range map[string]struct {
		r    *Rules
		m    *Mapping
		want bool
	}{
		"as_it_was":             {rules(t, []Source{src}, nil), &m, true},
		"port_not_in_range":     {rules(t, []Source{narrow}, nil), &m, false},
		"address_gone":          {rules(t, []Source{gone}, nil), &m, false},
		"port_now_published":    {rules(t, []Source{src}, []Destination{web}), &m, false},
		"no_rules":              {nil, &m, false},
		"published_as_before":   {rules(t, nil, []Destination{web}), &s, true},
		"published_elsewhere":   {rules(t, nil, []Destination{moved}), &s, false},
		"published_no_longer":   {rules(t, []Source{src}, nil), &s, false},
		"published_and_no_rule": {nil, &s, false},
	} {
		if got := c.r.Uphold(c.m); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	src := Source{From: netip.MustParsePrefix("10.0.0.0/8"), Pool: []packet.Addr{addr("203.0.113.1")}, Least: 1024, Most: 65535}
	r, tab := rules(t, []Source{src}, nil), table(t, Config{Mappings: 1000})
	k := packet.Key{Src: addr("10.0.0.1"), SrcPort: 7, Proto: packet.ProtoTCP}
	if n := testing.AllocsPerRun(100, func() {
		s := r.SourceFor(&k)
		tag, reason := tab.Leave(r, s, &k, 1)
		if reason != drop.None {
			t.Fatal(reason)
		}
		out := tab.Of(tag).Outside
		if _, found := tab.Inward(0, k.Proto, k.Query, &out); !found {
			t.Fatal("not found")
		}
		tab.Release(uint32(tag))
		tab.Expire(1, 8)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLeaveAndRelease(b *testing.B) {
	src := Source{From: netip.MustParsePrefix("10.0.0.0/8"), Pool: []packet.Addr{addr("203.0.113.1"), addr("203.0.113.2")}, Least: 1024, Most: 65535}
	r, tab := rules(b, []Source{src}, nil), table(b, Config{Mappings: 1 << 16})
	k := packet.Key{Src: addr("10.0.0.1"), Proto: packet.ProtoTCP}
	for i := 0; b.Loop(); i++ {
		k.SrcPort = uint16(i)
		tag, _ := tab.Leave(r, &src, &k, 1)
		tab.Release(uint32(tag))
	}
}

func BenchmarkInward(b *testing.B) {
	src := Source{From: netip.MustParsePrefix("10.0.0.0/8"), Pool: []packet.Addr{addr("203.0.113.1"), addr("203.0.113.2")}, Least: 1024, Most: 65535}
	r, tab := rules(b, []Source{src}, nil), table(b, Config{Mappings: 1 << 16})
	var ends []End
	for i := range 1 << 15 {
		k := packet.Key{Src: addr("10.0.0.1"), SrcPort: uint16(i), Proto: packet.ProtoTCP}
		if tag, reason := tab.Leave(r, &src, &k, 1); reason == drop.None {
			ends = append(ends, tab.Of(tag).Outside)
		}
	}
	for i := 0; b.Loop(); i++ {
		if _, found := tab.Inward(0, packet.ProtoTCP, packet.QueryNone, &ends[i%len(ends)]); !found {
			b.Fatal("not found")
		}
	}
}
