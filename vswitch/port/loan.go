package port

import (
	"sync"

	"bulkhead/vswitch/internal/sys"
)

// LoanSize is the memory that a queue lends received frames in, in bytes: a batch
// of 64 full-size frames, or seven superframes.
const LoanSize = 512 << 10

// Loans is the memory in which drivers lend frames to workers that lie in no chunk
// of the Region. A worker gives one batch to an end before it receives the next, so
// the queues that one worker receives from share one piece: a thousand ports take
// no more of it than one, and it stays in the worker's cache. Queue i of every port
// is received from by worker i modulo the number of workers (Port.Queues), so a
// piece goes by the queue's number.
//
// Its methods may be called from any goroutine. The zero value has no memory yet.
type Loans struct {
	mu     sync.Mutex // guards pieces
	pieces [][]byte
}

// Piece returns the memory for all queues of a number, LoanSize bytes.
func (l *Loans) Piece(queue int) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pieces) <= queue {
		mem, err := sys.MapAnonymous(LoanSize)
		if err != nil {
			return nil, err
		}
		l.pieces = append(l.pieces, mem)
	}
	return l.pieces[queue], nil
}

// Close gives the memory back. No port that lends by it may be open.
func (l *Loans) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, mem := range l.pieces {
		_ = sys.Unmap(mem)
	}
	l.pieces = nil
}
