package vswitch

import (
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// A chunk that is nowhere is found, said and counted, and so is one that is in two
// places; under traffic of two workers all are where they should be.
func TestChunksThatAreNowhereAreFound(t *testing.T) {
	l := started(t, twoWorkers+"policy = \"both.bhp\"\n"+twoPorts())
	a, b := l.port("a"), l.port("b")
	var traffic sync.WaitGroup
	stop := make(chan struct{})
	traffic.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = a.Inject(0, frame(1, 2, 17, 1000, 53, 0), packet.Offload{})
			b.takes(0)
		}
	})
	missing := func() int {
		t.Helper()
		l.sw.mu.Lock()
		l.sw.books.closed = time.Time{}
		l.sw.mu.Unlock()
		s, err := l.sw.Control("", nil).Status()
		if err != nil {
			t.Fatal(err)
		}
		if warns := strings.Contains(strings.Join(s.Warnings, "\n"), "in nobody's hands"); warns != (s.FramesMissing != 0) {
			t.Errorf("%d missing, and the status warns: %q", s.FramesMissing, s.Warnings)
		}
		return s.FramesMissing
	}
	for range 200 {
		if n := missing(); n != 0 {
			t.Fatalf("%d chunks are missing, and none is", n)
		}
	}
	thief := port.NewPool(l.sw.region)
	if _, ok := thief.Get(); !ok {
		t.Fatal("no chunk is free")
	}
	if n, want := missing(), 1+thief.Len(); n != want {
		t.Errorf("%d missing, of %d that were taken away", n, want)
	}
	// The same again, by the books: a port says that it has more than were taken.
	l.sw.mu.Lock()
	l.sw.opened[0].port = hoarder{l.sw.opened[0].port, thief.Len() + 3}
	l.sw.mu.Unlock()
	if n := missing(); n != -2 {
		t.Errorf("%d missing, and two are in two hands", n)
	}
	close(stop)
	traffic.Wait()
}

// hoarder is a port that keeps chunks, or says so.
type hoarder struct {
	port.Port
	chunks int
}

func (h hoarder) Chunks() int { return h.chunks }

// Who asks for the status without pause has the books closed once a second only.
func TestBooksAreNotClosedForEveryQuestion(t *testing.T) {
	l := started(t, twoPorts())
	ask := func() time.Time {
		if _, err := l.sw.Control("", nil).Status(); err != nil {
			t.Fatal(err)
		}
		l.sw.mu.Lock()
		defer l.sw.mu.Unlock()
		return l.sw.books.closed
	}
	first := ask()
	if again := ask(); again != first && again.Sub(first) < countAgain {
		t.Errorf("closed twice within %v", again.Sub(first))
	}
}

// A worker that does not come, because others have its CPU, does not have the rest wait
// for it for long; the books stay as they are.
func TestWorkersDoNotStandForOneThatIsLate(t *testing.T) {
	l := started(t, twoWorkers+twoPorts())
	release := make(chan struct{})
	l.sw.workers[1].ask(func() { <-release })
	l.sw.mu.Lock()
	begun := time.Now()
	stood := l.sw.still(func() { t.Error("it ran without all of them") })
	l.sw.mu.Unlock()
	if took := time.Since(begun); stood || took > 10*standMost {
		t.Errorf("stood %v, after %v", stood, took)
	}
	if !l.sw.onWorker(0, func(*worker) {}) {
		t.Error("the other still stands")
	}
	close(release)
}

// unsure is a helper that is in the middle of a call.
type unsure struct{ sure bool }

func (unsure) Away() string          { return "" }
func (h unsure) Chunks() (int, bool) { return 7, h.sure }

// While the helper cannot say what it has yet to let go of nothing is missing.
func TestBooksAreNotClosedWhileTheHelperIsUnsure(t *testing.T) {
	l := started(t, twoPorts())
	l.sw.mu.Lock()
	defer l.sw.mu.Unlock()
	l.sw.helper = unsure{}
	if n := l.sw.closeBooks(time.Now().Add(time.Hour), 0); n != 0 {
		t.Errorf("%d missing, and nobody can know", n)
	}
	l.sw.helper = unsure{sure: true}
	if n := l.sw.closeBooks(time.Now().Add(time.Hour), 0); n != -7 {
		t.Errorf("%d missing, and the helper has seven too many", n)
	}
	l.sw.helper = nil
}
