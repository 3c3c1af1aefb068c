package nat

import (
	"cmp"
	"slices"
	"sync/atomic"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/hugemem"
	"bulkhead/dataplane/packet"
)

// Mappings can outlive the process, as sessions can (conntrack/keep.go): rows alone, each
// with a seal, which is its last store and is taken off by the first that ends it. What a
// kill may leave of the rest, how many sessions hold a mapping and the lists that it is
// in, is not read: who adopts sessions counts them anew. A mapping that none of them
// holds lingers as long as it would have, or is gone.

// Mappings returns how many mappings a table of a configuration has.
func Mappings(cfg Config) uint32 { return orDefault(cfg.Mappings) }

// MemorySize returns how much memory so many mappings take that are to be kept; 0 stands
// for the default.
func MemorySize(mappings uint32) int {
	return hugemem.Size[Mapping](int(orDefault(mappings)) + 1)
}

func rowsOf(memory []byte, mappings uint32) (*hugemem.Table[Mapping], error) {
	if memory == nil {
		return hugemem.Make[Mapping](int(mappings) + 1)
	}
	t, _, err := hugemem.Over[Mapping](memory, int(mappings)+1)
	return t, err
}

// sealOf is the seal of a whole mapping; never zero.
func sealOf(secret *hashtab.Secret, m *Mapping) uint32 {
	inside := secret.Addr((*[16]byte)(&m.Inside.Addr), uint64(m.Inside.Port)<<32|uint64(m.Zone)<<16|uint64(m.Proto)<<8|uint64(m.Query))
	outside := secret.Addr((*[16]byte)(&m.Outside.Addr), uint64(m.Outside.Port)<<32|uint64(m.owner)<<8|uint64(m.fixed))
	return uint32(secret.Pair(inside, outside)) | 1
}

func (t *Table) sealRow(m *Mapping) { atomic.StoreUint32(&m.seal, sealOf(&t.seal, m)) }

// Survivor is a whole mapping that another table has left, under the number by which
// that table's sessions have it in their tags.
type Survivor struct {
	Mapping
	row uint32
}

// Account is whom the mapping was charged to, unless it is of a destination rule.
func (s *Survivor) Account() (account uint16, charged bool) { return s.owner, !s.static() }

// Survivors returns the mappings that a table of so many has left in its memory, in the
// order in which the lingering ones end, and how many rows were in use and not whole.
func Survivors(memory []byte, mappings uint32, seal hashtab.Secret) (list []Survivor, torn int, err error) {
	rows, err := rowsOf(memory, mappings)
	if err != nil {
		return nil, 0, err
	}
	for i := 1; i < len(rows.Rows); i++ {
		switch m := rows.Rows[i]; {
		case m.seal == 0 && m.Proto == 0:
		case m.seal != sealOf(&seal, &m) || !Translates(m.Proto, m.Query):
			torn++
		default:
			list = append(list, Survivor{Mapping: m, row: uint32(i)})
		}
	}
	slices.SortFunc(list, func(a, b Survivor) int { return cmp.Compare(a.until, b.until) })
	return list, torn, nil
}

// Pair has inside addresses keep the addresses of pools that another table gave them. It
// is called before the first packet.
func (t *Table) Pair(pairing hashtab.Secret) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pairing = pairing
}

// Adoption takes the mappings of another table in, while its sessions are. It belongs to
// one goroutine, and to nobody else does the table until it has ended.
type Adoption struct {
	t    *Table
	rows map[uint32]uint32 // of theirs to ours
	list []uint32          // ours, in the order of until
	held map[uint32]Time   // until, by row of ours
}

// Adopt begins to take mappings in.
func (t *Table) Adopt() *Adoption {
	return &Adoption{t: t, rows: map[uint32]uint32{}, held: map[uint32]Time{}}
}

// Take takes a mapping in, for the zone and the account that it has by now. It is
// refused where a bound of this table's would refuse a new one, and where its outside end
// is another's.
func (a *Adoption) Take(s *Survivor, zone, account uint16) drop.Reason {
	t := a.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byOutside(zone, s.Proto, s.Query, &s.Outside) != 0 || int(account) >= len(t.accounts) {
		return drop.NATMismatch
	}
	row, reason := t.roomFor(s, account)
	if reason != drop.None {
		return reason
	}
	m := &t.rows[row]
	*m = Mapping{Inside: s.Inside, Outside: s.Outside, Zone: zone, Proto: s.Proto, Query: s.Query, owner: account, fixed: min(s.fixed, 1)}
	if !t.insert(row) {
		t.giveBack(row)
		return drop.NATFull
	}
	if !s.static() {
		t.accounts[account].held++
	}
	t.sealRow(m)
	a.rows[s.row], a.held[row] = row, s.until
	a.list = append(a.list, row)
	return drop.None
}

func (t *Table) roomFor(s *Survivor, account uint16) (row uint32, reason drop.Reason) {
	if s.static() {
		return t.take()
	}
	return t.admit(account)
}

// Hold returns the tag here of a session that is adopted under this key and had that
// one there, and books it; found is false if there is no mapping for it: it is gone, or
// it is of another end than the session's.
func (a *Adoption) Hold(theirs uint32, key *packet.Key) (tag uint32, found bool) {
	t := a.t
	t.mu.Lock()
	defer t.mu.Unlock()
	row, known := a.rows[Tag(theirs).row()]
	if !known {
		return 0, false
	}
	inside := End{key.Src, key.SrcPort}
	if Tag(theirs).Role() == Opened {
		inside = End{key.Dst, key.DstPort}
	}
	if !t.rows[row].is(key.Zone, key.Proto, key.Query, &inside) {
		return 0, false
	}
	return uint32(t.hold(row, Tag(theirs).Role())), true
}

// End ends the adoption: mappings that no session holds linger, as those that did, or
// are removed.
func (a *Adoption) End(now Time) (kept int) {
	t := a.t
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = max(t.now, now)
	for _, row := range a.list {
		m, until := &t.rows[row], a.held[row]
		switch lingers := !m.static() && m.Proto != packet.ProtoTCP; {
		case m.refs > 0:
			kept++
		case lingers && until > now && until <= now+linger:
			m.until = until
			t.list(row)
			kept++
		default:
			t.remove(row)
		}
	}
	return kept
}
