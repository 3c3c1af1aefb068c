package dataplane

import (
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// The walk takes a batch in stretches, and goes over each stretch more than
// once. With a million sessions each frame's session is in memory that no cache
// holds, and to fetch it takes longer than all the rest of the walk; but the
// processor can fetch many at a time if it is asked early enough. So a stretch
// is
//
//	read     parse, decap, hash     each frame, from its bytes and the snapshot
//	touch    index buckets          fetched, all of them: the waits overlap
//	touch    sessions               likewise, the rows that the buckets name
//	walk     identify ▸ … ▸ encap   each frame, as if it were alone
//
// Only the walk decides. What is found by touching is a guess at the row of a
// frame's session, and the row itself says whether it is right: a frame before
// it in the same stretch may have opened that session, ended it or put another
// one there.

// stride is the number of frames of a stretch. Fewer overlap less; of more the
// first to be touched fall out of the nearest cache before they are walked
// (BenchmarkWalk of bench/walk).
const stride = 32

// ahead is what reading a stretch has found out.
type ahead struct {
	passages [stride]passage
	hashes   [stride]uint64 // of the flows; zero where there is none
	rows     [stride]uint32 // of the session table, where their sessions seem to be
}

// stretch carries frames from to to of the batch through the switch.
func (x *walk) stretch(from, to int) {
	if len(x.s.Mirrors) > 0 && !x.unwatched {
		x.mirrored(from, to)
		return
	}
	a := &x.Worker.ahead
	for i := from; i < to; i++ {
		f := x.batch.Frame(i)
		x.Counters.begin(f)
		x.read(f, &a.passages[i-from])
	}
	x.State.Sessions.touch(a, to-from)
	for i := from; i < to; i++ {
		f := x.batch.Frame(i)
		x.frame(f, &a.passages[i-from])
		x.Counters.end(f) // while it is at hand
	}
}

// mirrored is stretch where there are mirrors: each frame is kept as it came in, and
// shown when it has ended.
func (x *walk) mirrored(from, to int) {
	a, notes := &x.Worker.ahead, &x.mirroring.notes
	for i := from; i < to; i++ {
		f, p, n := x.batch.Frame(i), &a.passages[i-from], &notes[i-from]
		x.Counters.begin(f)
		n.keep(f)
		x.read(f, p)
		n.read(f, p)
	}
	x.State.Sessions.touch(a, to-from)
	for i := from; i < to; i++ {
		made := x.batch.Len()
		clear(x.mirroring.flooded[made-x.received:])
		x.frame(x.batch.Frame(i), &a.passages[i-from])
		x.mirror(x.batch.Frame(i), &a.passages[i-from], &notes[i-from], made)
		x.Counters.end(x.batch.Frame(i))
	}
}

// read finds out what the frame says of itself.
func (x *walk) read(f *packet.Frame, p *passage) {
	*p = passage{}
	if reason := x.enter(f, p); reason != drop.None {
		f.Drop(reason)
		return
	}
	h := &f.Headers
	if p.seg == nil {
		return
	}
	h.Key.Zone = p.seg.Zone
	if h.Kind == packet.KindIP {
		key := &h.Key
		if h.ICMPError {
			h.Inner.Zone = p.seg.Zone
			key = &h.Inner
		}
		p.hash = conntrack.Hash(&x.State.Sessions.secret, key)
	}
}

// touch has the sessions of the first n frames that were read fetched, and
// notes where they seem to be. It prefetches and does not read: a read that
// misses holds up what comes behind it, and of a table that workers share
// nothing may be read without the shard's lock, which would wait for the reads
// before it (BenchmarkWorkers of bench/walk).
func (s *Sessions) touch(a *ahead, n int) {
	passages, hashes, rows := a.passages[:n], a.hashes[:n], a.rows[:n]
	for i := range passages {
		hashes[i] = passages[i].hash
	}
	if s.shared {
		s.touchShared(hashes, rows)
	} else {
		s.shards[0].table.TouchAll(hashes, rows)
	}
	for i := range passages {
		passages[i].row = rows[i]
	}
}

// touchShared is touch of shards that have locks.
func (s *Sessions) touchShared(hashes []uint64, rows []uint32) {
	for _, hash := range hashes {
		s.shard(hash).table.Prefetch(hash)
	}
	for i, hash := range hashes {
		shard := s.lock(hash)
		rows[i] = shard.table.Touch(hash)
		s.unlock(shard)
		shard.table.PrefetchSession(rows[i])
	}
}
