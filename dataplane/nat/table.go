package nat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/hugemem"
	"bulkhead/dataplane/packet"
)

// Time is nanoseconds of a monotonic clock.
type Time = int64

// linger is how long a mapping of UDP or ICMP outlives its last session (RFC
// 4787 REQ-5).
const linger = int64(2 * time.Minute)

// Accounts bounds the numbers that mappings are charged to.
const Accounts = packet.MaxPorts + 1024

// Config bounds a table.
type Config struct {
	Mappings uint32         // in all, at most MaxMappings; 0: 65536
	Quota    uint32         // of one account; 0, or more than Mappings: Mappings
	Secret   hashtab.Secret // zero: that of this boot
	// Memory is where the mappings lie, MemorySize bytes from a page on and zero; nil: in
	// memory of the table's own. What is in it when the process dies another one can take
	// over (keep.go). It must outlive the table.
	Memory []byte
	// Seal is what mappings in Memory are sealed with, and Pairing what tells which
	// address of a pool is whose; zero: drawn. Both are kept beside it.
	Seal, Pairing hashtab.Secret
}

// MaxMappings bounds the mappings of a table.
const MaxMappings = 1 << 22

// Stats are totals since the table was made, and what is in it now.
type Stats struct {
	Mappings  uint32 // now, lingering ones included
	Lingering uint32 // of these
	Made      uint64
	Evicted   uint64 // lingering ones, for a new one of the same account
}

// account is what one port or peer holds, and the ends of the list of its
// lingering mappings, by number.
type account struct{ held, oldest, newest uint32 }

// Table is the mappings. See the package comment.
type Table struct {
	secret hashtab.Secret
	quota  uint32
	memory *hugemem.Table[Mapping]
	// rows are read without the lock by who has a session that holds one: what is
	// read of it then does not change.
	rows []Mapping // row 0 is none

	mu             sync.Mutex // guards what follows, and writes to rows
	inside         *hashtab.Index
	outside        *hashtab.Index
	accounts       []account
	free           uint32 // first of the list of rows given back
	fresh          uint32 // rows from here on were never used
	oldest, newest uint32 // of the lingering ones
	now            Time   // the latest that anybody said
	random         *rand.ChaCha8
	seal           hashtab.Secret
	pairing        hashtab.Secret // which address of a pool is whose; no table's, since answers show it
	stats          Stats
}

// New makes a table.
func New(cfg Config) (*Table, error) {
	cfg.Mappings = orDefault(cfg.Mappings)
	if cfg.Mappings > MaxMappings {
		return nil, fmt.Errorf("translation table of %d mappings: at most %d", cfg.Mappings, MaxMappings)
	}
	t := &Table{secret: cfg.Secret.OrBoot(), quota: cfg.Quota, accounts: make([]account, Accounts), fresh: 1}
	if t.quota == 0 || t.quota > cfg.Mappings {
		t.quota = cfg.Mappings
	}
	t.seed(cfg.Secret)
	t.seal = cfg.Seal
	if cfg.Pairing != (hashtab.Secret{}) {
		t.pairing = cfg.Pairing
	}
	var errs [3]error
	t.memory, errs[0] = rowsOf(cfg.Memory, cfg.Mappings)
	t.inside, errs[1] = hashtab.NewIndex(cfg.Mappings)
	t.outside, errs[2] = hashtab.NewIndex(cfg.Mappings)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(fmt.Errorf("translation table of %d mappings: %w", cfg.Mappings, err), t.Close())
	}
	t.rows = t.memory.Rows
	return t, nil
}

func orDefault(mappings uint32) uint32 {
	if mappings == 0 {
		return 1 << 16
	}
	return mappings
}

// seed begins what ports and addresses are drawn from: of the system's random
// source, or of a secret that a test has given.
func (t *Table) seed(given hashtab.Secret) {
	if given == (hashtab.Secret{}) {
		given = hashtab.NewSecret()
	}
	var seed [32]byte
	for i := range 4 {
		binary.LittleEndian.PutUint64(seed[i*8:], given[i]^uint64(i))
	}
	t.random = rand.NewChaCha8(seed)
	for i := range t.pairing {
		t.pairing[i] = t.random.Uint64() | 1
	}
}

// Close frees the memory. Nothing of the table may be used afterwards.
func (t *Table) Close() error {
	var errs []error
	if t.memory != nil {
		errs = append(errs, t.memory.Close())
	}
	for _, x := range []*hashtab.Index{t.inside, t.outside} {
		if x != nil {
			errs = append(errs, x.Close())
		}
	}
	t.rows = nil
	return errors.Join(errs...)
}

// Of returns the mapping of a session's tag. The caller has the session's shard
// in hand, so that the session cannot end, and reads only what is exported.
func (t *Table) Of(tag Tag) *Mapping { return &t.rows[tag.row()] }

// Inward finds whom an outside end is mapped to, by a session or not long ago.
func (t *Table) Inward(zone uint16, proto uint8, query packet.Query, outside *End) (inside End, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if row := t.byOutside(zone, proto, query, outside); row != 0 {
		return t.rows[row].Inside, true
	}
	return End{}, false
}

// Leave returns the mapping by which a flow leaves, for a session that is about
// to be opened: the one that its inside end has under the rule, or a new one
// that is charged to the account. Release takes it back.
func (t *Table) Leave(r *Rules, s *Source, k *packet.Key, account uint16) (Tag, drop.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	inside := End{k.Src, k.SrcPort}
	if row := t.byInside(s, k, &inside); row != 0 {
		return t.hold(row, Opener), drop.None
	}
	row, reason := t.admit(account)
	if reason != drop.None {
		return 0, reason
	}
	m := &t.rows[row]
	*m = Mapping{Inside: inside, Zone: k.Zone, Proto: k.Proto, Query: k.Query, owner: account}
	if !t.draw(r, s, m) || !t.insert(row) {
		t.giveBack(row)
		return 0, drop.NATFull
	}
	t.sealRow(m)
	t.accounts[account].held++
	return t.hold(row, Opener), drop.None
}

// Arrive returns the mapping of an outside end at which the rules, or a flow
// that left, have an inside end, for a session that is about to be opened to
// it. found is false if there is none any more.
func (t *Table) Arrive(r *Rules, zone uint16, proto uint8, query packet.Query, outside *End) (tag Tag, reason drop.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := t.byOutside(zone, proto, query, outside)
	inside, published := r.Published(zone, proto, *outside)
	if !published {
		if row == 0 {
			return 0, drop.NATUnmapped
		}
		return t.hold(row, Opened), drop.None
	}
	if row != 0 && t.rows[row].static() && t.rows[row].Inside == inside {
		return t.hold(row, Opened), drop.None
	}
	if row, reason = t.take(); reason != drop.None {
		return 0, reason
	}
	t.rows[row] = Mapping{Inside: inside, Outside: *outside, Zone: zone, Proto: proto, Query: query, fixed: 1}
	if !t.insert(row) {
		t.giveBack(row)
		return 0, drop.NATFull
	}
	t.sealRow(&t.rows[row])
	return t.hold(row, Opened), drop.None
}

// hold books one more session for a mapping.
func (t *Table) hold(row uint32, role Role) Tag {
	m := &t.rows[row]
	if m.refs == 0 && m.until != 0 {
		t.unlist(row)
	}
	m.refs++
	return makeTag(row, role)
}

// Release takes note that a session with this tag has ended. A mapping of UDP or
// ICMP that was the last's lingers.
func (t *Table) Release(tag uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := Tag(tag).row()
	m := &t.rows[row]
	if m.refs--; m.refs > 0 {
		return
	}
	if m.static() || m.Proto == packet.ProtoTCP {
		t.remove(row)
		return
	}
	m.until = t.now + linger
	t.list(row)
}

// Expire says what time it is and removes at most limit mappings that have
// lingered. A worker that finds another one at it leaves it to that one.
func (t *Table) Expire(now Time, limit int) {
	if !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	t.now = max(t.now, now)
	for ; t.oldest != 0 && t.rows[t.oldest].until <= t.now && limit > 0; limit-- {
		row := t.oldest
		t.unlist(row)
		t.remove(row)
	}
}

// Stats returns the table's totals.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Max returns the bound on mappings.
func (t *Table) Max() uint32 { return uint32(len(t.rows) - 1) }

// Held returns how many mappings an account holds.
func (t *Table) Held(account uint16) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.accounts[account].held
}
