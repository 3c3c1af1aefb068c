package middleware

import (
	"fmt"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/pcap"
)

// Capture writes every frame that passes the port to a pcapng file, those that
// could not be sent with the reason as comment. The caller flushes the writer.
// A frame that the file did not take passes all the same, and is counted in
// Stats.Extra as capture_lost.
func Capture(p port.Port, w *pcap.Writer) (port.Port, error) {
	number, err := w.AddInterface(p.Info().Name, p.Info().Driver+" "+p.Info().Device)
	if err != nil {
		return nil, fmt.Errorf("capture port %q: %w", p.Info().Name, err)
	}
	c := &capture{}
	c.wrapped = wrap(p, func(_ int, q port.Queue) port.Queue {
		return &recorder{Queue: q, writer: w, number: number, lost: &c.lost}
	})
	return c, nil
}

type capture struct {
	*wrapped
	lost atomic.Uint64
}

// Stats implements port.Port.
func (c *capture) Stats() port.Stats {
	s := c.wrapped.Stats()
	if s.Extra == nil {
		s.Extra = map[string]uint64{}
	}
	s.Extra["capture_lost"] = c.lost.Load()
	return s
}

type recorder struct {
	port.Queue
	writer *pcap.Writer
	number int
	lost   *atomic.Uint64
}

// Recv implements port.Queue.
func (r *recorder) Recv(b *packet.Batch) error {
	before := b.Len()
	err := r.Queue.Recv(b)
	now := time.Now()
	for i := before; i < b.Len(); i++ {
		r.record(b.Frame(i), pcap.Inbound, now)
	}
	return err
}

// Send implements port.Queue.
func (r *recorder) Send(frames []*packet.Frame) {
	now := time.Now()
	r.Queue.Send(frames)
	for _, f := range frames {
		r.record(f, pcap.Outbound, now)
	}
}

func (r *recorder) record(f *packet.Frame, way pcap.Direction, now time.Time) {
	comment := pcap.Unfinished(&f.Offload)
	if f.Reason != drop.None {
		comment = fmt.Sprintf("dropped, %v: %s", f.Reason, f.Reason.Sentence())
	}
	record := pcap.Record{Interface: r.number, Time: now, Direction: way, Bytes: f.Bytes(), Comment: comment}
	if r.writer.Write(&record) != nil {
		r.lost.Add(1)
	}
}
