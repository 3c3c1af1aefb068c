package vswitch_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"bulkhead/vswitch/control/api"
)

// F20, a peer's host dies and its endpoint is begun on another, again and again, under
// a thousand datagrams a second: not one that was sent after the call has been answered
// goes to the old host, the first comes to the new one within a second, and none is
// lost between two hosts that live. Where they go is read from the outer header, on the
// underlay, by a packet socket.
func TestFaultVTEPMoves(t *testing.T) {
	root(t)
	for _, driver := range []string{"xdp", "udp"} {
		t.Run(driver, func(t *testing.T) { vtepMoves(t, driver) })
	}
}

// way is where datagrams went.
type way struct {
	mu    sync.Mutex
	to    map[uint64]byte // last byte of the outer destination, by number
	first map[byte]time.Time
}

const wayMark = "which way?"

func (w *way) note(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := b; ; { // a train has several
		at := bytes.Index(rest, []byte(wayMark))
		if at < 0 || len(rest) < at+len(wayMark)+8 || len(b) < 34 {
			return
		}
		rest = rest[at+len(wayMark):]
		w.to[binary.BigEndian.Uint64(rest)] = b[33]
		if _, came := w.first[b[33]]; !came {
			w.first[b[33]] = time.Now()
		}
	}
}

func vtepMoves(t *testing.T, driver string) {
	o := overlay{name: driver, driver: driver, extra: "[[peers]]\nname = \"k2\"\naddress = \"192.0.2.3\"\nsegments = [\"s\"]\n"}
	s := o.run(t, build(t), buildPolicy(t, overlayPolicy))
	sh(t, "ip -n "+s.k+" addr add 192.0.2.3/24 dev under")
	pings(t, s.web, "10.66.0.2")
	w := &way{to: map[uint64]byte{}, first: map[byte]time.Time{}}
	t.Cleanup(captureOn(t, s.k, "under", w.note))
	c := dialUDP(t, s.web, "10.66.0.2", 5100)
	defer c.Close()
	next := uint64(0)
	speak := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
			// Nobody has the port open there: at the answer to that nothing is sent.
			if _, err := c.Write(binary.BigEndian.AppendUint64([]byte(wayMark), next)); err == nil {
				next++
			}
		}
	}
	move := func(to byte) {
		t.Helper()
		err := s.client.Post(context.Background(), "/v1/endpoint", &api.EndpointChange{Op: api.EndpointMove, Name: "db", Peer: map[byte]string{2: "k", 3: "k2"}[to]}, &api.Done{})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []byte{3, 2} { // both are known on the underlay
		move(to)
		speak(300 * time.Millisecond)
	}
	begun := next
	n, slowest, leaked := times(300, 10), time.Duration(0), 0
	for i := range n {
		from, to := byte(2+i%2), byte(3-i%2)
		w.mu.Lock()
		clear(w.first)
		w.mu.Unlock()
		asked := time.Now()
		move(to)
		since := next
		speak(100 * time.Millisecond)
		w.mu.Lock()
		for ; since < next; since++ {
			if w.to[since] == from {
				leaked++
			}
		}
		if at, came := w.first[to]; came {
			slowest = max(slowest, at.Sub(asked))
		} else {
			slowest = time.Hour
		}
		w.mu.Unlock()
	}
	time.Sleep(100 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := 0
	for i := begun; i < next; i++ {
		if w.to[i] == 0 {
			lost++
		}
	}
	faultRow{
		id: "F20", what: "an endpoint is begun on another host, " + driver, events: n, sent: int(next - begun), lost: lost, leaked: leaked,
		figures: fmt.Sprintf("the first comes there %v after the call was made, at the most", slowest.Round(time.Millisecond)),
	}.report(t, 0)
	if slowest > time.Second {
		t.Errorf("%s: the first packet to the new host after %v", driver, slowest)
	}
}
