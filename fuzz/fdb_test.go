package fuzz

import (
	"testing"
	"time"

	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/packet"
)

// FuzzFDB runs programs on a forwarding table beside a map of what everybody has
// said last. The map says what must hold, whoever is evicted:
//
//   - a MAC that is found is where it was seen last, or static, and not aged;
//   - a static one is always found, where it was put;
//   - nobody has more than his quota, and the total is in bounds;
//   - who learns takes no place of another's, as long as there is room;
//   - one who is within his quota is never refused, nor loses anything.
//
// A step is four bytes: what, which MAC, whose, and a time.
func FuzzFDB(f *testing.F) {
	learn := func(mac, who, gap byte) []byte { return []byte{0, mac, who, gap} }
	f.Add(append(learn(1, 0, 0), learn(1, 1, 0)...))     // a move
	f.Add(append(learn(1, 0, 0), learn(1, 0, 200)...))   // aged, and new
	f.Add(append([]byte{2, 1, 0, 0}, learn(1, 1, 0)...)) // static stays
	var flood []byte
	for mac := range byte(40) {
		flood = append(flood, learn(mac, mac%5, 1)...)
	}
	f.Add(append(flood, 3, 0, 1, 0))
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 1024 {
			return
		}
		m := newFDBModel(t)
		for ; len(program) >= 4; program = program[4:] {
			m.step(program[0], program[1], program[2], program[3])
		}
	})
}

const (
	fdbPortQuota, fdbPeerQuota = 3, 6
	fdbAge                     = 100 * time.Second
	fdbTick                    = 1100 * time.Millisecond // times are kept to about a second
)

// fdbDests are whom MACs are seen behind: two ports, and two peers, one of which
// speaks for two groups.
var fdbDests = []fdb.Dest{fdb.AtPort(1), fdb.AtPort(2), fdb.AtPeer(1, 0), fdb.AtPeer(2, 0), fdb.AtPeer(2, 9)}

// fdbWho is who is charged for a destination.
func fdbWho(i int) int { return min(i, 3) }

type fdbSeen struct {
	dest   int
	static bool
	at     int64
}

type fdbModel struct {
	*testing.T
	table *fdb.Table
	now   int64
	seen  map[packet.MAC]fdbSeen
	lost  map[packet.MAC]bool // seen, but its holder was over its quota since: it may be gone
}

func newFDBModel(t *testing.T) *fdbModel {
	table, err := fdb.New(fdb.Config{Entries: 4096, PortQuota: fdbPortQuota, PeerQuota: fdbPeerQuota, Age: fdbAge})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return &fdbModel{T: t, table: table, now: int64(time.Hour), seen: map[packet.MAC]fdbSeen{}, lost: map[packet.MAC]bool{}}
}

func fdbMAC(n byte) packet.MAC { return packet.MAC{2, 0, 0, 0, n / 2, n} }

func (m *fdbModel) step(what, which, whose, gap byte) {
	m.now += int64(gap) * int64(time.Second)
	mac, who := fdbMAC(which), int(whose)%len(fdbDests)
	switch what % 5 {
	case 0, 1:
		m.learn(mac, who)
	case 2:
		if !m.table.AddStatic(1, mac, fdbDests[who]) {
			m.Fatalf("no room for a static MAC among %+v", m.table.Stats())
		}
		m.seen[mac] = fdbSeen{who, true, m.now}
		delete(m.lost, mac)
	case 3:
		m.table.Flush(func(d fdb.Dest) bool { return d == fdbDests[who] })
		for mac, s := range m.seen {
			if s.dest == who && !s.static {
				delete(m.seen, mac)
			}
		}
	case 4:
		if m.table.Remove(1, mac); which%2 == 0 {
			m.table.Expire(m.now, 1<<20)
		}
		delete(m.seen, mac)
	}
	m.check()
}

// learn learns, and holds what comes of it to what the map says.
func (m *fdbModel) learn(mac packet.MAC, who int) {
	was, known := m.seen[mac]
	quota := fdbPortQuota
	if fdbWho(who) >= 2 {
		quota = fdbPeerQuota
	}
	held := m.held(fdbWho(who))
	switch event := m.table.Learn(1, mac, fdbDests[who], m.now); {
	case event == fdb.Refused && known && was.static:
		return
	case event == fdb.Refused:
		m.Fatalf("%s behind %d is refused: %d of %d are held", mac, who, held, quota)
	case known && was.static:
		if event != fdb.Known || was.dest != who {
			m.Fatalf("a static MAC is %s", event)
		}
		return
	case event == fdb.Added && known && !m.lost[mac] && m.now-was.at < int64(fdbAge-2*fdbTick):
		m.Fatalf("%s, seen %d s ago, is new", mac, (m.now-was.at)/1e9)
	}
	if held >= quota && (!known || m.lost[mac] || fdbWho(was.dest) != fdbWho(who)) {
		for other, s := range m.seen { // one of his own has gone, whichever
			if fdbWho(s.dest) == fdbWho(who) && !s.static {
				m.lost[other] = true
			}
		}
	}
	m.seen[mac] = fdbSeen{who, false, m.now}
	delete(m.lost, mac)
}

// held is how many learned MACs somebody has, those included that have aged and are
// not swept yet.
func (m *fdbModel) held(who int) (n int) {
	for _, s := range m.seen {
		if fdbWho(s.dest) == who && !s.static {
			n++
		}
	}
	return n
}

// check looks every MAC up.
func (m *fdbModel) check() {
	for n := range 256 {
		mac := fdbMAC(byte(n))
		s, known := m.seen[mac]
		d, found := m.table.Lookup(1, mac, m.now)
		old := known && !s.static && m.now-s.at > int64(fdbAge+2*fdbTick)
		young := known && (s.static || m.now-s.at < int64(fdbAge-2*fdbTick))
		switch {
		case found && (!known || d != fdbDests[s.dest]):
			m.Fatalf("%s is found behind %+v; seen: %v, %+v", mac, d, known, s)
		case found && old:
			m.Fatalf("%s is found, and was seen %d s ago", mac, (m.now-s.at)/1e9)
		case !found && young && !m.lost[mac]:
			m.Fatalf("%s is gone: %+v, %+v", mac, s, m.table.Stats())
		case !found && young: // it was the one that went
			delete(m.seen, mac)
			delete(m.lost, mac)
		}
		if other, found := m.table.Lookup(2, mac, m.now); found {
			m.Fatalf("%s is found in another segment, behind %+v", mac, other)
		}
	}
	for i, d := range fdbDests {
		quota := fdbPortQuota
		if fdbWho(i) >= 2 {
			quota = fdbPeerQuota
		}
		if held := m.table.Held(d); held > quota {
			m.Fatalf("%+v holds %d of %d", d, held, quota)
		}
	}
}
