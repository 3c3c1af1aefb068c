package vswitch

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// lab is a switch over memory ports: no root, no device, no sleep.
type lab struct {
	t   testing.TB
	dir string
	sw  *Switch
	// depth is how many frames the rings of a port hold, where that matters.
	depth int

	mu     sync.Mutex // guards what follows
	ports  map[string]*labPort
	all    []*labPort
	broken map[string]error // what opening a port by name says
	odd    map[string]func(*labPort, int) port.Queue
}

// labPort is a memory port that notes who uses it when.
type labPort struct {
	*mem.Port
	lab    *lab
	id     packet.PortID
	queues []port.Queue
	closed atomic.Bool
	upErr  atomic.Pointer[error] // what Up says
}

// inForce is what forwards and the roster that it was linked from, of one moment:
// the keepers of the switch publish too, whenever they like.
func (l *lab) inForce() (*live, roster) {
	l.sw.mu.Lock()
	defer l.sw.mu.Unlock()
	return l.sw.live.Load(), maps.Clone(l.sw.roster)
}

func (l *lab) roster() roster {
	_, r := l.inForce()
	return r
}

func (p *labPort) Up() error {
	if err := p.upErr.Load(); err != nil {
		return *err
	}
	return p.Port.Up()
}

// labQueue fails the test if it is used when its port is closed.
type labQueue struct {
	port.Queue
	of *labPort
}

func (q labQueue) Recv(b *packet.Batch) error {
	q.of.inUse("Recv")
	return q.Queue.Recv(b)
}

func (q labQueue) Send(frames []*packet.Frame) {
	q.of.inUse("Send")
	q.Queue.Send(frames)
}

func (p *labPort) inUse(call string) {
	if p.closed.Load() {
		p.lab.t.Errorf("%s on port %s, which is closed", call, p.Info().Name)
	}
}

func (p *labPort) Queues() []port.Queue { return p.queues }

func (p *labPort) Close() error {
	if p.closed.Swap(true) {
		p.lab.t.Errorf("port %s is closed twice", p.Info().Name)
	}
	return p.Port.Close()
}

// newLab makes a switch of a configuration, not started.
func newLab(t testing.TB, text string) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), ports: map[string]*labPort{}, broken: map[string]error{}, odd: map[string]func(*labPort, int) port.Queue{}}
	l.policy("none.bhp")
	l.policy("web.bhp", "tcp/80")
	l.policy("both.bhp", "tcp/80", "udp/53", "tcp/81")
	l.policy("dns.bhp", "udp/53")
	l.policy("alt.bhp", "tcp/81")
	sw, err := New(l.config(text), l.open, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.sw = sw
	sw.mendEvery = 5 * time.Millisecond
	t.Cleanup(func() {
		if err := sw.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range l.all {
			if !p.closed.Load() {
				t.Errorf("port %s is left open", p.Info().Name)
			}
		}
	})
	return l
}

// started makes a switch and starts it.
func started(t testing.TB, text string) *lab {
	t.Helper()
	l := newLab(t, text)
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	return l
}

// open is the lab's Opener.
func (l *lab) open(c *config.Port, o Opening) (port.Port, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.broken[c.Name]; err != nil {
		return nil, err
	}
	m, err := mem.New(mem.Config{Name: c.Name, Port: o.ID, MTU: c.MTU, Queues: c.Queues, MAC: c.MAC, Depth: l.depth})
	if err != nil {
		return nil, err
	}
	p := &labPort{Port: m, lab: l, id: o.ID}
	for i, q := range m.Queues() {
		var own port.Queue = labQueue{q, p}
		if odd := l.odd[c.Name]; odd != nil {
			own = odd(p, i)
		}
		p.queues = append(p.queues, own)
	}
	l.ports[c.Name] = p
	l.all = append(l.all, p)
	return p, nil
}

// port returns the port of a name that was opened last.
func (l *lab) port(name string) *labPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ports[name]
}

// breaks has the opening of a port fail from now on; nil mends it.
func (l *lab) breaks(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken[name] = err
}

// opened returns how many ports were ever opened, and how many are open.
func (l *lab) opened() (ever, now int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.all {
		if !p.closed.Load() {
			now++
		}
	}
	return len(l.all), now
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// policy compiles a policy by which anybody reaches anybody on the ports.
func (l *lab) policy(name string, ports ...string) {
	l.t.Helper()
	text := "version = 1\n"
	if len(ports) > 0 {
		text += fmt.Sprintf("[[rules]]\nname = %q\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"%s\"] }\n", name, strings.Join(ports, `", "`))
	}
	l.policyText(name, text)
}

// policyText compiles a policy.
func (l *lab) policyText(name, text string) {
	l.t.Helper()
	rules, findings := compile.Compile([]compile.Source{{Name: name, Text: []byte(text)}}, compile.Options{})
	if findings.Failed() {
		_ = findings.Render(os.Stderr)
		l.t.Fatal("the policy does not compile")
	}
	data, err := policy.Encode(rules)
	if err == nil {
		err = os.WriteFile(l.path(name), data, 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// config reads a configuration that lies beside the lab's policies.
func (l *lab) config(text string) *config.Config {
	l.t.Helper()
	cfg, err := config.Parse(l.path("lab.toml"), []byte("control = \"s.sock\"\nmetrics = \"\"\n"+text))
	if err != nil {
		l.t.Fatal(err)
	}
	return cfg
}

// load puts a policy in force, as an operator does.
func (l *lab) load(name string) error {
	_, err := l.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: l.path(name)})
	return err
}

func (l *lab) reload(text string) error { return l.sw.Reload(l.config(text)) }

// member is a port with the endpoint that a test's frames come from: number i
// is 10.0.0.i in segment s.
func member(name string, i int, more string) string {
	return fmt.Sprintf("[[ports]]\nname = %q\nsegment = \"s\"\nnetns = %q\nmac = \"02:00:00:00:00:%02x\"\nips = [\"10.0.0.%d\"]\n%s\n", name, name, i, i, more)
}

const labSegment = "[[segments]]\nname = \"s\"\n"

// twoWorkers and twoPorts are most tests' switch: the endpoints a and b.
const twoWorkers = "workers = 2\n"

func twoPorts() string { return labSegment + member("a", 1, "") + member("b", 2, "") }

// frame is one from endpoint to endpoint.
func frame(from, to int, proto uint8, src, dst uint16, flags uint8) []byte {
	ip := func(i int) packet.Addr { return packet.AddrFrom(netipOf(i)) }
	b, err := packet.Build(packet.Spec{
		SrcMAC: packet.MAC{2, 0, 0, 0, 0, byte(from)}, DstMAC: packet.MAC{2, 0, 0, 0, 0, byte(to)},
		Src: ip(from), Dst: ip(to), Proto: proto, SrcPort: src, DstPort: dst, TCPFlags: flags, Payload: []byte("payload of a test"),
	})
	if err != nil {
		panic(err)
	}
	return b
}

// inject puts a frame into a queue, waiting for room.
func (p *labPort) inject(queue int, b []byte) {
	for p.Inject(queue, b, packet.Offload{}) != nil {
		if p.closed.Load() {
			return
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// takes waits for a frame out of any queue of a port.
func (p *labPort) takes(within time.Duration) ([]byte, bool) {
	for end := time.Now().Add(within); ; {
		for q := range p.queues {
			if s, ok := p.Take(q); ok {
				return s.Bytes, true
			}
		}
		if time.Now().After(end) {
			return nil, false
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// passes sends a frame and tells whether it comes out, without waiting longer
// than the switch takes: the account of its way in is read by the workers
// themselves, after it.
func (l *lab) passes(from *labPort, queue int, b []byte, to *labPort) bool {
	l.t.Helper()
	before := l.counters(from.id)
	from.inject(queue, b)
	for range 20000 {
		c := l.counters(from.id)
		if c.In == before.In+1 {
			_, out := to.takes(0)
			return out
		}
		time.Sleep(50 * time.Microsecond)
	}
	l.t.Fatal("a frame was not received")
	return false
}

// counters adds up what the workers have booked for a port.
func (l *lab) counters(id packet.PortID) (sum dataplane.PortCounters) {
	for i := range l.sw.workers {
		l.sw.onWorker(i, func(w *worker) { sum.Add(&w.lane.Counters.Ports[id]) })
	}
	return sum
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 4000 {
		if holds() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("it never came to this: %s", what)
}
