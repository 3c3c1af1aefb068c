package packet

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"

	"bulkhead/vswitch/port/porttest"
)

// The place in a ring that another process has read is found, wherever it is.
func TestFindInARing(t *testing.T) {
	for _, k := range []struct {
		situation     string
		filled        [][2]int // from, to
		next, doubted int      // -1: not found
	}{
		{"nothing is filled", nil, -1, 0},
		{"one", [][2]int{{7, 8}}, 7, 1},
		{"the first", [][2]int{{0, 3}}, 0, 3},
		{"a stretch in the middle", [][2]int{{100, 300}}, 100, 200},
		{"a stretch over the end", [][2]int{{500, slots}, {0, 40}}, 500, slots - 460},
		{"a stretch up to the end", [][2]int{{500, slots}}, 500, slots - 500},
		{"a hole that another CPU is filling", [][2]int{{100, 110}, {112, 120}}, 100, 18},
		{"holes over the end", [][2]int{{508, 510}, {511, slots}, {1, 4}}, 508, 6},
		{"all but one", [][2]int{{0, 20}, {21, slots}}, 21, slots - 1},
		{"all", [][2]int{{0, slots}}, 77, slots},
	} {
		r := &ring{mem: make([]byte, RxRing), lost: true}
		for i := range slots {
			r.header(i).Sec, r.header(i).Nsec = 9, uint32((i+slots-77)%slots) // 77 came first
		}
		for _, f := range k.filled {
			for i := f[0]; i < f[1]; i++ {
				r.header(i).Status = unix.TP_STATUS_USER
			}
		}
		found := r.find()
		if found != (k.next >= 0) || found && (r.next != k.next || r.doubt != k.doubted) || r.lost == found {
			t.Errorf("%s: found %v at %d, of %d; want %d, of %d", k.situation, found, r.next, r.doubt, k.next, k.doubted)
		}
	}
}

// A port that is taken over from a process that had a batch in hand goes on with the
// frames in the order in which they came: those in hand may come again, none is
// missed, and no long frame is taken for another.
func TestTakenOver(t *testing.T) {
	root(t)
	netns, device := veth(t)
	c := Config{Name: "web", Device: device, Port: 9, MTU: 9000}
	ip(t, "-n", netns, "link", "set", "eth0", "mtu", "9000")
	opened, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if err := opened.Up(); err != nil {
		t.Fatal(err)
	}
	peer, err := porttest.OpenPeer(netns, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	take := func(inherited bool) *Port {
		h, err := opened.Hand()
		if err != nil {
			t.Fatal(err)
		}
		h.Info.Inherited = inherited
		h.FDs = duplicates(t, h.FDs)
		p, err := Take(c, h)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := take(false)
	const frames = 900 // more than the ring has, a few at a time
	seen, sent := make([]int, frames), 0
	send := func(n int) {
		for ; n > 0; n, sent = n-1, sent+1 {
			size := 100
			if sent%3 == 0 {
				size = 3000 + sent%500 // longer than a slot; some are of one length
			}
			b := []byte(fmt.Sprintf("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xb5frame %6d/", sent))
			if err := peer.Inject(append(b, strings.Repeat("x", size)...), packet.Offload{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	receive := func(p *Port, batches int) {
		var b packet.Batch
		for range batches {
			b.Reset()
			if err := p.Queues()[0].Recv(&b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				var n int
				if _, err := fmt.Sscanf(string(b.Frame(i).Bytes()[14:28]), "frame %d/", &n); err != nil || n >= frames {
					t.Fatalf("received %q", b.Frame(i).Bytes()[:32])
				}
				size := 100
				if n%3 == 0 {
					size = 3000 + n%500
				}
				if got := b.Frame(i).Len() - 27; got != size {
					t.Fatalf("frame %d has %d bytes behind its number, sent with %d", n, got, size)
				}
				seen[n]++
			}
		}
	}
	p := first
	for round := 0; sent < frames; round++ {
		send(min(frames-sent, 60))
		time.Sleep(5 * time.Millisecond)
		receive(p, 1) // a batch is in hand, and not given back
		if round%2 == 1 {
			receive(p, 9) // everything: the next one finds no slot filled
		}
		_ = p.Close()
		p = take(true)
	}
	receive(p, 60)
	missed, again := 0, 0
	for n := range seen {
		switch seen[n] {
		case 0:
			missed++
		case 1:
		default:
			again++
		}
	}
	// Of those in hand the long ones are read, and cannot be read again.
	if missed != 0 || again == 0 {
		t.Errorf("%d of %d were missed, %d came again", missed, frames, again)
	}
	_ = p.Close()
}

func duplicates(t *testing.T, fds []int) (out []int) {
	t.Helper()
	for _, fd := range fds {
		d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(os.NewSyscallError("dup", err))
		}
		out = append(out, d)
	}
	return out
}
