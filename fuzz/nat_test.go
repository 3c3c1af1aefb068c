package fuzz

import (
	"net/netip"
	"testing"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
)

// FuzzNAT runs programs of sessions that come and go on a translation table, beside
// a list of mappings as RFC 4787 and RFC 5508 mean them. What port is drawn the
// list cannot know; it knows what must hold of it:
//
//   - one inside end has one outside end while it speaks, whoever it speaks to
//     (REQ-1), and for two minutes after, but for TCP (REQ-5);
//   - one outside end has one inside end (REQ-3), of the pool and its ports, and no
//     published one; one inside address has one address of the pool (REQ-2);
//   - what comes to an outside end is for who has it, and for nobody else's;
//   - nobody has more than his quota, nor loses a mapping in use.
//
// A step is four bytes: what, who, which port and protocol, and for how long.
func FuzzNAT(f *testing.F) {
	leave := func(who, port byte) []byte { return []byte{0, who, port, 0} }
	f.Add(append(leave(1, 1), leave(1, 1)...))                       // one mapping, two sessions
	f.Add(append(append(leave(1, 1), 1, 0, 0, 0), leave(1, 1)...))   // it lingers
	f.Add(append(append(leave(1, 1), 1, 0, 0, 130), leave(1, 1)...)) // and goes
	f.Add([]byte{2, 0, 0, 0, 2, 1, 0, 0, 1, 0, 0, 0})                // published, and to nobody
	var many []byte
	for i := range byte(40) {
		many = append(many, leave(i%5, i)...)
	}
	f.Add(many)
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 800 {
			return
		}
		m := newNATModel(t)
		for ; len(program) >= 4; program = program[4:] {
			m.step(program[0], program[1], program[2], program[3])
		}
	})
}

const (
	natQuota       = 6
	natLinger      = 120 * time.Second // REQ-5
	natLeast       = 2000
	natMost        = 2023
	natPublishedAt = 2003 // a port of the pool that is published
)

var (
	natPool   = []packet.Addr{address("203.0.113.7"), address("203.0.113.8")}
	natInside = nat.End{Addr: address("10.0.0.200"), Port: 53}
)

// natMap is a mapping, as the RFCs have it.
type natMap struct {
	inside, outside nat.End
	proto           uint8
	query           packet.Query
	account         uint16
	sessions        int
	until           int64 // without a session: when it goes
	ended           int   // and how many had ended before it
}

type natSession struct {
	tag nat.Tag
	of  *natMap // nil: a published one's
}

type natModel struct {
	*testing.T
	table    *nat.Table
	rules    *nat.Rules
	now      int64
	maps     []*natMap
	sessions []natSession
	pairs    map[packet.Addr]packet.Addr
	ended    int
}

func newNATModel(t *testing.T) *natModel {
	m := &natModel{T: t, now: int64(time.Hour), pairs: map[packet.Addr]packet.Addr{}}
	var err error
	if m.table, err = nat.New(nat.Config{Mappings: 64, Quota: natQuota}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.table.Close() })
	m.rules, err = nat.NewRules(
		[]nat.Source{{Zone: 1, From: netip.MustParsePrefix("10.0.0.0/24"), Pool: natPool, Least: natLeast, Most: natMost}},
		[]nat.Destination{{Zone: 1, Proto: packet.ProtoUDP, Outside: nat.End{Addr: natPool[0], Port: natPublishedAt}, Inside: natInside}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// key draws who speaks, by what.
func natKey(who, port byte) packet.Key {
	k := packet.Key{Src: packet.AddrFrom4([4]byte{10, 0, 0, who % 8}), Dst: far4, SrcPort: 5000 + uint16(port/4%8), DstPort: 53, Zone: 1,
		Proto: []uint8{packet.ProtoUDP, packet.ProtoTCP, packet.ProtoICMP, packet.ProtoUDP}[port%4]}
	if k.Proto == packet.ProtoICMP {
		k.Query, k.DstPort = packet.QueryEcho, k.SrcPort
	}
	return k
}

func (m *natModel) step(what, who, port, gap byte) {
	m.now += int64(gap) * int64(time.Second)
	m.table.Expire(m.now, 1<<10)
	m.expire()
	k := natKey(who, port)
	switch what % 4 {
	case 0, 3:
		m.leave(&k, uint16(who%8/2))
	case 1:
		m.end(int(who))
	case 2:
		m.arrive(int(who), int(port))
	}
	m.check()
}

// expire forgets what has lingered for long enough.
func (m *natModel) expire() {
	kept := m.maps[:0]
	for _, p := range m.maps {
		if p.sessions > 0 || p.until > m.now {
			kept = append(kept, p)
		}
	}
	m.maps = kept
}

func (m *natModel) find(k *packet.Key) *natMap {
	for _, p := range m.maps {
		if p.inside == (nat.End{Addr: k.Src, Port: k.SrcPort}) && p.proto == k.Proto && p.query == k.Query {
			return p
		}
	}
	return nil
}

// leave opens a session to the outside.
func (m *natModel) leave(k *packet.Key, account uint16) {
	was, held, spare := m.find(k), 0, (*natMap)(nil)
	for _, p := range m.maps {
		if p.account == account {
			held++
			if p.sessions == 0 && (spare == nil || p.ended < spare.ended) {
				spare = p
			}
		}
	}
	tag, reason := m.table.Leave(m.rules, m.rules.SourceFor(k), k, account)
	if reason != drop.None {
		if was != nil || reason == drop.NATQuota && (held < natQuota || spare != nil) {
			m.Fatalf("%s for %+v, which has %+v; %d of %d are held", reason, *k, was, held, natQuota)
		}
		return
	}
	got := m.table.Of(tag)
	if was != nil {
		if got.Outside != was.outside {
			m.Fatalf("%+v had %s, and has %s", *k, was.outside, got.Outside)
		}
		was.sessions++
		m.sessions = append(m.sessions, natSession{tag, was})
		return
	}
	if held == natQuota { // its own oldest lingering one has gone
		m.forget(spare)
	}
	p := &natMap{inside: nat.End{Addr: k.Src, Port: k.SrcPort}, outside: got.Outside, proto: k.Proto, query: k.Query, account: account, sessions: 1}
	m.isFree(p)
	m.maps = append(m.maps, p)
	m.sessions = append(m.sessions, natSession{tag, p})
}

func (m *natModel) forget(gone *natMap) {
	if gone == nil {
		m.Fatal("beyond its quota, and has nothing to lose")
	}
	for i, p := range m.maps {
		if p == gone {
			m.maps = append(m.maps[:i:i], m.maps[i+1:]...)
			return
		}
	}
}

// isFree holds a new mapping to the rule and to the others.
func (m *natModel) isFree(p *natMap) {
	inPool := p.outside.Addr == natPool[0] || p.outside.Addr == natPool[1]
	published := p.proto == packet.ProtoUDP && p.outside == nat.End{Addr: natPool[0], Port: natPublishedAt}
	if !inPool || p.outside.Port < natLeast || p.outside.Port > natMost || published {
		m.Fatalf("%s has %s", p.inside, p.outside)
	}
	for _, other := range m.maps {
		if other.outside == p.outside && other.proto == p.proto && other.query == p.query {
			m.Fatalf("%s and %s both have %s", other.inside, p.inside, p.outside)
		}
	}
	if pair, known := m.pairs[p.inside.Addr]; known && pair != p.outside.Addr {
		m.Fatalf("%s left from %s, and now from %s", p.inside.Addr, pair, p.outside.Addr)
	}
	m.pairs[p.inside.Addr] = p.outside.Addr
}

// end ends a session.
func (m *natModel) end(which int) {
	if len(m.sessions) == 0 {
		return
	}
	i := which % len(m.sessions)
	s := m.sessions[i]
	m.sessions = append(m.sessions[:i:i], m.sessions[i+1:]...)
	m.table.Release(uint32(s.tag))
	if s.of == nil {
		return
	}
	if s.of.sessions--; s.of.sessions == 0 {
		m.ended++
		s.of.ended = m.ended
		if s.of.until = m.now + int64(natLinger); s.of.proto == packet.ProtoTCP {
			m.forget(s.of)
		}
	}
}

// arrive opens a session from outside: to a mapping, to the published port, or to
// what nobody has.
func (m *natModel) arrive(which, port int) {
	if which%4 == 0 || len(m.maps) == 0 {
		out := nat.End{Addr: natPool[port%2], Port: natPublishedAt}
		if port%2 == 1 {
			out.Port = 1
		}
		tag, reason := m.table.Arrive(m.rules, 1, packet.ProtoUDP, packet.QueryNone, &out)
		if port%2 == 1 {
			if reason != drop.NATUnmapped {
				m.Fatalf("to %s, which nobody has: %s", out, reason)
			}
			return
		}
		if reason == drop.None && m.table.Of(tag).Inside != natInside {
			m.Fatalf("published for %s, and is for %s", natInside, m.table.Of(tag).Inside)
		}
		if reason == drop.None {
			m.sessions = append(m.sessions, natSession{tag, nil})
		}
		return
	}
	p := m.maps[which%len(m.maps)]
	tag, reason := m.table.Arrive(m.rules, 1, p.proto, p.query, &p.outside)
	if reason != drop.None || m.table.Of(tag).Inside != p.inside {
		m.Fatalf("to %s, which is %s's: %s", p.outside, p.inside, reason)
	}
	p.sessions++
	m.sessions = append(m.sessions, natSession{tag, p})
}

// check asks for every outside end there can be.
func (m *natModel) check() {
	have := map[natMap]*natMap{}
	for _, p := range m.maps {
		have[natMap{outside: p.outside, proto: p.proto, query: p.query}] = p
	}
	for _, a := range natPool {
		for port := uint16(natLeast); port <= natMost; port++ {
			for _, proto := range []uint8{packet.ProtoUDP, packet.ProtoTCP, packet.ProtoICMP} {
				query := packet.QueryNone
				if proto == packet.ProtoICMP {
					query = packet.QueryEcho
				}
				out := nat.End{Addr: a, Port: port}
				inside, found := m.table.Inward(1, proto, query, &out)
				if proto == packet.ProtoUDP && a == natPool[0] && port == natPublishedAt {
					if found && inside != natInside {
						m.Fatalf("%s is published, and is %s", out, inside)
					}
					continue
				}
				p := have[natMap{outside: out, proto: proto, query: query}]
				if found != (p != nil) || found && inside != p.inside {
					m.Fatalf("%s %s is %s, %v; the list says %+v", packet.ProtoName(proto), out, inside, found, p)
				}
			}
		}
	}
	for account := range uint16(4) {
		if held := m.table.Held(account); held > natQuota {
			m.Fatalf("%d holds %d of %d", account, held, natQuota)
		}
	}
}
