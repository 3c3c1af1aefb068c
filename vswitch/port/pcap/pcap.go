package pcap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// Config describes a port over captures.
type Config struct {
	Name string
	Port packet.PortID
	MAC  packet.MAC
	MTU  int    // bytes of IP a frame sent may carry; 0: 1500
	In   string // the capture to replay; empty: receive nothing
	Out  string // the pcapng file to write what is sent to; empty: discard it
}

// Port is a port over captures. It has one queue.
type Port struct {
	config Config
	in     *os.File
	out    *os.File
	queue  *queue
	up     atomic.Bool
	closed atomic.Bool
}

var _ port.Port = (*Port)(nil)

// Open opens the files. The output must not exist: a capture is evidence.
func Open(c Config) (*Port, error) {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	p := &Port{config: c}
	p.queue = &queue{port: p, limit: c.MTU + ethernetLen, buf: make([]byte, arenaSize)}
	if err := errors.Join(p.openIn(), p.openOut()); err != nil {
		p.discard()
		return nil, fmt.Errorf("open capture port %q: %w", c.Name, err)
	}
	return p, nil
}

const ethernetLen = 14

func (p *Port) openIn() (err error) {
	if p.config.In == "" {
		return nil
	}
	if p.in, err = os.Open(p.config.In); err != nil {
		return err
	}
	if p.queue.source, err = openSource(p.in); err != nil {
		return fmt.Errorf("%s: %w", p.config.In, err)
	}
	return nil
}

func (p *Port) openOut() (err error) {
	if p.config.Out == "" {
		return nil
	}
	if p.out, err = os.OpenFile(p.config.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640); err != nil {
		return err
	}
	if p.queue.writer, err = NewWriter(p.out); err != nil {
		return err
	}
	_, err = p.queue.writer.AddInterface(p.config.Name, "frames the switch sent")
	return err
}

// discard undoes a failed Open.
func (p *Port) discard() {
	if p.in != nil {
		p.in.Close()
	}
	if p.out != nil {
		p.out.Close()
		os.Remove(p.config.Out)
	}
}

// Info implements port.Port.
func (p *Port) Info() port.Info {
	device := p.config.In
	if device == "" {
		device = p.config.Out
	}
	return port.Info{
		Name: p.config.Name, Driver: "pcap", Device: device, MAC: p.config.MAC, MTU: p.config.MTU,
		Mode: fmt.Sprintf("replay %q, capture %q", p.config.In, p.config.Out),
		// All offloads: a file has no use for finished frames, and whoever
		// reads it wants to see what the switch sent.
		Caps: port.Caps{TSO: true, USO: true, TunnelGSO: true, PartialChecksum: true, MaxFrame: p.config.MTU + ethernetLen},
	}
}

// Up implements port.Port: the replay begins.
func (p *Port) Up() error {
	if p.closed.Load() {
		return fmt.Errorf("set capture port %q up: it is closed", p.config.Name)
	}
	p.up.Store(true)
	return nil
}

// Queues implements port.Port.
func (p *Port) Queues() []port.Queue { return []port.Queue{p.queue} }

// Status implements port.Port. A replay that is over is still up: it can send.
func (p *Port) Status() port.Status {
	if p.closed.Load() {
		return port.Status{Err: "closed"}
	}
	if !p.up.Load() {
		return port.Status{Err: "link is down"}
	}
	return port.Status{Up: true}
}

// Chunks implements port.Port: it keeps memory of its own.
func (p *Port) Chunks() int { return 0 }

// Stats implements port.Port.
func (p *Port) Stats() port.Stats {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	s := p.queue.stats
	s.Extra = map[string]uint64{"replay_done": 0}
	if p.queue.done {
		s.Extra["replay_done"] = 1
	}
	return s
}

// Done tells whether everything has been replayed.
func (p *Port) Done() bool {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	return p.queue.done || p.queue.source == nil
}

// Close implements port.Port. A second Close does nothing.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	var errs []error
	if p.in != nil {
		errs = append(errs, p.in.Close())
	}
	if p.out != nil {
		errs = append(errs, p.queue.writer.Flush(), p.out.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close capture port %q: %w", p.config.Name, err)
	}
	return nil
}

// arenaSize is how much one batch replays at most, in bytes with headroom.
const arenaSize = 512 << 10

// queue is the port's one queue.
type queue struct {
	port  *Port
	limit int
	buf   []byte // the frames of the batch lie here until the next Recv

	mu     sync.Mutex // guards the rest
	source source
	writer *Writer
	done   bool
	stats  port.Stats
}

// FD implements port.Queue: a file is always readable, so there is nothing to
// wait for.
func (q *queue) FD() int { return -1 }

// Recv implements port.Queue.
func (q *queue) Recv(b *packet.Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.source == nil || q.done || !q.port.up.Load() {
		return nil
	}
	for at := 0; b.Room() > 0 && at+packet.Headroom+packet.MaxFrame <= len(q.buf); {
		frame, err := next(q.source)
		if err != nil && !errors.Is(err, errCut) {
			q.done = true
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("replay %s: %w", q.port.config.In, err)
		}
		if r := refuse(frame, err); r != drop.None {
			q.stats.Drops[r]++
			continue
		}
		at += q.takeIn(b.Next(), q.buf[at:], frame)
	}
	return nil
}

// refuse says why a frame of the file cannot be replayed.
func refuse(frame []byte, err error) drop.Reason {
	switch {
	case err != nil || len(frame) < ethernetLen:
		return drop.RxError
	case len(frame) > packet.MaxFrame:
		return drop.RxOversize
	}
	return drop.None
}

// takeIn lays a frame down at the beginning of room and returns how much of it
// is used.
func (q *queue) takeIn(f *packet.Frame, room, frame []byte) int {
	size := min(packet.Headroom+max(len(frame), 576)+64, len(room))
	copy(room[packet.Headroom:], frame)
	f.Begin(room[:size:size], packet.Headroom, uint32(packet.Headroom+len(frame)), q.port.config.Port)
	q.stats.RxFrames++
	q.stats.RxBytes += uint64(len(frame))
	return size
}

// Send implements port.Queue.
func (q *queue) Send(frames []*packet.Frame) {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range frames {
		if r := q.giveOut(f, now); r != drop.None {
			f.Reason = r
			q.stats.Drops[r]++
			continue
		}
		q.stats.TxFrames++
		q.stats.TxBytes += uint64(f.Len())
	}
}

func (q *queue) giveOut(f *packet.Frame, now time.Time) drop.Reason {
	n := f.Len()
	if f.Offload.GSO != packet.GSONone {
		n = min(n, int(f.Offload.HeaderLen)+int(f.Offload.Size))
	}
	switch {
	case !q.port.up.Load() || q.port.closed.Load():
		return drop.PortDown
	case n > q.limit:
		return drop.TxOversize
	case q.writer == nil:
		return drop.None
	}
	record := Record{Time: now, Direction: Outbound, Bytes: f.Bytes(), Comment: Unfinished(&f.Offload)}
	if err := q.writer.Write(&record); err != nil {
		return drop.TxError
	}
	return drop.None
}

// Unfinished says in words what work was left to do on a frame, so that nobody
// who reads a capture takes a partial checksum for a wrong one. It is empty if
// none was.
func Unfinished(o *packet.Offload) string {
	switch {
	case o.GSO != packet.GSONone:
		return fmt.Sprintf("superframe, to be cut at %d payload bytes; checksums not finished", o.Size)
	case o.Checksum == packet.ChecksumPartial:
		return "checksum not finished"
	}
	return ""
}

// Flush gives what was sent so far to the file.
func (p *Port) Flush() error {
	if p.queue.writer == nil {
		return nil
	}
	return p.queue.writer.Flush()
}
