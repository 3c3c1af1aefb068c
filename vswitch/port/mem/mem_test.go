package mem_test

import (
	"errors"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
	"bulkhead/vswitch/port/porttest"
)

// end is the outside of a memory port.
type end struct{ *mem.Port }

func (e end) Inject(frame []byte, o packet.Offload) error { return e.Port.Inject(0, frame, o) }

func (e end) Take(time.Duration) ([]byte, packet.Offload, bool) {
	s, ok := e.Port.Take(0)
	return s.Bytes, s.Offload, ok
}

func pool(t testing.TB) *port.Pool {
	t.Helper()
	r, err := port.NewRegion(make([]byte, 256*port.ChunkSize))
	if err != nil {
		t.Fatal(err)
	}
	return port.NewPool(r)
}

func open(t testing.TB, c mem.Config) *mem.Port {
	t.Helper()
	p, err := mem.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestContract(t *testing.T) {
	for name, c := range map[string]mem.Config{
		"takes everything": {Name: "m", Port: 5, Depth: 128},
		"jumbo":            {Name: "m", Port: 5, Depth: 128, MTU: 9000},
		"takes no offload": {Name: "m", Port: 5, Depth: 128, Caps: &port.Caps{}},
	} {
		t.Run(name, func(t *testing.T) {
			porttest.Run(t, func(t *testing.T) porttest.Rig {
				p := open(t, c)
				return porttest.Rig{
					Port: p, ID: 5, Pool: pool(t), End: end{p}, Offloads: true, TxBound: 128,
					Link:    func(up bool) error { p.SetLink(up); return nil },
					Destroy: func() error { p.Destroy(); return nil },
				}
			})
		})
	}
}

func TestInjectIsRefused(t *testing.T) {
	p := open(t, mem.Config{Name: "m", Depth: 2})
	frame := make([]byte, 60)
	if err := p.Inject(0, frame, packet.Offload{}); !errors.Is(err, mem.ErrDown) {
		t.Errorf("before Up: %v", err)
	}
	p.Up()
	for range 2 {
		if err := p.Inject(0, frame, packet.Offload{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Inject(0, frame, packet.Offload{}); !errors.Is(err, mem.ErrFull) {
		t.Errorf("into a full ring: %v", err)
	}
	var b packet.Batch
	p.Queues()[0].Recv(&b)
	if err := p.Inject(0, frame, packet.Offload{}); !errors.Is(err, mem.ErrFull) {
		t.Errorf("over a frame in the worker's hands: %v", err)
	}
	b.Reset()
	p.Queues()[0].Recv(&b)
	if err := p.Inject(0, frame, packet.Offload{}); err != nil {
		t.Errorf("after the batch: %v", err)
	}
}

func TestSendAndRecvDoNotAllocate(t *testing.T) {
	p := open(t, mem.Config{Name: "m"})
	p.Up()
	q := p.Queues()[0]
	frame := make([]byte, 60)
	var b packet.Batch
	list := make([]*packet.Frame, 1)
	run := func() {
		p.Inject(0, frame, packet.Offload{})
		b.Reset()
		q.Recv(&b)
		list[0] = b.Frame(0)
		q.Send(list)
		p.Discard(0)
	}
	for range 2000 { // every slot has its buffer
		run()
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
