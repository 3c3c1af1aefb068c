package middleware_test

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
	"bulkhead/vswitch/port/middleware"
	"bulkhead/vswitch/port/pcap"
	"bulkhead/vswitch/port/porttest"
)

type end struct{ *mem.Port }

func (e end) Inject(frame []byte, o packet.Offload) error { return e.Port.Inject(0, frame, o) }

func (e end) Take(time.Duration) ([]byte, packet.Offload, bool) {
	s, ok := e.Port.Take(0)
	return s.Bytes, s.Offload, ok
}

func open(t *testing.T) *mem.Port {
	t.Helper()
	p, err := mem.New(mem.Config{Name: "m", Port: 5, Depth: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func wrappers(t *testing.T) map[string]func(port.Port) port.Port {
	w, err := pcap.NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(port.Port) port.Port{
		"trace": func(p port.Port) port.Port { return middleware.Trace(p, io.Discard) },
		"capture": func(p port.Port) port.Port {
			c, err := middleware.Capture(p, w)
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		"fault without faults": func(p port.Port) port.Port { return middleware.Fault(p, middleware.Faults{}) },
	}
}

func TestContract(t *testing.T) {
	for name, wrap := range wrappers(t) {
		t.Run(name, func(t *testing.T) {
			porttest.Run(t, func(t *testing.T) porttest.Rig {
				p, err := mem.New(mem.Config{Name: "m", Port: 5, Depth: 128})
				if err != nil {
					t.Fatal(err)
				}
				r, err := port.NewRegion(make([]byte, 256*port.ChunkSize))
				if err != nil {
					t.Fatal(err)
				}
				return porttest.Rig{
					Port: wrap(p), ID: 5, Pool: port.NewPool(r), End: end{p}, Offloads: true, TxBound: 128,
					Link:    func(up bool) error { p.SetLink(up); return nil },
					Destroy: func() error { p.Destroy(); return nil },
				}
			})
		})
	}
}

func numbered(i int) []byte {
	b := make([]byte, 60)
	b[58], b[59] = byte(i>>8), byte(i)
	return b
}

// run takes n frames in and sends them all out; it returns what came in, with
// doubles, and the reasons of what was sent.
func run(t *testing.T, inner *mem.Port, p port.Port, n int) (in [][]byte, out []drop.Reason) {
	t.Helper()
	p.Up()
	q := p.Queues()[0]
	var b packet.Batch
	for i := range n {
		if err := inner.Inject(0, numbered(i), packet.Offload{}); err != nil {
			t.Fatal(err)
		}
		if i%16 != 15 {
			continue
		}
		b.Reset()
		q.Recv(&b)
		var list []*packet.Frame
		for j := range b.Len() {
			in = append(in, slices.Clone(b.Frame(j).Bytes()))
			list = append(list, b.Frame(j))
		}
		q.Send(list)
		for _, f := range list {
			out = append(out, f.Reason)
		}
	}
	return in, out
}

func TestFaultsAreCountedAndRepeatable(t *testing.T) {
	const n = 1600
	faults := middleware.Faults{Seed: 7,
		In:  middleware.Rates{Drop: 0.1, Dup: 0.1, Corrupt: 0.1},
		Out: middleware.Rates{Drop: 0.05, Dup: 0.05, Full: 0.1}}
	var first [][]byte
	for range 2 {
		inner := open(t)
		p := middleware.Fault(inner, faults)
		in, out := run(t, inner, p, n)
		s := p.Stats()
		var refused uint64
		for _, r := range out {
			if r != drop.None {
				refused++
			}
		}
		dups := s.RxFrames + s.Drops[drop.RxError] - n
		if uint64(len(in)) != s.RxFrames || s.Drops[drop.RxError] < n/20 || dups < n/20 {
			t.Errorf("%d came in, counted %d, vanished %d", len(in), s.RxFrames, s.Drops[drop.RxError])
		}
		if s.Drops[drop.TxError]+s.Drops[drop.TxFull] != refused || refused < n/20 {
			t.Errorf("%d refused, counted %d and %d", refused, s.Drops[drop.TxError], s.Drops[drop.TxFull])
		}
		if taken := uint64(inner.Discard(0)); taken != s.TxFrames || s.TxFrames <= uint64(len(out))-refused {
			t.Errorf("%d given out, counted %d, of %d frames with %d refused", taken, s.TxFrames, len(out), refused)
		}
		var corrupted int
		for _, b := range in {
			if !bytes.Equal(b, numbered(int(b[58])<<8|int(b[59]))) {
				corrupted++
			}
		}
		if corrupted < n/20 {
			t.Errorf("%d frames corrupted", corrupted)
		}
		if first != nil && !slices.EqualFunc(first, in, bytes.Equal) {
			t.Error("the same seed did other harm")
		}
		first = in
	}
}

// chunky is a port whose frames lie in chunks, as an AF_XDP port's do.
type chunky struct {
	port.Port
	pool *port.Pool
	left int
}

func (c *chunky) Queues() []port.Queue { return []port.Queue{c} }
func (c *chunky) FD() int              { return -1 }

func (c *chunky) Send([]*packet.Frame) {}

func (c *chunky) Recv(b *packet.Batch) error {
	for ; c.left > 0 && b.Room() > 0; c.left-- {
		if f := b.Next(); !c.pool.GetFrame(f, 60, 1) {
			b.Undo()
			break
		}
	}
	return nil
}

func TestFaultConservesChunks(t *testing.T) {
	region, _ := port.NewRegion(make([]byte, 128*port.ChunkSize))
	pool := port.NewPool(region)
	for name, f := range map[string]middleware.Faults{
		"with a pool":    {Seed: 3, In: middleware.Rates{Drop: 0.4, Dup: 0.4}, Pool: func(int) *port.Pool { return pool }},
		"without a pool": {Seed: 3, In: middleware.Rates{Drop: 0.4, Dup: 0.4}},
	} {
		p := middleware.Fault(&chunky{Port: open(t), pool: pool, left: 1000}, f)
		var b packet.Batch
		for range 40 {
			b.Reset()
			p.Queues()[0].Recv(&b)
			for i := range b.Len() {
				pool.PutFrame(b.Frame(i))
			}
			if have := pool.Len() + region.Free(); have != region.Chunks() {
				t.Fatalf("%s: %d of %d chunks are left", name, have, region.Chunks())
			}
		}
	}
}

func TestTraceNamesWhatPassed(t *testing.T) {
	var text strings.Builder
	inner := open(t)
	p := middleware.Trace(inner, &text)
	p.Up()
	inner.Inject(0, numbered(1), packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: 34, CsumOffset: 16})
	var b packet.Batch
	p.Queues()[0].Recv(&b)
	inner.SetLink(false)
	p.Queues()[0].Send([]*packet.Frame{b.Frame(0)})
	want := "m#0 rx 60 bytes, partial checksum at 34+16, 000000000000 < 000000000000 0x0000\n" +
		"m#0 tx 60 bytes, partial checksum at 34+16, 000000000000 < 000000000000 0x0000, dropped: port-down\n"
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
}

func TestCaptureHoldsBothDirectionsAndReasons(t *testing.T) {
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	inner := open(t)
	p, err := middleware.Capture(inner, w)
	if err != nil {
		t.Fatal(err)
	}
	p.Up()
	inner.Inject(0, numbered(1), packet.Offload{})
	var b packet.Batch
	p.Queues()[0].Recv(&b)
	inner.SetLink(false)
	p.Queues()[0].Send([]*packet.Frame{b.Frame(0)})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(file.Bytes(), []byte("dropped, port-down: ")) {
		t.Error("the capture does not say why the frame was dropped")
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(file.Bytes()), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if got, _, err := r.ReadPacketData(); err != nil || !bytes.Equal(got, numbered(1)) {
			t.Errorf("record %d: %x, %v", i, got, err)
		}
	}
	if n := p.Stats().Extra["capture_lost"]; n != 0 {
		t.Errorf("%d lost", n)
	}
}
