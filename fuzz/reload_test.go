package fuzz

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// FuzzReload runs a whole switch, of two workers over ports in memory, and mixes
// reloads with traffic: before it, behind it, and while it goes. A policy is three
// bits, one a port of A's that B may be asked at, and B may be away. The list knows
// for every frame in force of which policies it was sent:
//
//   - what none of these allows never arrives, at B or anywhere else;
//   - what all of them allow arrives, once (a reload loses nothing);
//   - and when a reload has returned, what is sent from then on is judged by it alone.
//
// A step is two bytes: what, and how many frames or which policy.
func FuzzReload(f *testing.F) {
	m := newReloaded(f)
	f.Add([]byte{0, 9, 1, 1, 0, 9, 1, 0, 0, 9})          // nothing, one, nothing
	f.Add([]byte{1, 7, 0, 20, 2, 5, 0, 20, 2, 2, 0, 20}) // while it goes
	f.Add([]byte{1, 7, 0, 9, 1, 15, 0, 9, 1, 7, 0, 9})   // B is away, and back
	f.Add([]byte{1, 3, 2, 3, 2, 3, 2, 11, 2, 3, 0, 30})  // the same again
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 48 {
			return
		}
		m.TB = t
		m.reset()
		for ; len(program) >= 2; program = program[2:] {
			m.step(program[0], int(program[1]))
		}
		m.settle()
	})
}

// force is what is in force: a bit for each of three ports that is allowed, and one
// that says that B is away.
type force uint8

const bGone force = 8

// allowsPort tells whether a frame to one of the three ports arrives.
func (s force) allowsPort(i int) bool { return s&bGone == 0 && s&(1<<i) != 0 }

var reloadPorts = [3]uint16{53, 80, 443}

type reloaded struct {
	testing.TB
	dir  string
	sw   *vswitch.Switch
	mu   sync.Mutex // guards ports
	open map[string]*mem.Port

	now    force
	serial uint32
	sent   map[uint32]shot
	got    map[uint32]int
}

// shot is a frame that was sent: to which of the three ports, and what was in force
// from before it was sent until it had been judged.
type shot struct {
	to    int
	under []force
}

func newReloaded(f *testing.F) *reloaded {
	m := &reloaded{TB: f, dir: f.TempDir(), open: map[string]*mem.Port{}, sent: map[uint32]shot{}, got: map[uint32]int{}}
	for bits := range 8 {
		m.writePolicy(force(bits))
	}
	sw, err := vswitch.New(m.config(0), func(c *config.Port, o vswitch.Opening) (port.Port, error) {
		p, err := mem.New(mem.Config{Name: c.Name, Port: o.ID, MAC: c.MAC, MTU: c.MTU})
		m.mu.Lock()
		defer m.mu.Unlock()
		m.open[c.Name] = p
		return p, err
	}, slog.New(slog.DiscardHandler))
	if err == nil {
		err = sw.Start()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { sw.Close() })
	m.sw = sw
	return m
}

func (m *reloaded) writePolicy(s force) {
	text := "version = 1\n[services.a]\nlabels = { app = \"a\" }\n[services.b]\nlabels = { app = \"b\" }\n"
	for i, p := range reloadPorts {
		if s&(1<<i) != 0 {
			text += fmt.Sprintf("[[rules]]\nname = \"p%d\"\nallow = { from = [\"a\"], to = [\"b\"], ports = [\"udp/%d\"] }\n", p, p)
		}
	}
	rs, findings := compile.Compile([]compile.Source{{Name: "p", Text: []byte(text)}}, compile.Options{})
	if findings.Failed() {
		m.Fatal("the policy does not compile")
	}
	b, err := policy.Encode(rs)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.dir, fmt.Sprintf("%d.bhp", s)), b, 0o600)
	}
	if err != nil {
		m.Fatal(err)
	}
}

func (m *reloaded) config(s force) *config.Config {
	var text strings.Builder
	fmt.Fprintf(&text, "control = \"s\"\nworkers = 2\npolicy = \"%d.bhp\"\n[limits]\nframes = 512\nsessions = 256\n[[segments]]\nname = \"s\"\n", s&7)
	for i, name := range []string{"a", "b", "c"} {
		if name != "b" || s&bGone == 0 {
			fmt.Fprintf(&text, "[[ports]]\nname = %q\nsegment = \"s\"\nmac = \"02:00:00:00:00:%02x\"\nips = [\"10.0.0.%d\"]\nlabels = { app = %q }\n", name, i+1, i+1, name)
		}
	}
	c, err := config.Parse(filepath.Join(m.dir, "c.toml"), []byte(text.String()))
	if err != nil {
		m.Fatal(err)
	}
	return c
}

func (m *reloaded) reload(s force) {
	if err := m.sw.Reload(m.config(s)); err != nil {
		m.Fatal(err)
	}
}

func (m *reloaded) reset() {
	m.reload(0)
	m.now = 0
	m.judged()
	clear(m.sent)
	clear(m.got)
}

func (m *reloaded) step(what byte, n int) {
	switch what % 3 {
	case 0:
		m.fire(1+n%32, m.now)
	case 1:
		m.judged()
		m.reload(force(n % 16))
		m.now = force(n % 16)
	case 2: // traffic goes on while it is done
		m.judged()
		was, next, done := m.now, force(n%16), make(chan struct{})
		go func() {
			defer close(done)
			m.reload(next)
		}()
		for going := true; going; {
			m.fire(3, was, next)
			select {
			case <-done:
				going = false
			case <-time.After(20 * time.Microsecond):
			}
		}
		m.judged()
		m.now = next
	}
}

// fire sends frames from A to B, each of a new flow, under what is in force.
func (m *reloaded) fire(n int, under ...force) {
	for range n {
		m.serial++
		to := int(m.serial) % 3
		payload := binary.BigEndian.AppendUint32(nil, m.serial)
		b, err := packet.Build(packet.Spec{SrcMAC: packet.MAC{2, 0, 0, 0, 0, 1}, DstMAC: packet.MAC{2, 0, 0, 0, 0, 2}, Src: address("10.0.0.1"), Dst: address("10.0.0.2"),
			Proto: packet.ProtoUDP, SrcPort: 1024 + uint16(m.serial%40), DstPort: reloadPorts[to], Payload: payload})
		if err != nil {
			m.Fatal(err)
		}
		for m.port("a").Inject(0, b, packet.Offload{}) != nil { // its ring is full
			m.take()
			time.Sleep(10 * time.Microsecond)
		}
		m.sent[m.serial] = shot{to, under}
		m.take()
	}
}

func (m *reloaded) port(name string) *mem.Port {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open[name]
}

// judged waits until every frame that was sent has been judged, and takes what came.
func (m *reloaded) judged() {
	late := time.Now().Add(10 * time.Second)
	for in := uint64(m.serial); m.port("a").Stats().RxFrames < in; {
		if m.take(); time.Now().After(late) {
			m.Fatalf("%d of %d frames are not taken in", in-m.port("a").Stats().RxFrames, in)
		}
		time.Sleep(10 * time.Microsecond)
	}
	if err := m.sw.Answer(10 * time.Second); err != nil { // the batch that they were in is over
		m.Fatal(err)
	}
	m.take()
}

// take takes what has come out.
func (m *reloaded) take() {
	for _, name := range []string{"a", "b", "c"} {
		p := m.port(name)
		if p == nil {
			continue
		}
		for out, ok := p.Take(0); ok; out, ok = p.Take(0) {
			said := read(out.Bytes)
			if name != "b" || said.refused != "" || said.proto != packet.ProtoUDP || len(said.transport) != 12 {
				m.Fatalf("port %s gives out %x", name, out.Bytes)
			}
			m.got[binary.BigEndian.Uint32(said.transport[8:])]++
		}
	}
}

// settle waits for all to arrive, and holds it to what was in force.
func (m *reloaded) settle() {
	m.judged()
	for serial, s := range m.sent {
		all, none := true, true
		for _, u := range s.under {
			all, none = all && u.allowsPort(s.to), none && !u.allowsPort(s.to)
		}
		switch n := m.got[serial]; {
		case none && n != 0:
			m.Fatalf("frame %d to port %d arrived under %v", serial, reloadPorts[s.to], s.under)
		case all && n != 1:
			m.Fatalf("frame %d to port %d arrived %d times under %v", serial, reloadPorts[s.to], n, s.under)
		}
	}
}
