package vswitch

import "time"

// Every chunk of the frame region is in one place at any time: in the region, in a
// worker's pool, or with a port, which has it in its rings. One that is in none is
// lost until the next start, and when all are lost nothing is received any more; one
// that is in two is written by two. So the books are closed now and then: every worker
// stands still between two batches, when no batch has a chunk, and all places are
// counted. That takes what the longest batch takes, and a look at each ring.

// countEvery is how often the books are closed without being asked for, countAgain how
// often at the most: who asks for the status without pause does not stop the workers
// without pause.
const (
	countEvery = time.Minute
	countAgain = time.Second
)

// books is what came of closing them. Switch.mu guards it.
type books struct {
	closed  time.Time
	missing int // chunks that are nowhere; below 0: that are in two places
}

// standMost is how long workers stand at the most. One that comes late, because others
// have its CPU, must not have the rest stand for it: then the books stay as they are.
const standMost = 50 * time.Millisecond

// closeBooks counts the chunks, if that was last done longer than so long ago, and
// returns how many are missing. The caller holds mu, so no port is opened or closed
// meanwhile; the switch has started, and is not closed.
func (sw *Switch) closeBooks(now time.Time, age time.Duration) int {
	if now.Sub(sw.books.closed) < age {
		return sw.books.missing
	}
	found, sure := 0, false
	if !sw.still(func() { found, sure = sw.chunks() }) || !sure {
		return sw.books.missing
	}
	missing := sw.region.Chunks() - found
	if missing != sw.books.missing {
		sw.log.Error("frames-missing", "frames", missing, "before", sw.books.missing, "of", sw.region.Chunks(),
			"effect", "what is missing holds no frame until the next start", "cure", "report it, with the log and vsctl ports -o json")
	}
	sw.books = books{now, missing}
	return missing
}

// chunks counts them where they are; sure is false if it cannot be known now. All
// workers stand still: nothing here waits for anybody.
func (sw *Switch) chunks() (n int, sure bool) {
	n, sure = sw.region.Free(), true
	for _, w := range sw.workers {
		n += w.pool.Len()
	}
	for i := range sw.opened {
		if p := sw.opened[i].port; p != nil {
			n += p.Chunks()
		}
	}
	if sw.helper != nil {
		var more int
		more, sure = sw.helper.Chunks()
		n += more
	}
	return n, sure
}

// still has every worker stand between two batches while f runs. It returns false,
// without having run f, if one has stopped, or does not come. The caller holds mu: of
// two who had workers stand, each would wait for those of the other.
func (sw *Switch) still(f func()) bool {
	stand, over := make(chan struct{}, len(sw.workers)), make(chan struct{})
	defer close(over)
	late := time.NewTimer(standMost)
	defer late.Stop()
	for _, w := range sw.workers {
		if !w.ask(func() { stand <- struct{}{}; <-over }) {
			return false
		}
	}
	for range sw.workers {
		select {
		case <-stand:
		case <-late.C:
			return false
		}
	}
	f()
	return true
}
