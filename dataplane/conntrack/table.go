package conntrack

import (
	"fmt"
	"math/bits"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/hugemem"
	"bulkhead/dataplane/packet"
)

// Time is nanoseconds of a monotonic clock.
type Time = int64

// Config bounds a table.
type Config struct {
	Sessions       uint32 // in all; at most 1<<26
	Ports          int    // PortIDs are below this
	PortQuota      uint32 // sessions that one port may have opened; 0: Sessions
	EmbryonicQuota uint32 // of these, not answered yet; 0: a quarter of PortQuota
	Secret         hashtab.Secret
	Timeouts       Timeouts // zero fields take the default
}

// Stats are totals since the table was made, and what is in it now.
type Stats struct {
	Sessions  uint32
	Opened    uint64
	Expired   uint64
	Evicted   uint64 // unanswered ones that made room
	HugePages bool
}

// bucketSlots is how many sessions a bucket can name.
const bucketSlots = 8

// bucket is one cache line of the index. A tag of zero is an empty slot.
type bucket struct {
	tags  [bucketSlots]uint16
	slots [bucketSlots]uint32
	_     [16]byte
}

// charge is what one port has open.
type charge struct{ sessions, embryonic uint32 }

// Table is a session table. See the package comment.
type Table struct {
	sessions []Session
	buckets  []bucket
	mask     uint64
	free     uint32 // head of the free list; none ends it
	fresh    uint32 // sessions never used yet begin here
	ports    []charge
	cfg      Config
	wheel    wheel
	stats    Stats
	memory   [2]hugemem.Mapping
}

const none = ^uint32(0)

// New makes a table. All of its memory is reserved now; the kernel gives it as
// it is first used.
func New(cfg Config) (*Table, error) {
	if cfg.Sessions == 0 || cfg.Sessions > 1<<26 {
		return nil, fmt.Errorf("a session table of %d: must be from 1 to %d", cfg.Sessions, 1<<26)
	}
	if cfg.PortQuota == 0 || cfg.PortQuota > cfg.Sessions {
		cfg.PortQuota = cfg.Sessions
	}
	if cfg.EmbryonicQuota == 0 || cfg.EmbryonicQuota > cfg.PortQuota {
		cfg.EmbryonicQuota = max(1, cfg.PortQuota/4)
	}
	if cfg.Secret == (hashtab.Secret{}) {
		cfg.Secret = hashtab.NewSecret()
	}
	cfg.Timeouts.setDefaults()
	t := &Table{cfg: cfg, free: none, ports: make([]charge, cfg.Ports)}
	// Half full at most, so that two full buckets are rare.
	n := 1 << bits.Len(uint(max(cfg.Sessions*2/bucketSlots, 2)-1))
	var err error
	if t.sessions, t.memory[0], err = hugemem.Slice[Session](int(cfg.Sessions)); err != nil {
		return nil, err
	}
	if t.buckets, t.memory[1], err = hugemem.Slice[bucket](n); err != nil {
		t.memory[0].Close()
		return nil, err
	}
	t.mask = uint64(n - 1)
	t.wheel.init()
	return t, nil
}

// Close frees the memory; no Session may be looked at any more.
func (t *Table) Close() {
	t.memory[0].Close()
	t.memory[1].Close()
	t.sessions, t.buckets = nil, nil
}

// Stats returns the table's totals.
func (t *Table) Stats() Stats {
	s := t.stats
	s.HugePages = t.memory[0].Huge()
	return s
}

// Max returns the bound on sessions.
func (t *Table) Max() uint32 { return t.cfg.Sessions }

// Hash returns the hash of a flow: keyed, and the same for both directions.
func (t *Table) Hash(k *packet.Key) uint64 {
	s := &t.cfg.Secret
	return s.Flow(s.Addr((*[16]byte)(&k.Src), uint64(k.SrcPort)), s.Addr((*[16]byte)(&k.Dst), uint64(k.DstPort)),
		uint64(k.Zone)<<8|uint64(k.Proto))
}

// tagOf is what a bucket says of a hash; never zero.
func tagOf(hash uint64) uint16 { return uint16(hash>>40) | 1 }

// places returns the two buckets of a hash.
func (t *Table) places(hash uint64) (a, b *bucket) {
	i := hash & t.mask
	j := (i ^ (uint64(tagOf(hash))*0x9e3779b97f4a7c15)>>32 | 1) & t.mask
	return &t.buckets[i], &t.buckets[j]
}

// Find finds the open session of a flow, and which way the key goes in it. It
// returns nil if there is none, or if its time is over.
func (t *Table) Find(k *packet.Key, hash uint64, now Time) (*Session, Direction) {
	a, b := t.places(hash)
	if s, d := t.findIn(a, k, hash); s != nil {
		return t.alive(s, d, now)
	}
	if s, d := t.findIn(b, k, hash); s != nil {
		return t.alive(s, d, now)
	}
	return nil, Original
}

func (t *Table) findIn(b *bucket, k *packet.Key, hash uint64) (*Session, Direction) {
	tag := tagOf(hash)
	for i := range b.tags {
		if b.tags[i] != tag {
			continue
		}
		s := &t.sessions[b.slots[i]]
		if s.hash != hash {
			continue
		}
		if s.Key == *k {
			return s, Original
		}
		if sameReversed(&s.Key, k) {
			return s, Reply
		}
	}
	return nil, Original
}

func sameReversed(a, b *packet.Key) bool {
	return a.Src == b.Dst && a.Dst == b.Src && a.SrcPort == b.DstPort && a.DstPort == b.SrcPort &&
		a.Zone == b.Zone && a.Proto == b.Proto
}

// alive refuses a session whose time is over, and removes it.
func (t *Table) alive(s *Session, d Direction, now Time) (*Session, Direction) {
	if tickOf(now) > s.deadline {
		t.stats.Expired++
		t.Remove(s)
		return nil, Original
	}
	return s, d
}

// Opens tells whether a packet may open a session: TCP only with a SYN, ICMP
// not with a reply.
func Opens(f *packet.Frame) drop.Reason {
	h := &f.Headers
	switch h.Key.Proto {
	case packet.ProtoTCP:
		switch event(h.TCPFlags) {
		case evSyn:
			return drop.None
		case evIllegal:
			return drop.TCPInvalid
		}
		return drop.TCPNoSession
	case packet.ProtoICMP:
		if h.ICMPType == packet.ICMPEchoReply {
			return drop.ICMPUnmatched
		}
	case packet.ProtoICMPv6:
		if h.ICMPType == packet.ICMPv6EchoReply {
			return drop.ICMPUnmatched
		}
	}
	return drop.None
}

// Open makes a session of a packet that belongs to none, charged to the port
// it came in by. The caller has found with Find that there is none.
func (t *Table) Open(f *packet.Frame, hash uint64, now Time) (*Session, drop.Reason) {
	if reason := Opens(f); reason != drop.None {
		return nil, reason
	}
	owner := f.Ingress
	if int(owner) >= len(t.ports) {
		return nil, drop.SessionQuota
	}
	if c := &t.ports[owner]; c.sessions >= t.cfg.PortQuota || c.embryonic >= t.cfg.EmbryonicQuota {
		return nil, drop.SessionQuota
	}
	b, i := t.room(hash, owner)
	if b == nil {
		return nil, drop.SessionFull
	}
	n := t.take()
	if n == none {
		return nil, drop.SessionFull
	}
	b.tags[i], b.slots[i] = tagOf(hash), n
	s := &t.sessions[n]
	*s = Session{Key: f.Headers.Key, hash: hash, owner: owner, flags: flagLive}
	t.ports[owner].sessions++
	t.ports[owner].embryonic++
	t.stats.Sessions++
	t.stats.Opened++
	t.begin(s, f)
	s.bytes[Original], s.packets[Original] = uint64(f.Len()), 1
	s.deadline = tickOf(now) + t.cfg.Timeouts[s.state]
	t.wheel.add(t, n, s.deadline)
	return s, drop.None
}

// begin gives a new session its first state.
func (t *Table) begin(s *Session, f *packet.Frame) {
	switch s.Key.Proto {
	case packet.ProtoTCP:
		s.state = StateSynSent
		seg := segmentOf(f)
		s.ends[Original].begin(&seg, f)
	case packet.ProtoUDP, packet.ProtoSCTP:
		s.state = StateUDPNew
	case packet.ProtoICMP, packet.ProtoICMPv6:
		s.state = StateICMP
	default:
		s.state = StateOther
	}
}

// room finds an empty slot in the two buckets of a hash; when both are full an
// unanswered session of the same port makes room.
func (t *Table) room(hash uint64, owner packet.PortID) (*bucket, int) {
	a, b := t.places(hash)
	for _, place := range [2]*bucket{a, b} {
		for i, tag := range place.tags {
			if tag == 0 {
				return place, i
			}
		}
	}
	for _, place := range [2]*bucket{a, b} {
		for i := range place.tags {
			s := &t.sessions[place.slots[i]]
			if s.owner == owner && s.flags&flagAnswered == 0 {
				t.stats.Evicted++
				t.Remove(s)
				return place, i
			}
		}
	}
	return nil, 0
}

// take returns a free slot, none if there is none.
func (t *Table) take() uint32 {
	if n := t.free; n != none {
		t.free = t.sessions[n].next
		return n
	}
	if t.fresh < uint32(len(t.sessions)) {
		t.fresh++
		return t.fresh - 1
	}
	return none
}

// Remove ends a session: its next packet is a stranger's.
func (t *Table) Remove(s *Session) {
	n := t.number(s)
	if n == none {
		return
	}
	t.wheel.remove(t, n)
	c := &t.ports[s.owner]
	c.sessions--
	if s.flags&flagAnswered == 0 {
		c.embryonic--
	}
	*s = Session{next: t.free}
	t.free = n
	t.stats.Sessions--
}

// number finds a session's slot through the index, and takes it out of that.
func (t *Table) number(s *Session) uint32 {
	if s.flags&flagLive == 0 {
		return none
	}
	a, b := t.places(s.hash)
	tag := tagOf(s.hash)
	for _, place := range [2]*bucket{a, b} {
		for i := range place.tags {
			if n := place.slots[i]; place.tags[i] == tag && &t.sessions[n] == s {
				place.tags[i] = 0
				return n
			}
		}
	}
	return none
}

// Charged returns how many sessions a port has open, and how many of these are
// not answered yet.
func (t *Table) Charged(p packet.PortID) (sessions, embryonic uint32) {
	if int(p) >= len(t.ports) {
		return 0, 0
	}
	return t.ports[p].sessions, t.ports[p].embryonic
}

// Range calls visit with at most limit live sessions, from slot from on, and
// returns the slot to go on at; done says that there are no more. idle is for
// how many nanoseconds the session will live if nothing comes.
func (t *Table) Range(from uint32, limit int, now Time, visit func(s *Session, left Time)) (next uint32, done bool) {
	tick := tickOf(now)
	for ; from < t.fresh; from++ {
		if limit == 0 {
			return from, false
		}
		s := &t.sessions[from]
		if s.flags&flagLive == 0 || s.deadline < tick {
			continue
		}
		visit(s, Time(s.deadline-tick)*tickNanos)
		limit--
	}
	return from, true
}

// ICMPError finds the session of the packet that an ICMP error quotes: the one
// in f.Headers.Inner, whose hash is given. The quoted packet must be one that
// the receiver of the error may have sent, in the window for TCP. Nothing
// changes.
func (t *Table) ICMPError(f *packet.Frame, hash uint64, now Time) *Session {
	s, d := t.Find(&f.Headers.Inner, hash, now)
	if s == nil {
		return nil
	}
	switch s.Key.Proto {
	case packet.ProtoTCP:
		if !s.ends[d].quotedInWindow(f, &s.ends[1-d]) {
			return nil
		}
	case packet.ProtoICMP, packet.ProtoICMPv6:
		kind := f.Bytes()[f.Headers.InnerL4]
		request := kind == packet.ICMPEchoRequest && s.Key.Proto == packet.ProtoICMP || kind == packet.ICMPv6EchoRequest && s.Key.Proto == packet.ProtoICMPv6
		if request != (d == Original) {
			return nil
		}
	}
	return s
}
