package conntrack

import (
	"errors"
	"fmt"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/hugemem"
	"bulkhead/dataplane/internal/invariant"
	"bulkhead/dataplane/packet"
)

// Time is nanoseconds of a monotonic clock.
type Time = int64

// Config bounds a table.
type Config struct {
	Sessions       uint32         // in all; 1 to MaxSessions
	Ports          int            // ports numbered from here on open nothing; 0: packet.MaxPorts
	PortQuota      uint32         // sessions a port may hold; 0, or more than Sessions: Sessions
	EmbryonicQuota uint32         // of these, embryonic; 0: a quarter, more: all of PortQuota
	Secret         hashtab.Secret // zero: that of this boot
	Timeouts       Timeouts       // zero fields: the default
	Populate       bool           // make all pages now, so that traffic cannot grow the process
	// Ended is told of the tag of each session that ends with one; nil: none may
	// have a tag. It must not call the table.
	Ended func(tag uint32)
	// Memory is where the sessions lie, MemorySize bytes from a page on and zero; nil:
	// in memory of the table's own. What is in it when the process dies another one can
	// take over (keep.go). It must outlive the table.
	Memory []byte
	// Seal is what sessions in Memory are sealed with. It is kept beside it.
	Seal hashtab.Secret
}

// MaxSessions bounds the sessions of one table.
const MaxSessions = 1 << 26

// Table is a bounded table of sessions. See the package comment.
type Table struct {
	own      invariant.Owner
	secret   hashtab.Secret
	index    *hashtab.Index
	rows     []Session
	tags     []uint32 // by row; nil where there are none
	seals    []uint32 // by row; nil where sessions end with the process
	seal     hashtab.Secret
	ended    func(tag uint32)
	links    []links
	ports    []account
	timeouts [stateCount]uint32 // in ticks
	wheel    wheel
	free     uint32 // first of the list of rows given back, plus one
	fresh    uint32 // rows from here on were never used
	stats    Stats

	sessions *hugemem.Table[Session]
	tagged   *hugemem.Table[uint32]
	sealed   *hugemem.Table[uint32]
	linked   *hugemem.Table[links]
}

// Stats are totals since the table was made, and what is in it now.
type Stats struct {
	Sessions  uint32 // now
	Embryonic uint32 // of these
	Opened    uint64
	Expired   uint64
	Removed   uint64 // by Remove: revoked, or finished and begun anew
	Evicted   uint64 // embryonic, for a new session of the same port
	Bytes     int    // of memory
	Huge      bool   // in huge pages
}

// New makes a table.
func New(cfg Config) (*Table, error) {
	if cfg.Sessions == 0 || cfg.Sessions > MaxSessions {
		return nil, fmt.Errorf("session table of %d sessions: must be 1 to %d", cfg.Sessions, MaxSessions)
	}
	if cfg.Ports < 0 || cfg.Ports > packet.MaxPorts {
		return nil, fmt.Errorf("session table for %d ports: must be 0 to %d", cfg.Ports, packet.MaxPorts)
	}
	if cfg.Ports == 0 {
		cfg.Ports = packet.MaxPorts
	}
	t := &Table{secret: cfg.Secret.OrBoot(), timeouts: cfg.Timeouts.ticks(), ports: make([]account, cfg.Ports), ended: cfg.Ended}
	for i := range t.ports {
		t.setQuota(packet.PortID(i), cfg.PortQuota, cfg.EmbryonicQuota, cfg.Sessions)
	}
	t.seal = cfg.Seal
	if err := t.reserve(int(cfg.Sessions), cfg.Memory, cfg.Populate); err != nil {
		return nil, errors.Join(fmt.Errorf("session table of %d sessions: %w", cfg.Sessions, err), t.Close())
	}
	return t, nil
}

// reserve maps the memory.
func (t *Table) reserve(n int, memory []byte, populate bool) (err error) {
	if err = t.reserveKept(n, memory); err != nil {
		return err
	}
	if t.linked, err = hugemem.Make[links](n); err != nil {
		return err
	}
	if t.index, err = hashtab.NewIndex(uint32(n)); err != nil {
		return err
	}
	t.rows, t.links = t.sessions.Rows, t.linked.Rows
	t.stats.Bytes += t.sessions.Bytes() + t.linked.Bytes() + t.index.Bytes()
	t.stats.Huge = t.sessions.Huge()
	if !populate {
		return nil
	}
	return errors.Join(t.sessions.Populate(), t.linked.Populate(), t.index.Populate(), populateWords(t.tagged), populateWords(t.sealed))
}

// Close frees the memory. Neither the table nor a session of it may be used
// afterwards.
func (t *Table) Close() error {
	var errs [5]error
	if t.tagged != nil {
		errs[3] = t.tagged.Close()
	}
	if t.sealed != nil {
		errs[4] = t.sealed.Close()
	}
	if t.sessions != nil {
		errs[0] = t.sessions.Close()
	}
	if t.linked != nil {
		errs[1] = t.linked.Close()
	}
	if t.index != nil {
		errs[2] = t.index.Close()
	}
	t.rows, t.links, t.tags, t.seals = nil, nil, nil, nil
	return errors.Join(errs[:]...)
}

// Hash returns the hash of a flow: keyed, and the same for both directions.
// Tables with the same secret agree on it.
func (t *Table) Hash(k *packet.Key) uint64 { return Hash(&t.secret, k) }

// Hash is the hash of tables with that secret.
func Hash(secret *hashtab.Secret, k *packet.Key) uint64 {
	return secret.Flow((*[16]byte)(&k.Src), (*[16]byte)(&k.Dst), k.SrcPort, k.DstPort,
		uint32(k.Zone)<<8|uint32(k.Proto))
}

// Find finds the session of a flow, and which way the key goes in it: nil if
// there is none, or if its time is over. hash is the key's.
func (t *Table) Find(k *packet.Key, hash uint64, now Time) (*Session, Direction) {
	b, m := t.index.First(hash)
	for second := false; ; second = true {
		for ; m != 0; m = m.Next() {
			s := &t.rows[b.Row(m.Lane())]
			if d, found := s.is(k); found {
				return t.alive(s, d, now)
			}
		}
		if second {
			return nil, Original
		}
		b, m = t.index.Second(hash, b)
	}
}

// FindNear is Find with a guess: a row that Touch gave, or any. A row names its
// own session, so a right guess spares the index and a wrong one costs a look.
func (t *Table) FindNear(row uint32, k *packet.Key, hash uint64, now Time) (*Session, Direction) {
	if s := &t.rows[row]; s.state != StateNone && tickOf(now) < s.deadline {
		if d, found := s.is(k); found {
			return s, d
		}
	}
	return t.Find(k, hash, now)
}

// alive returns the session unless its time is over: then it is removed.
func (t *Table) alive(s *Session, d Direction, now Time) (*Session, Direction) {
	if tickOf(now) >= s.deadline {
		t.stats.Expired++
		t.drop(t.index.Row(s.place))
		return nil, Original
	}
	return s, d
}

// Touch reads the index for a hash, and returns the row that its session most
// likely has, for FindNear. So that the cache misses of a batch overlap:
// Prefetch all, Touch and PrefetchSession all, then look them up one by one.
func (t *Table) Touch(hash uint64) (row uint32) { return t.index.Touch(hash) }

// TouchAll is all that for a batch, with fewer calls (BenchmarkHitMillionStaged):
// rows[i] becomes the row of hashes[i]. It reads the table, so it is for its owner,
// as Touch is.
func (t *Table) TouchAll(hashes []uint64, rows []uint32) {
	rows = rows[:len(hashes)]
	t.index.TouchAll(hashes, rows)
	hugemem.PrefetchRows(t.rows, rows)
}

// Prefetch has the index's line for a hash fetched, and PrefetchSession both
// lines of a row. They read nothing, so they need no owner: where workers share
// a table, they are what a worker may do without its lock.
func (t *Table) Prefetch(hash uint64) { t.index.Prefetch(hash) }

// PrefetchSession is Prefetch for a row that Touch has found.
func (t *Table) PrefetchSession(row uint32) {
	s := &t.rows[row]
	hugemem.Prefetch(s)
	hugemem.Prefetch(&s.windows)
}

// Open makes a session of a packet that may open one and belongs to none (the
// caller has asked Find), and charges it to the port the packet came in by.
// hash is its key's. The reasons are those of Opens, and session-quota and
// session-full.
func (t *Table) Open(f *packet.Frame, hash uint64, now Time) (*Session, drop.Reason) {
	t.own.Enter()
	defer t.own.Leave()
	if reason := Opens(f); reason != drop.None {
		return nil, reason
	}
	row, at, reason := t.admit(f.Ingress, hash, now)
	if reason != drop.None {
		return nil, reason
	}
	s := &t.rows[row]
	*s = Session{Key: f.Headers.Key, owner: f.Ingress, place: at}
	t.begin(s, f)
	s.count(Original, f.Len())
	s.deadline = tickOf(now) + t.timeouts[s.state]
	t.hold(row, s.deadline)
	t.charge(row)
	t.sealRow(row)
	t.stats.Opened++
	if invariant.Enabled && hash != t.Hash(&s.Key) {
		invariant.Broken("session %v opened under hash %x of another secret", s.Key, hash)
	}
	return s, drop.None
}

// begin gives a new session its first state.
func (t *Table) begin(s *Session, f *packet.Frame) {
	switch s.Key.Proto {
	case packet.ProtoTCP:
		s.state = StateSynSent
		var g segment
		g.read(f)
		s.start(Original, &g, f)
	case packet.ProtoICMP, packet.ProtoICMPv6:
		s.state, s.aux = StateEcho, f.Headers.ICMPType
	default:
		s.state = StateUnanswered
	}
}

// Opens tells whether a packet may open a session: TCP with a clean SYN only
// (else tcp-invalid or tcp-no-session), ICMP with a request that is answered
// only (else icmp-unmatched), anything else always.
func Opens(f *packet.Frame) drop.Reason {
	h := &f.Headers
	switch h.Key.Proto {
	case packet.ProtoTCP:
		return opensTCP(h.TCPFlags)
	case packet.ProtoICMP, packet.ProtoICMPv6:
		if _, asks := answerTo(h.Key.Proto, h.ICMPType); !asks {
			return drop.ICMPUnmatched
		}
	}
	return drop.None
}

// Remove ends a session: its next packet is a stranger's.
func (t *Table) Remove(s *Session) {
	if s.state == StateNone {
		return
	}
	t.stats.Removed++
	t.drop(t.index.Row(s.place))
}

// drop gives a row back.
func (t *Table) drop(row uint32) {
	s := &t.rows[row]
	if invariant.Enabled && (s.state == StateNone || t.index.Row(s.place) != row) {
		invariant.Broken("session %v of row %d is at place %d of the index", s.Key, row, s.place)
	}
	t.unsealRow(row)
	t.index.Remove(s.place, t.Hash(&s.Key))
	t.release(row)
	t.discharge(row)
	t.untag(row)
	s.state = StateNone
	t.links[row].next = t.free
	t.free = row + 1
}

// take returns a free row; found is false if all are in use.
func (t *Table) take() (row uint32, found bool) {
	if t.free != 0 {
		row = t.free - 1
		t.free = t.links[row].next
		t.links[row] = links{}
		return row, true
	}
	if int(t.fresh) == len(t.rows) {
		return 0, false
	}
	t.fresh++
	return t.fresh - 1, true
}

// Len returns the number of sessions, those included whose time is over and
// which Expire has not come to yet.
func (t *Table) Len() int { return int(t.stats.Sessions) }

// Max returns the bound on sessions.
func (t *Table) Max() uint32 { return uint32(len(t.rows)) }

// Stats returns the table's totals.
func (t *Table) Stats() Stats { return t.stats }

// Range visits sessions that are alive, looking at no more than limit rows
// from number from on; left is the time that a session will live if nothing
// comes. Call it again with next until done.
func (t *Table) Range(from uint32, limit int, now Time, visit func(s *Session, left Time)) (next uint32, done bool) {
	tick := tickOf(now)
	for ; from < t.fresh && limit > 0; from, limit = from+1, limit-1 {
		if s := &t.rows[from]; s.state != StateNone && s.deadline > tick {
			visit(s, Time(s.deadline-tick)<<tickShift)
		}
	}
	return from, from >= t.fresh
}
