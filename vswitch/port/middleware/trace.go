package middleware

import (
	"fmt"
	"io"
	"sync"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// Trace writes a line for each frame that passes the port:
//
//	web#0 rx 74 bytes, partial checksum at 34+16, 02b000000002 < 02b000000001 0x0800
//	web#0 tx 60 bytes, ..., dropped: tx-full
//
// Errors of w are ignored: a trace does not disturb what it watches.
func Trace(p port.Port, w io.Writer) port.Port {
	var mu sync.Mutex // guards w, for all queues
	return wrap(p, func(i int, q port.Queue) port.Queue {
		return &tracer{Queue: q, mu: &mu, w: w, name: fmt.Sprintf("%s#%d", p.Info().Name, i)}
	})
}

type tracer struct {
	port.Queue
	mu   *sync.Mutex
	w    io.Writer
	name string
}

// Recv implements port.Queue.
func (t *tracer) Recv(b *packet.Batch) error {
	before := b.Len()
	err := t.Queue.Recv(b)
	for i := before; i < b.Len(); i++ {
		t.line("rx", b.Frame(i))
	}
	return err
}

// Send implements port.Queue.
func (t *tracer) Send(frames []*packet.Frame) {
	t.Queue.Send(frames)
	for _, f := range frames {
		t.line("tx", f)
	}
}

func (t *tracer) line(way string, f *packet.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%s %s %d bytes%s%s%s\n", t.name, way, f.Len(), work(&f.Offload), addresses(f.Bytes()), fate(f))
}

// work says what was left to do on the frame.
func work(o *packet.Offload) (s string) {
	switch o.Checksum {
	case packet.ChecksumPartial:
		s = fmt.Sprintf(", partial checksum at %d+%d", o.CsumStart, o.CsumOffset)
	case packet.ChecksumGood:
		s = ", good checksum"
	case packet.ChecksumBad:
		s = ", bad checksum"
	}
	if o.GSO != packet.GSONone {
		s += fmt.Sprintf(", superframe of %d", o.Size)
	}
	return s
}

func addresses(b []byte) string {
	if len(b) < 14 {
		return ""
	}
	return fmt.Sprintf(", %x < %x 0x%x", b[:6], b[6:12], b[12:14])
}

func fate(f *packet.Frame) string {
	if f.Reason == drop.None {
		return ""
	}
	return ", dropped: " + f.Reason.String()
}
