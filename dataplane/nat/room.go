package nat

import (
	"sync/atomic"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// maxDraws is how many ports of the pool are tried for a new mapping.
const maxDraws = 128

// draw finds a free outside end of the rule for a mapping. The address is the
// one that the inside address always has; the ports are tried in steps that
// have no factor in common with their number, so that each comes once, from a
// beginning that nobody outside can tell.
func (t *Table) draw(r *Rules, s *Source, m *Mapping) bool {
	at := t.pairing.Addr((*[16]byte)(&m.Inside.Addr), uint64(m.Zone))
	m.Outside.Addr = s.Pool[(at>>32)*uint64(len(s.Pool))>>32]
	n := uint64(s.Most-s.Least) + 1
	random := t.random.Uint64()
	step := coprime(random>>48, n)
	port := random & 0xffff_ffff % n
	for range min(n, maxDraws) {
		m.Outside.Port = s.Least + uint16(port)
		_, published := r.Published(m.Zone, m.Proto, m.Outside)
		if !published && t.byOutside(m.Zone, m.Proto, m.Query, &m.Outside) == 0 {
			return true
		}
		port = (port + step) % n
	}
	return false
}

// primes are the steps to choose from. One that does not divide the number of
// ports has no factor in common with it, and no number of 16 bits has four of them.
var primes = [...]uint64{1009, 2003, 3001, 4001, 5003, 6007, 7001, 8009}

// coprime returns a step with no factor in common with n.
func coprime(random, n uint64) uint64 {
	for ; ; random++ {
		if p := primes[random%uint64(len(primes))]; n%p != 0 {
			return p % n
		}
	}
}

// admit finds a row for a new mapping of an account, at the cost of the
// account's own oldest lingering one where it must.
func (t *Table) admit(account uint16) (row uint32, reason drop.Reason) {
	a := &t.accounts[account]
	if a.held >= t.quota && !t.evict(a) {
		return 0, drop.NATQuota
	}
	if row, reason = t.take(); reason == drop.None || !t.evict(a) {
		return row, reason
	}
	return t.take()
}

func (t *Table) evict(a *account) bool {
	row := a.oldest
	if row == 0 {
		return false
	}
	t.stats.Evicted++
	t.unlist(row)
	t.remove(row)
	return true
}

// take returns a free row.
func (t *Table) take() (row uint32, reason drop.Reason) {
	if row = t.free; row != 0 {
		t.free = t.rows[row].older
		return row, drop.None
	}
	if int(t.fresh) == len(t.rows) {
		return 0, drop.NATFull
	}
	t.fresh++
	return t.fresh - 1, drop.None
}

func (t *Table) giveBack(row uint32) {
	t.rows[row] = Mapping{older: t.free}
	t.free = row
}

// insert names a row in both indices.
func (t *Table) insert(row uint32) (added bool) {
	m := &t.rows[row]
	if m.inPlace, added = t.inside.Insert(t.hash(m.Zone, m.Proto, m.Query, &m.Inside), row); !added {
		return false
	}
	if m.atPlace, added = t.outside.Insert(t.hash(m.Zone, m.Proto, m.Query, &m.Outside), row); !added {
		t.inside.Remove(m.inPlace, t.hash(m.Zone, m.Proto, m.Query, &m.Inside))
		return false
	}
	t.stats.Mappings++
	t.stats.Made++
	return true
}

// remove ends a mapping that is in no list.
func (t *Table) remove(row uint32) {
	m := &t.rows[row]
	t.inside.Remove(m.inPlace, t.hash(m.Zone, m.Proto, m.Query, &m.Inside))
	t.outside.Remove(m.atPlace, t.hash(m.Zone, m.Proto, m.Query, &m.Outside))
	if !m.static() {
		t.accounts[m.owner].held--
	}
	t.stats.Mappings--
	atomic.StoreUint32(&m.seal, 0)
	t.giveBack(row)
}

func (t *Table) hash(zone uint16, proto uint8, query packet.Query, e *End) uint64 {
	return t.secret.Addr((*[16]byte)(&e.Addr), uint64(zone)<<32|uint64(e.Port)<<16|uint64(proto)<<8|uint64(query))
}

// byInside finds the mapping that an inside end has under a rule; zero: none.
// It may have others, under rules for other destinations.
func (t *Table) byInside(s *Source, k *packet.Key, inside *End) uint32 {
	hash := t.hash(k.Zone, k.Proto, k.Query, inside)
	b, found := t.inside.First(hash)
	for second := false; ; second = true {
		for ; found != 0; found = found.Next() {
			m := &t.rows[b.Row(found.Lane())]
			if !m.static() && m.is(k.Zone, k.Proto, k.Query, inside) && s.has(&m.Outside) {
				return b.Row(found.Lane())
			}
		}
		if second {
			return 0
		}
		b, found = t.inside.Second(hash, b)
	}
}

// byOutside finds the mapping of an outside end; zero: none.
func (t *Table) byOutside(zone uint16, proto uint8, query packet.Query, outside *End) uint32 {
	hash := t.hash(zone, proto, query, outside)
	b, found := t.outside.First(hash)
	for second := false; ; second = true {
		for ; found != 0; found = found.Next() {
			m := &t.rows[b.Row(found.Lane())]
			if m.Zone == zone && m.Proto == proto && m.Query == query && m.Outside == *outside {
				return b.Row(found.Lane())
			}
		}
		if second {
			return 0
		}
		b, found = t.outside.Second(hash, b)
	}
}

// list puts a mapping at the end of the lingering ones. All linger equally long,
// so the lists are in the order in which they end.
func (t *Table) list(row uint32) {
	m, a := &t.rows[row], &t.accounts[t.rows[row].owner]
	m.older, m.younger, m.ownOlder, m.ownNew = t.newest, 0, a.newest, 0
	link(&t.oldest, &t.rows[t.newest].younger, t.newest, row)
	link(&a.oldest, &t.rows[a.newest].ownNew, a.newest, row)
	t.newest, a.newest = row, row
	t.stats.Lingering++
}

// link writes a row behind the last one, or as the first where there is none.
func link(first, behind *uint32, last, row uint32) {
	if last == 0 {
		*first = row
	} else {
		*behind = row
	}
}

// unlist takes a mapping out of both lists.
func (t *Table) unlist(row uint32) {
	m, a := &t.rows[row], &t.accounts[t.rows[row].owner]
	link(&t.oldest, &t.rows[m.older].younger, m.older, m.younger)
	link(&t.newest, &t.rows[m.younger].older, m.younger, m.older)
	link(&a.oldest, &t.rows[m.ownOlder].ownNew, m.ownOlder, m.ownNew)
	link(&a.newest, &t.rows[m.ownNew].ownOlder, m.ownNew, m.ownOlder)
	m.until = 0
	t.stats.Lingering--
}
