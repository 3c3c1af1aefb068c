package porttest

import (
	"bytes"
	"errors"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

func info(b *bench) {
	i := b.Port.Info()
	if i.Name == "" || i.Driver == "" || i.Mode == "" {
		b.Errorf("says too little of itself: %+v", i)
	}
	if i.MTU < 68 || i.Caps.MaxFrame < i.MTU+ethernetLen {
		b.Errorf("MTU %d, longest frame %d", i.MTU, i.Caps.MaxFrame)
	}
	if len(b.Port.Queues()) == 0 {
		b.Error("no queue")
	}
	if b.Port.Status().Up {
		b.Error("the link is up before Up")
	}
	for _, q := range b.Port.Queues() {
		if err := q.Recv(&b.batch); err != nil || b.batch.Len() != 0 {
			b.Errorf("before Up: received %d frames, %v", b.batch.Len(), err)
		}
	}
	b.up()
}

func framesIn(b *bench) {
	b.injects()
	b.up()
	var count, total uint64
	for i, n := range sizes(b.Port) {
		want := plain(n, i)
		b.stain()
		b.inject(want, packet.Offload{})
		if got := b.recv(); got != 1 {
			b.Fatalf("%d frames instead of one", got)
		}
		f := b.batch.Frame(0)
		b.fresh(f)
		if !bytes.Equal(f.Bytes(), want) {
			b.Errorf("%d bytes came as %d others", n, f.Len())
		}
		count, total = count+1, total+uint64(n)
		b.done()
	}
	if s := b.Port.Stats(); s.RxFrames != count || s.RxBytes != total {
		b.Errorf("counted %d frames, %d bytes in; %d, %d came; drops %v", s.RxFrames, s.RxBytes, count, total, dropped(s))
	}
}

// stain fills a batch's slots with what an earlier batch might have left.
func (b *bench) stain() {
	for range packet.BatchSize {
		f := b.batch.Next()
		*f = packet.Frame{Start: 7, End: 9, Ingress: 77, Reason: drop.Denied, Egress: 7, Consumed: true, Rule: 5, Outer: 50, Copy: true, MaybePartial: true,
			Offload: packet.Offload{Checksum: packet.ChecksumBad, GSO: packet.GSOUDP6, ECN: true, CsumStart: 3, Size: 9, HeaderLen: 4}}
	}
	b.batch.Reset()
}

// fresh checks that the driver has called Begin and left room.
func (b *bench) fresh(f *packet.Frame) {
	b.Helper()
	switch {
	case f.Start < packet.Headroom:
		b.Errorf("headroom of %d bytes", f.Start)
	case f.Ingress != b.ID:
		b.Errorf("ingress %d, want %d", f.Ingress, b.ID)
	case f.Reason != drop.None || f.Egress != packet.NoPort || f.Consumed || f.Rule != 0 || f.Outer != 0 || f.Copy:
		b.Errorf("stale metadata: %+v", f)
	case f.Offload.Checksum == packet.ChecksumBad || f.Offload.GSO != packet.GSONone || f.Offload.ECN || f.Offload.Size != 0:
		b.Errorf("stale offload: %+v", f.Offload)
	case int(f.End) > len(f.Buf):
		b.Errorf("frame ends at %d of %d bytes", f.End, len(f.Buf))
	}
	clear(f.Buf[:f.Start]) // the headroom is ours to write
}

func framesOut(b *bench) {
	b.up()
	var count, total uint64
	for i, n := range sizes(b.Port) {
		want := plain(n, i)
		f := b.frame(want, packet.Offload{})
		b.send(f)
		if f.Reason != drop.None {
			b.Fatalf("%d bytes: dropped, %v", n, f.Reason)
		}
		if got, _ := b.take(); !same(got, want) {
			b.Errorf("%d bytes went out as %d others", n, len(got))
		}
		count, total = count+1, total+uint64(n)
	}
	if s := b.Port.Stats(); s.TxFrames != count || s.TxBytes != total {
		b.Errorf("counted %d frames, %d bytes out; %d, %d were sent", s.TxFrames, s.TxBytes, count, total)
	}
}

func batchRoom(b *bench) {
	b.injects()
	b.up()
	for i := range 4 {
		b.inject(plain(100, i), packet.Offload{})
	}
	time.Sleep(20 * time.Millisecond) // let them all arrive
	const spare = 2
	for range packet.BatchSize - spare {
		b.batch.Next().Begin(nil, 0, 0, packet.NoPort)
	}
	for _, q := range b.Port.Queues() {
		if err := q.Recv(&b.batch); err != nil {
			b.Fatal(err)
		}
	}
	if b.batch.Len() != packet.BatchSize {
		b.Fatalf("a batch with room for %d took %d of 4 frames", spare, b.batch.Len()-packet.BatchSize+spare)
	}
	b.done()
	if n := b.recv(); n != 2 {
		b.Errorf("%d frames were left, want 2", n)
	}
	b.done()
}

// order sends bursts through and back: whoever reorders a flow makes TCP slow.
func order(b *bench) {
	b.injects()
	b.up()
	const bursts, burst = 4, 60
	for i := range bursts {
		for j := range burst {
			b.inject(plain(80, i*burst+j), packet.Offload{})
		}
		for next := 0; next < burst; {
			n := b.recv()
			var out []*packet.Frame
			for k := range n {
				f := b.batch.Frame(k)
				if !bytes.Equal(f.Bytes(), plain(80, i*burst+next)) {
					b.Fatalf("frame %d of burst %d is not the next", next, i)
				}
				next++
				f.Send(b.ID)
				out = append(out, f)
			}
			b.send(out...)
		}
		for j := range burst {
			if got, _ := b.take(); !bytes.Equal(got, plain(80, i*burst+j)) {
				b.Fatalf("frame %d of burst %d came back as another", j, i)
			}
		}
	}
	s := b.Port.Stats()
	if s.RxFrames != bursts*burst || s.TxFrames != bursts*burst || len(dropped(s)) != 0 {
		b.Errorf("%d in, %d out, drops %v", s.RxFrames, s.TxFrames, dropped(s))
	}
}

func lending(b *bench) {
	b.injects()
	b.up()
	b.inject(plain(200, 1), packet.Offload{})
	b.recv()
	for i := range 8 { // arrives while the first is in the worker's hands
		b.inject(plain(200, 2+i), packet.Offload{})
	}
	time.Sleep(10 * time.Millisecond)
	if !bytes.Equal(b.batch.Frame(0).Bytes(), plain(200, 1)) {
		b.Error("the frame changed in the worker's hands")
	}
	b.done()
}

// kinds are the superframes there are, and what a port needs to take them.
var kinds = []struct {
	name string
	kind packet.GSO
	caps func(port.Caps) bool
}{
	{"tcp4", packet.GSOTCP4, func(c port.Caps) bool { return c.TSO }},
	{"tcp6", packet.GSOTCP6, func(c port.Caps) bool { return c.TSO }},
	{"udp4", packet.GSOUDP4, func(c port.Caps) bool { return c.USO }},
	{"udp6", packet.GSOUDP6, func(c port.Caps) bool { return c.USO }},
}

func offloadsIn(b *bench) {
	b.injects()
	if !b.Offloads {
		b.Skip("the end passes no offloads")
	}
	b.up()
	for _, k := range kinds {
		frame, o := superframe(k.kind, 500, 0)
		b.receives(k.name+" partial", frame, o)
		if k.caps(b.Port.Info().Caps) {
			frame, o = superframe(k.kind, 9000, 1000)
			b.receives(k.name+" superframe", frame, o)
		}
	}
}

// receives injects a frame with a partial checksum: it must arrive as it is,
// said to be partial, or maybe so, or finished.
func (b *bench) receives(name string, frame []byte, o packet.Offload) {
	b.Helper()
	b.inject(frame, o)
	if n := b.recv(); n != 1 {
		b.Fatalf("%s: %d frames", name, n)
	}
	f := b.batch.Frame(0)
	if f.MaybePartial {
		if reason := packet.Parse(f); reason != drop.None {
			b.Fatalf("%s: %v", name, reason)
		}
	}
	got := f.Offload
	if got.GSO != o.GSO || got.Size != o.Size {
		b.Errorf("%s: offload %+v, want %+v", name, got, o)
	}
	if o.GSO != packet.GSONone && got.HeaderLen != o.HeaderLen && got.HeaderLen != 0 {
		b.Errorf("%s: headers of %d bytes, want %d", name, got.HeaderLen, o.HeaderLen)
	}
	if got.Checksum == packet.ChecksumPartial && (got.CsumStart != o.CsumStart || got.CsumOffset != o.CsumOffset) {
		b.Errorf("%s: checksum at %d+%d, want %d+%d", name, got.CsumStart, got.CsumOffset, o.CsumStart, o.CsumOffset)
	}
	if !bytes.Equal(finish(f.Bytes(), got), finish(frame, o)) {
		b.Errorf("%s: checksum state %d is a lie", name, got.Checksum)
	}
	b.done()
}

func offloadsOut(b *bench) {
	if !b.Offloads {
		b.Skip("the end passes no offloads")
	}
	b.up()
	caps := b.Port.Info().Caps
	for _, k := range kinds {
		if caps.PartialChecksum {
			frame, o := superframe(k.kind, 500, 0)
			b.sends(k.name+" partial", frame, o)
		}
		frame, o := superframe(k.kind, 9000, 1000)
		if k.caps(caps) {
			b.sends(k.name+" superframe", frame, o)
			continue
		}
		f := b.frame(frame, o)
		b.send(f)
		if f.Reason == drop.None {
			b.Errorf("%s: took a superframe against its caps", k.name)
		}
	}
}

// sends sends a frame with a partial checksum: it must come out with what was
// left to do, or with that done.
func (b *bench) sends(name string, frame []byte, o packet.Offload) {
	b.Helper()
	f := b.frame(frame, o)
	if reason := packet.Parse(f); reason != drop.None { // as the walk has
		b.Fatalf("%s: %v", name, reason)
	}
	b.send(f)
	if f.Reason != drop.None {
		b.Errorf("%s: dropped, %v", name, f.Reason)
		return
	}
	got, out := b.take()
	if out.GSO != o.GSO || out.Size != o.Size {
		b.Errorf("%s: offload %+v, want %+v", name, out, o)
	}
	if !same(finish(got, out), finish(frame, o)) {
		b.Errorf("%s: came out with a wrong checksum (state %d)", name, out.Checksum)
	}
}

func tooLong(b *bench) {
	b.up()
	f := b.frame(plain(b.Port.Info().Caps.MaxFrame+1, 1), packet.Offload{})
	good := b.frame(plain(100, 2), packet.Offload{})
	b.send(f, good)
	if f.Reason != drop.TxOversize || good.Reason != drop.None {
		b.Errorf("too long: %v, and the next: %v", f.Reason, good.Reason)
	}
	if got, _ := b.take(); !bytes.Equal(got, plain(100, 2)) {
		b.Error("something else came out")
	}
	if s := b.Port.Stats(); s.TxFrames != 1 || s.Drops[drop.TxOversize] != 1 {
		b.Errorf("%d sent, drops %v", s.TxFrames, dropped(s))
	}
}

// full sends more than the device holds: what it does not take is counted, and
// when there is room again it takes frames.
func full(b *bench) {
	if b.TxBound == 0 {
		b.Skip("the device has no bound of its own")
	}
	b.up()
	var sent, refused uint64
	for i := range 2*b.TxBound + packet.BatchSize {
		f := b.frame(plain(64, i), packet.Offload{})
		b.send(f)
		switch f.Reason {
		case drop.None:
			sent++
		case drop.TxFull:
			refused++
		default:
			b.Fatalf("frame %d: %v", i, f.Reason)
		}
	}
	s := b.Port.Stats()
	if refused == 0 || s.TxFrames != sent || s.Drops[drop.TxFull] != refused {
		b.Errorf("%d sent, %d refused; counted %d and %v", sent, refused, s.TxFrames, dropped(s))
	}
	for i := range int(sent) {
		if got, _ := b.take(); !bytes.Equal(got, plain(64, i)) {
			b.Fatalf("frame %d is another", i)
		}
	}
	f := b.frame(plain(64, 1), packet.Offload{})
	if b.send(f); f.Reason != drop.None {
		b.Errorf("with room again: %v", f.Reason)
	}
}

func linkDown(b *bench) {
	if b.Link == nil {
		b.Skip("nobody can take the link down")
	}
	b.up()
	if err := b.Link(false); err != nil {
		b.Fatal(err)
	}
	if s := b.Port.Status(); s.Up || s.Err == "" {
		b.Errorf("link down: %+v", s)
	}
	f := b.frame(plain(100, 1), packet.Offload{})
	if b.send(f); f.Reason != drop.PortDown {
		b.Errorf("sent over a link that is down: %v", f.Reason)
	}
	if n := b.Port.Stats().Drops[drop.PortDown]; n != 1 {
		b.Errorf("counted %d", n)
	}
	if err := b.Link(true); err != nil {
		b.Fatal(err)
	}
	if s := b.Port.Status(); !s.Up {
		b.Errorf("link up again: %+v", s)
	}
	f = b.frame(plain(100, 2), packet.Offload{})
	if b.send(f); f.Reason != drop.None {
		b.Errorf("link up again: %v", f.Reason)
	}
	if got, _ := b.take(); !bytes.Equal(got, plain(100, 2)) {
		b.Error("another frame came out")
	}
}

func gone(b *bench) {
	if b.Destroy == nil {
		b.Skip("there is no device under the port")
	}
	b.up()
	if err := b.Destroy(); err != nil {
		b.Fatal(err)
	}
	for _, q := range b.Port.Queues() {
		for deadline := time.Now().Add(5 * time.Second); ; {
			err := q.Recv(&b.batch)
			if errors.Is(err, port.ErrGone) {
				break
			}
			if time.Now().After(deadline) {
				b.Fatalf("after the device went: Recv says %v", err)
			}
			b.done()
			b.sleep(time.Now().Add(time.Second))
		}
	}
	if s := b.Port.Status(); s.Up || s.Err == "" {
		b.Errorf("device gone: %+v", s)
	}
	f := b.frame(plain(100, 1), packet.Offload{})
	if b.send(f); f.Reason == drop.None {
		b.Error("a device that is gone took a frame")
	}
}
