package dataplane

import (
	"sync"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// Worker is what one worker owns: nobody else reads or writes it while a
// batch is under way.
type Worker struct {
	State    *State
	Counters *Counters
	Journal  Journal
	// Differences is what is found out about the snapshot's shadow; nil: nothing is.
	Differences *Differences
	Mirrored    Mirrored // what mirrors show of the last batch

	mirroring mirroring
	unwatched bool   // no mirror shows what it carries: it is a Prober's
	ahead     ahead  // what the first look at a stretch of frames found
	recent    recent // what was found out about the last pairs of ends
	copies    []byte // memory for the copies of one batch
	probing   probing
	asking    asking // of who listens to multicast
	answers   []bucket
	reports   []bucket
	turn      uint32 // which shard of the sessions to expire next
	mine      uint32 // the worker's number, and how many there are
	workers   uint32
}

// copySize is the memory of one copy, headroom included: a jumbo frame fits.
const copySize = 10240

// NewWorker makes worker number mine of workers, all of which share state.
func NewWorker(state *State, mine, workers int) *Worker {
	return &Worker{
		State:    state,
		Counters: NewCounters(),
		copies:   make([]byte, packet.BatchCopies*copySize),
		Journal:  Journal{Events: make([]Event, 0, journalSize)},
		answers:  make([]bucket, packet.MaxPorts+peerBuckets),
		reports:  make([]bucket, packet.MaxPorts+peerBuckets),
		turn:     uint32(mine),
		mine:     uint32(mine),
		workers:  uint32(workers),
		probing:  newProbing(),
		Mirrored: Mirrored{memory: make([]byte, MirrorBytes)},
	}
}

// Sessions is the session table, in shards so that workers seldom meet.
// A session lives in the shard that the symmetric hash of its key names, so
// both directions find it, whichever worker has them. With one worker there
// is one shard and no lock is taken.
type Sessions struct {
	secret hashtab.Secret // of every shard's hash
	shards []sessionShard
	shared bool
}

type sessionShard struct {
	mu    sync.Mutex // guards table, if shared
	table *conntrack.Table
	_     [64 - 16]byte // one cache line a shard
}

// sessionShards is the number of shards when there are several workers: with
// 16 workers two meet at one shard in a quarter of the batches at most, for
// tens of nanoseconds.
const sessionShards = 64

// NewSessions makes the table for that many workers. The bounds of cfg are for
// the whole table; each shard has its part of them.
func NewSessions(cfg conntrack.Config, workers int) (*Sessions, error) {
	return newSessions(cfg, workers, nil)
}

// shardsFor returns how many shards that many workers share.
func shardsFor(workers int) int {
	if workers > 1 {
		return sessionShards
	}
	return 1
}

// partOf is a shard's part of a bound; none stays none.
func partOf(bound uint32, shards int) uint32 {
	if bound == 0 {
		return 0
	}
	return max(1, bound/uint32(shards))
}

// newSessions is NewSessions in memory that is given, a part a shard; nil: in the tables'
// own.
func newSessions(cfg conntrack.Config, workers int, parts [][]byte) (*Sessions, error) {
	n := shardsFor(workers)
	cfg.Secret = cfg.Secret.OrBoot()
	s := &Sessions{secret: cfg.Secret, shards: make([]sessionShard, n), shared: n > 1}
	for _, bound := range []*uint32{&cfg.Sessions, &cfg.PortQuota, &cfg.EmbryonicQuota} {
		*bound = partOf(*bound, n)
	}
	for i := range s.shards {
		if parts != nil {
			cfg.Memory = parts[i]
		}
		table, err := conntrack.New(cfg)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.shards[i].table = table
	}
	return s, nil
}

// Close frees the memory. No worker may use the table any more.
func (s *Sessions) Close() {
	for i := range s.shards {
		if s.shards[i].table != nil {
			s.shards[i].table.Close()
		}
	}
}

// Shards returns the number of shards.
func (s *Sessions) Shards() int { return len(s.shards) }

// hash returns a flow's symmetric, keyed hash: the same for both directions.
func (s *Sessions) hash(k *packet.Key) uint64 { return conntrack.Hash(&s.secret, k) }

// shard returns the shard of a hash.
func (s *Sessions) shard(hash uint64) *sessionShard {
	if !s.shared {
		return &s.shards[0]
	}
	return &s.shards[hash>>58]
}

// of returns the shard of a hash, locked; done unlocks it.
func (s *Sessions) of(hash uint64) *sessionShard {
	if !s.shared {
		return &s.shards[0]
	}
	return s.lock(hash)
}

func (s *Sessions) lock(hash uint64) *sessionShard {
	shard := s.shard(hash)
	shard.mu.Lock()
	return shard
}

func (s *Sessions) done(shard *sessionShard) {
	if s.shared {
		s.unlock(shard)
	}
}

func (s *Sessions) unlock(shard *sessionShard) { shard.mu.Unlock() }

// expire looks at a few sessions of one shard, the worker's next.
func (s *Sessions) expire(w *Worker, now Time) {
	if !s.shared {
		s.shards[0].table.Expire(now, expireBudget)
		return
	}
	shard := &s.shards[w.turn%sessionShards]
	w.turn += w.workers
	if !shard.mu.TryLock() {
		return
	}
	shard.table.Expire(now, expireBudget)
	shard.mu.Unlock()
}

// Each calls visit with each shard's table in turn, locked against workers.
// With one worker it must be called by that worker, between batches.
func (s *Sessions) Each(visit func(*conntrack.Table)) {
	for i := range s.shards {
		shard := &s.shards[i]
		if s.shared {
			shard.mu.Lock()
		}
		visit(shard.table)
		if s.shared {
			shard.mu.Unlock()
		}
	}
}
