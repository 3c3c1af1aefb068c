package vswitch_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch"
)

// The faults. The scene is the attacks' (attack_test.go), but it is the switch that
// something happens to: it is killed, overloaded, reconfigured without pause, its
// devices are taken away. Two things are held for all of it. What the policy allows
// between neighbours who have no part in the fault arrives, and what it denies does
// not, both counted to the frame by packet sockets of the test's own.
//
// Each fault is a row of a table that is printed at the end. `make fault` runs them
// with their whole numbers, go test with fewer.

// faultRow is one line of the report: events is how often the fault was made, lost
// what of sent did not arrive, leaked what arrived and should not.
type faultRow struct {
	id, what                   string
	events, sent, lost, leaked int
	figures                    string
}

var faults struct {
	sync.Mutex
	rows []faultRow
}

// report adds a row to the table, and fails the test if anything was lost or leaked
// beyond what the fault itself must cost.
func (r faultRow) report(t *testing.T, mayLose int) {
	t.Helper()
	faults.Lock()
	faults.rows = append(faults.rows, r)
	faults.Unlock()
	if r.lost > mayLose || r.leaked != 0 {
		t.Errorf("%s %s: %d of %d were lost, %d may be; %d leaked (%s)", r.id, r.what, r.lost, r.sent, mayLose, r.leaked, r.figures)
	}
}

// printFaults writes the table.
func printFaults() {
	faults.Lock()
	defer faults.Unlock()
	for _, r := range vswitch.FaultRows {
		faults.rows = append(faults.rows, faultRow{r.ID, r.What, r.Events, r.Sent, r.Lost, r.Leaked, r.Figures})
	}
	if len(faults.rows) == 0 || !testing.Verbose() {
		return
	}
	slices.SortStableFunc(faults.rows, func(a, b faultRow) int { return strings.Compare(a.id, b.id) })
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nFAULT\tWHAT\tTIMES\tSENT\tLOST\tLEAKED\tFIGURES")
	for _, r := range faults.rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", r.id, r.what, r.events, r.sent, r.lost, r.leaked, r.figures)
	}
	_ = w.Flush()
}

// steady sends numbered datagrams from one of the scene to another, one in each
// pace, and notes which of them arrive.
type steady struct {
	s      *scene
	marker []byte
	gun    *gun
	end    func() // of the capture
	stop   atomic.Bool
	done   chan struct{}

	mu    sync.Mutex
	sent  []time.Time
	found []bool
	got   int
	twice int
	last  time.Time     // when one arrived
	gap   time.Duration // the longest without one, since the first
}

// steady begins to send to a port of UDP. The datagrams carry a mark, so that two
// who send at a time are told apart; edits are made to each.
func (s *scene) steady(from, to int, port uint16, mark string, pace time.Duration, edits ...func(*packet.Spec)) *steady {
	s.t.Helper()
	f := &steady{s: s, marker: []byte(fmt.Sprintf("steady/%-8s", mark)), done: make(chan struct{})}
	f.end = capture(s.t, s.space(to), f.note)
	f.gun = gunIn(s.t, s.space(from))
	spec := packet.Spec{
		SrcMAC: sceneMACs[from], DstMAC: sceneMACs[to], Src: addr(sceneIP(from, 0)), Dst: addr(sceneIP(to, 0)),
		Proto: packet.ProtoUDP, SrcPort: 4444, DstPort: port,
	}
	for _, edit := range edits {
		edit(&spec)
	}
	go f.send(spec, pace)
	s.t.Cleanup(func() { f.stop.Store(true); <-f.done; f.end() })
	return f
}

// send sends until stop. A send that the kernel refuses is none: the sender's own
// queue was full, or its device was away.
func (f *steady) send(spec packet.Spec, pace time.Duration) {
	defer close(f.done)
	for !f.stop.Load() {
		f.mu.Lock()
		n := len(f.sent)
		f.sent, f.found = append(f.sent, time.Now()), append(f.found, false)
		f.mu.Unlock()
		spec.Payload = binary.BigEndian.AppendUint64(slices.Clone(f.marker), uint64(n))
		b, err := packet.Build(spec)
		if err != nil {
			panic(err) // the test's own mistake
		}
		if unix.Sendto(f.gun.fd, b, 0, &f.gun.addr) != nil {
			f.mu.Lock()
			f.sent, f.found = f.sent[:n], f.found[:n]
			f.mu.Unlock()
		}
		time.Sleep(pace)
	}
}

// note is given each frame that the receiver got. ICMP errors quote datagrams of
// ours, to another: the mark must be where a datagram's payload is.
func (f *steady) note(b []byte) {
	const payload = 14 + 20 + 8
	if len(b) < payload+len(f.marker)+8 || !bytes.Equal(b[payload:payload+len(f.marker)], f.marker) {
		return
	}
	n := binary.BigEndian.Uint64(b[payload+len(f.marker):])
	f.mu.Lock()
	defer f.mu.Unlock()
	if n >= uint64(len(f.found)) || f.found[n] {
		f.twice++
		return
	}
	now := time.Now()
	if !f.last.IsZero() {
		f.gap = max(f.gap, now.Sub(f.last))
	}
	f.found[n], f.got, f.last = true, f.got+1, now
}

// ends stops the sender, gives what is under way a second, and tells how many were
// sent and how many of them did not arrive. One that came twice fails the test.
func (f *steady) ends() (sent, lost int) {
	f.s.t.Helper()
	f.stop.Store(true)
	<-f.done
	for range 100 {
		if sent, got := f.counts(); sent == got {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.end()
	if f.twice != 0 {
		f.s.t.Errorf("%s: %d came twice", f.marker, f.twice)
	}
	return len(f.sent), len(f.sent) - f.got
}

// leaves stops the sender and lets go of its namespace: whatever is under way is not
// waited for.
func (f *steady) leaves() {
	f.stop.Store(true)
	<-f.done
	f.end()
	f.gun.close()
}

func (f *steady) counts() (sent, got int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent), f.got
}

// longest is the longest time between two that arrived.
func (f *steady) longest() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gap
}

// lastLost is when the last one was sent that did not arrive; zero: all did. It is
// for after the end.
func (f *steady) lastLost() time.Time {
	for n := len(f.found) - 1; n >= 0; n-- {
		if !f.found[n] {
			return f.sent[n]
		}
	}
	return time.Time{}
}

// comes waits until something new arrives, and tells how long that took.
func (f *steady) comes(within time.Duration) (took time.Duration, came bool) {
	_, before := f.counts()
	begun := time.Now()
	for time.Since(begun) < within {
		if _, got := f.counts(); got > before {
			return time.Since(begun), true
		}
		time.Sleep(time.Millisecond)
	}
	return within, false
}

// held is what the daemon holds of the system: descriptors, threads and memory.
type held struct{ files, threads, bytes int }

func (h held) String() string {
	return fmt.Sprintf("%d files, %d threads, %d MB", h.files, h.threads, h.bytes>>20)
}

func (s *scene) held() held {
	s.t.Helper()
	count := func(kind string) int {
		all, err := filepath.Glob(fmt.Sprintf("/proc/%d/%s/*", s.pid, kind))
		if err != nil || len(all) == 0 {
			s.t.Fatalf("/proc/%d/%s: %v", s.pid, kind, err)
		}
		return len(all)
	}
	return held{files: count("fd"), threads: count("task"), bytes: s.resident()}
}
