package route

import (
	"sync"
	"time"

	"bulkhead/dataplane/packet"
)

// Time is nanoseconds of a monotonic clock.
type Time = int64

// Bounds of the neighbour table.
const (
	MaxNeighbours = 4096
	// reachable is how long an answer is believed without asking again (RFC 4861
	// 10 has 30 s). After that the address is asked for as soon as it is used, and
	// what was answered holds until unanswered: a silent link costs no packet
	// when it is used again, and a dead neighbour is known for dead.
	reachable  = 30 * time.Second
	unanswered = 10 * time.Second
	// solicitEvery bounds questions for one address (RFC 4861 RetransTimer).
	solicitEvery = time.Second
)

// Neighbours maps addresses of a link to MACs. What it knows was asked for by
// this switch: an answer that nobody asked for changes nothing, so a flood of
// them cannot fill it. It is bounded; when it is full, the oldest makes room.
// Any goroutine may call its methods.
type Neighbours struct {
	mu    sync.RWMutex // guards table
	table map[neighbourKey]neighbour
}

type neighbourKey struct {
	segment uint16
	addr    packet.Addr
}

type neighbour struct {
	mac      packet.MAC
	answered Time // zero: never
	asked    Time // when last; zero: not since the answer
	waiting  Time // since when it has been asked for again and again; zero: it is not
}

// NewNeighbours makes an empty table.
func NewNeighbours() *Neighbours {
	return &Neighbours{table: map[neighbourKey]neighbour{}}
}

// Lookup finds the MAC of an address, if it has been answered for. old says that
// the answer is so old that the address should be asked for again: its holder
// may have another MAC by now, or be gone.
func (n *Neighbours) Lookup(segment uint16, a *packet.Addr, now Time) (mac packet.MAC, old, found bool) {
	n.mu.RLock()
	e, found := n.table[neighbourKey{segment, *a}]
	n.mu.RUnlock()
	dead := e.answered == 0 || e.waiting != 0 && e.asked-e.waiting > int64(unanswered)
	return e.mac, now-e.answered > int64(reachable), found && !dead
}

// ShouldSolicit tells whether to ask for an address now, and notes that it is
// being asked for. It says no when it was asked for a moment ago.
func (n *Neighbours) ShouldSolicit(segment uint16, a *packet.Addr, now Time) bool {
	key := neighbourKey{segment, *a}
	n.mu.Lock()
	defer n.mu.Unlock()
	e, found := n.table[key]
	if e.asked != 0 && now-e.asked < int64(solicitEvery) {
		return false
	}
	if !found && len(n.table) >= MaxNeighbours {
		n.forgetOldest()
	}
	if e.waiting == 0 || now-e.asked > int64(unanswered) {
		e.waiting = now // one question lost before a silence says nothing of now
	}
	e.asked = now
	n.table[key] = e
	return true
}

// Answer keeps what an answer says, if it was asked for; it says whether.
func (n *Neighbours) Answer(segment uint16, a *packet.Addr, mac packet.MAC, now Time) bool {
	key := neighbourKey{segment, *a}
	n.mu.Lock()
	defer n.mu.Unlock()
	e, found := n.table[key]
	if !found || e.asked == 0 {
		return false
	}
	n.table[key] = neighbour{mac: mac, answered: now}
	return true
}

// forgetOldest makes room for one.
func (n *Neighbours) forgetOldest() {
	var oldest neighbourKey
	least := Time(1<<63 - 1)
	for k, e := range n.table {
		if t := max(e.answered, e.asked); t < least {
			oldest, least = k, t
		}
	}
	delete(n.table, oldest)
}

// Len returns the number of addresses known or asked for.
func (n *Neighbours) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.table)
}
