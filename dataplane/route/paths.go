package route

import (
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/packet"
)

const (
	// MaxPaths bounds the paths that are known to be narrow. A table that is full
	// learns no more: the frames are lost on the way then, as without it.
	MaxPaths = 4096
	// pathAge is how long a path is taken for narrow (RFC 1191 6.3, RFC 8201 5.2):
	// after that the next large packet finds out.
	pathAge = 10 * time.Minute
	// What no path is taken to be narrower than, whoever says so: the least that
	// IPv6 has (RFC 8200 5), and what IPv4 hosts take without being asked (RFC 791).
	least4, least6 = 576, 1280
)

// Paths keeps what a path to an address of the underlay carries, where a router on
// it has said that it is less than the uplink (RFC 1191, RFC 8201). It only ever
// makes a path narrower, so a forged message costs throughput, down to a bound and
// for a while. Any goroutine may call its methods; the zero value is empty.
type Paths struct {
	count atomic.Int32 // of table, so that who asks in vain takes no lock
	mu    sync.RWMutex // guards table
	table map[packet.Addr]path
}

type path struct {
	mtu     uint32
	learned Time
}

// Learn notes that the path to an address carries so many bytes of IP; it says
// whether that is news.
func (p *Paths) Learn(a *packet.Addr, mtu uint32, now Time) bool {
	if a.Is4() {
		mtu = max(mtu, least4)
	} else {
		mtu = max(mtu, least6)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, known := p.table[*a]; known && !e.old(now) && e.mtu <= mtu {
		return false
	} else if !known && len(p.table) >= MaxPaths && !p.forgetOld(now) {
		return false
	}
	if p.table == nil {
		p.table = map[packet.Addr]path{}
	}
	p.table[*a] = path{mtu, now}
	p.count.Store(int32(len(p.table)))
	return true
}

func (e path) old(now Time) bool { return now-e.learned > int64(pathAge) }

// forgetOld makes room; false if there is none.
func (p *Paths) forgetOld(now Time) bool {
	for a, e := range p.table {
		if e.old(now) {
			delete(p.table, a)
		}
	}
	return len(p.table) < MaxPaths
}

// MTU returns how many bytes of IP the path to an address is known to carry; 0 if
// nothing is known.
func (p *Paths) MTU(a *packet.Addr, now Time) uint32 {
	if p.count.Load() == 0 {
		return 0
	}
	p.mu.RLock()
	e, known := p.table[*a]
	p.mu.RUnlock()
	if !known || e.old(now) {
		return 0
	}
	return e.mtu
}

// Len returns the number of narrow paths, those that are old among them.
func (p *Paths) Len() int { return int(p.count.Load()) }
