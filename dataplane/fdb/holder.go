package fdb

// holder is a port or a peer: how many MACs it has, may have, and the ends of
// the list of them in the order they were learned (lane numbers plus one).
// One is made when it first learns, and stays: there are no more than ports and
// peers, which no packet makes.
type holder struct {
	count, quota   int
	oldest, newest uint32
}

// link holds the neighbours of a lane in its holder's list, and the tick at
// which the MAC had last been seen when it was put there.
type link struct{ older, newer, passed uint32 }

// clockSteps bounds how many entries the clock passes over before it takes the
// next one, seen or not.
const clockSteps = 8

// holderName is what a destination is charged to: the peer, whatever group it
// speaks for, or the port.
func holderName(d Dest) Dest {
	if d.Peer != NoPeer {
		return AtPeer(d.Peer, 0)
	}
	return AtPort(d.Port)
}

func (t *Table) holderOf(d Dest) *holder {
	name := holderName(d)
	h := t.holders[name]
	if h == nil {
		h = &holder{quota: t.quota[0]}
		if d.Peer != NoPeer {
			h.quota = t.quota[1]
		}
		t.holders[name] = h
	}
	return h
}

// SetQuota bounds what may be learned behind a destination; 0 learns nothing.
// Entries beyond a smaller quota stay until they age or are evicted.
func (t *Table) SetQuota(d Dest, quota int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holderOf(d).quota = max(quota, 0)
}

// Held returns how many MACs are learned behind a destination.
func (t *Table) Held(d Dest) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.holders[holderName(d)]; h != nil {
		return h.count
	}
	return 0
}

// attach books a lane to its holder, as the newest.
func (t *Table) attach(lane uint32, d Dest) {
	h := t.holderOf(d)
	h.count++
	t.links[lane] = link{older: h.newest, passed: t.tick(lane)}
	if h.newest != 0 {
		t.links[h.newest-1].newer = lane + 1
	} else {
		h.oldest = lane + 1
	}
	h.newest = lane + 1
}

// detach takes a lane off its holder's account.
func (t *Table) detach(lane uint32) {
	d := value(t.value(lane).Load()).dest()
	h, l := t.holderOf(d), t.links[lane]
	h.count--
	if l.older != 0 {
		t.links[l.older-1].newer = l.newer
	} else {
		h.oldest = l.newer
	}
	if l.newer != 0 {
		t.links[l.newer-1].older = l.older
	} else {
		h.newest = l.older
	}
	t.links[lane] = link{}
}

// tick returns when the MAC of a lane was last seen.
func (t *Table) tick(lane uint32) uint32 { return value(t.value(lane).Load()).tick() }

// evictOwn makes one of the holder's entries go: the one learned longest ago
// that has not been seen since the clock last passed it. It is false if the
// holder has none.
func (t *Table) evictOwn(h *holder) bool {
	if h.oldest == 0 {
		return false
	}
	for range clockSteps {
		lane := h.oldest - 1
		if l := &t.links[lane]; l.newer == 0 || l.passed == t.tick(lane) {
			break
		}
		t.toNewest(h, lane)
	}
	t.stats.Evicted++
	t.clear(h.oldest - 1)
	return true
}

// toNewest moves the oldest entry of a holder, which has others, to the other
// end of its list.
func (t *Table) toNewest(h *holder, lane uint32) {
	h.oldest = t.links[lane].newer
	t.links[h.oldest-1].older = 0
	t.links[lane] = link{older: h.newest, passed: t.tick(lane)}
	t.links[h.newest-1].newer = lane + 1
	h.newest = lane + 1
}
