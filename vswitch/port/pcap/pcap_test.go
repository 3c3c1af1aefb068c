package pcap_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/pcap"
	"bulkhead/vswitch/port/porttest"
)

func frame(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestWriterIsReadByGopacket(t *testing.T) {
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 123_456_789).UTC()
	records := []pcap.Record{
		{Interface: 0, Time: at, Bytes: frame(60), Direction: pcap.Inbound, Comment: "no-rule: no rule allows it"},
		{Interface: 1, Time: at.Add(1), Bytes: frame(61), Length: 1514, Direction: pcap.Outbound},
		{Interface: 0, Time: at.Add(2), Bytes: frame(1514), Comment: strings.Repeat("ü", 40000), Lost: 7},
		{Interface: 1, Time: at.Add(3), Bytes: nil},
	}
	for _, name := range []string{"web", "db"} {
		if _, err := w.AddInterface(name, "port "+name); err != nil {
			t.Fatal(err)
		}
	}
	for i := range records {
		if err := w.Write(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(file.Bytes()), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range records {
		b, info, err := r.ReadPacketData()
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if !bytes.Equal(b, want.Bytes) || info.Length != max(want.Length, len(want.Bytes)) ||
			info.InterfaceIndex != want.Interface || !info.Timestamp.Equal(want.Time) {
			t.Errorf("record %d: %d bytes, %+v", i, len(b), info)
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
	if app := r.SectionInfo().Application; app != "bulkhead" {
		t.Errorf("written by %q", app)
	}
	if i, err := r.Interface(1); err != nil || i.Name != "db" || i.Comment != "port db" {
		t.Errorf("interface 1: %+v, %v", i, err)
	}
	if !bytes.Contains(file.Bytes(), []byte("no-rule: no rule allows it")) {
		t.Error("the comment is not in the file")
	}
}

func TestWriterRefusesAnUnknownInterface(t *testing.T) {
	w, _ := pcap.NewWriter(io.Discard)
	if err := w.Write(&pcap.Record{Bytes: frame(60)}); err == nil {
		t.Error("wrote a frame of an interface that nobody described")
	}
}

// broken takes n bytes and then no more.
type broken struct{ n int }

func (b *broken) Write(p []byte) (int, error) {
	if b.n -= len(p); b.n < 0 {
		return 0, errors.New("disk is full")
	}
	return len(p), nil
}

func TestWriterStaysBroken(t *testing.T) {
	w, err := pcap.NewWriter(&broken{n: 100})
	if err != nil {
		t.Fatal(err)
	}
	w.AddInterface("web", "")
	var first error
	for range 100 {
		if first = w.Write(&pcap.Record{Bytes: frame(1500)}); first != nil {
			break
		}
	}
	if first == nil || !strings.Contains(first.Error(), "disk is full") {
		t.Fatalf("a full disk: %v", first)
	}
	if err := w.Flush(); err == nil {
		t.Error("Flush of a broken capture says nothing")
	}
}

// written is the End of a port that writes a file.
type written struct {
	path string
	seen int
	sync func()
}

func (w *written) Inject([]byte, packet.Offload) error {
	return errors.New("a capture takes no frames")
}

func (w *written) Take(time.Duration) ([]byte, packet.Offload, bool) {
	w.sync()
	f, err := os.Open(w.path)
	if err != nil {
		return nil, packet.Offload{}, false
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		return nil, packet.Offload{}, false
	}
	for i := 0; ; i++ {
		b, _, err := r.ReadPacketData()
		if err != nil {
			return nil, packet.Offload{}, false
		}
		if i == w.seen {
			w.seen++
			return b, packet.Offload{}, true
		}
	}
}

func pool(t testing.TB) *port.Pool {
	t.Helper()
	r, err := port.NewRegion(make([]byte, 64*port.ChunkSize))
	if err != nil {
		t.Fatal(err)
	}
	return port.NewPool(r)
}

func TestContract(t *testing.T) {
	porttest.Run(t, func(t *testing.T) porttest.Rig {
		out := filepath.Join(t.TempDir(), "out.pcapng")
		p, err := pcap.Open(pcap.Config{Name: "file", Port: 3, Out: out})
		if err != nil {
			t.Fatal(err)
		}
		return porttest.Rig{Port: p, ID: 3, Pool: pool(t), Replay: true,
			End: &written{path: out, sync: func() { p.Flush() }}}
	})
}

// capture writes frames to a file, as pcap or pcapng.
func capture(t *testing.T, ng bool, link layers.LinkType, frames ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var w interface {
		WritePacket(gopacket.CaptureInfo, []byte) error
	}
	flush := func() error { return nil }
	if ng {
		n, err := pcapgo.NewNgWriter(f, link)
		if err != nil {
			t.Fatal(err)
		}
		w, flush = n, n.Flush
	} else {
		o := pcapgo.NewWriter(f)
		if err := o.WriteFileHeader(1<<18, link); err != nil {
			t.Fatal(err)
		}
		w = o
	}
	for _, b := range frames {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(b), Length: len(b)}, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplay(t *testing.T) {
	var frames [][]byte
	for i := range 150 {
		frames = append(frames, frame(60+i*9))
	}
	frames = append(frames, frame(packet.MaxFrame), frame(10), frame(packet.MaxFrame+1), frame(64))
	for _, ng := range []bool{false, true} {
		p, err := pcap.Open(pcap.Config{Name: "r", Port: 4, In: capture(t, ng, layers.LinkTypeEthernet, frames...)})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		q := p.Queues()[0]
		var b packet.Batch
		if q.Recv(&b); b.Len() != 0 {
			t.Error("replayed before Up")
		}
		p.Up()
		want := append(append([][]byte{}, frames[:151]...), frames[153])
		for !p.Done() {
			b.Reset()
			if err := q.Recv(&b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				f := b.Frame(i)
				if !bytes.Equal(f.Bytes(), want[0]) || f.Start < packet.Headroom || f.Ingress != 4 {
					t.Fatalf("ng %v: %d bytes at %d, want %d", ng, f.Len(), f.Start, len(want[0]))
				}
				want = want[1:]
			}
		}
		if s := p.Stats(); len(want) != 0 || s.RxFrames != 152 || s.Drops[drop.RxError] != 1 || s.Drops[drop.RxOversize] != 1 {
			t.Errorf("ng %v: %d frames missing, %d came, drops %v", ng, len(want), s.RxFrames, s.Drops)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	os.WriteFile(empty, nil, 0o600)
	text := filepath.Join(t.TempDir(), "text")
	os.WriteFile(text, []byte("this is no capture at all, but long enough to be one"), 0o600)
	for name, c := range map[string]pcap.Config{
		"missing input":   {In: "/no/such/file"},
		"empty input":     {In: empty},
		"not a capture":   {In: text},
		"not Ethernet":    {In: capture(t, false, layers.LinkTypeRaw, frame(60))},
		"output exists":   {Out: text},
		"output nowhere":  {Out: "/no/such/dir/out.pcapng"},
		"input and exist": {In: empty, Out: filepath.Join(t.TempDir(), "new")},
	} {
		p, err := pcap.Open(c)
		if err == nil {
			p.Close()
			t.Errorf("%s: opened", name)
		}
		if c.Out != "" && c.Out != text {
			if _, err := os.Stat(c.Out); !os.IsNotExist(err) {
				t.Errorf("%s: left %s behind", name, c.Out)
			}
		}
	}
}

func TestCaptureSaysWhatWasLeftToDo(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.pcapng")
	p, err := pcap.Open(pcap.Config{Name: "file", Out: out})
	if err != nil {
		t.Fatal(err)
	}
	p.Up()
	b := append(make([]byte, packet.Headroom), frame(9000)...)
	f := new(packet.Frame)
	f.Begin(b, packet.Headroom, uint32(len(b)), 0)
	f.Offload = packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: 34, CsumOffset: 16, GSO: packet.GSOTCP4, Size: 1448, HeaderLen: 54}
	p.Queues()[0].Send([]*packet.Frame{f})
	if err := p.Close(); err != nil || f.Reason != drop.None {
		t.Fatal(f.Reason, err)
	}
	file, _ := os.ReadFile(out)
	if !bytes.Contains(file, []byte("superframe, to be cut at 1448 payload bytes")) {
		t.Error("the capture does not say that the frame is a superframe")
	}
}
