package vswitch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// sim is one simulated host: the switch, what is around it, and what is known of both
// by the test's own book-keeping.
type sim struct {
	rng      *rand.Rand
	disk     *simDisk
	sw       *Switch
	log      io.Writer
	workers  int
	depth    int // frames that a ring holds
	rings    bool
	limits   string       // more lines of [limits]
	offset   atomic.Int64 // of the wall's clock, in nanoseconds
	breaks   map[string]bool
	notUp    map[string]*atomic.Bool
	sleeping map[string]bool // nobody takes what the port sends

	mu     sync.Mutex // guards what follows: the switch opens ports on goroutines of its own
	ports  map[string]*simPort
	all    []*simPort
	wrongs []string

	// The model.
	policy     *simPolicy            // in force; nil: none
	onDisk     *simPolicy            // what the file holds
	generation uint64                // of the last policy drawn
	kept       map[uint64]bool       // what policy_state may say
	declared   []string              // ports of the configuration
	who        map[string]*simMember // endpoints
	opened     map[simFlow]bool      // flows of which a frame has been delivered
	sent       map[uint32]*simFrame
	late       []*simFrame     // those in the ring of a port that could not be received from
	mutants    map[string]bool // ports at which a frame without a mark may come
	id         uint32
	sport      uint16
	did        []string
	counts     map[string]int
}

// simMember is an endpoint.
type simMember struct {
	n     int
	port  string
	label string
}

// simFrame is one that was sent: to which port it may come, and whether it must.
type simFrame struct {
	flow      simFlow
	to        string
	may, must bool
	came      int
	sort      string
	from      string
	bytes     []byte
	also      map[string]bool // ports to which it may come because it was received later; nil: at once
}

const (
	simPolicyFile = "/sim/policy.bhp"
	simState      = "/sim/generation"
	simMark       = "simulated!"
	simEndpoints  = 6
	simPortCount  = 5
)

func newSim(seed uint64, log io.Writer) *sim {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := &sim{
		rng: rng, disk: newSimDisk(rng), log: log, workers: 1 + int(seed%2), depth: 16 << rng.IntN(4), rings: rng.IntN(2) == 0,
		limits: "sessions = 4096", breaks: map[string]bool{}, notUp: map[string]*atomic.Bool{}, sleeping: map[string]bool{}, ports: map[string]*simPort{},
		kept: map[uint64]bool{0: true}, who: map[string]*simMember{}, opened: map[simFlow]bool{}, sent: map[uint32]*simFrame{},
		mutants: map[string]bool{}, sport: 1024, counts: map[string]int{},
	}
	for i := range simPortCount {
		s.notUp[simPortName(i)] = &atomic.Bool{}
		s.declared = append(s.declared, simPortName(i))
	}
	return s
}

// wrong notes what must not be.
func (s *sim) wrong(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrongs = append(s.wrongs, fmt.Sprintf(format, args...))
}

// did notes what was done, for whoever reads a failure.
func (s *sim) note(format string, args ...any) { s.did = append(s.did, fmt.Sprintf(format, args...)) }

func (s *sim) wall() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// config is the text of a configuration with some ports.
func (s *sim) config(ports []string) string {
	text := fmt.Sprintf("control = \"/sim/s.sock\"\nmetrics = \"\"\npolicy = %q\npolicy_state = %q\npolicy_keys = [%q]\nworkers = %d\n[limits]\nframes = 8192\n%s\n[[segments]]\nname = \"s\"\n",
		simPolicyFile, simState, inline(1), s.workers, s.limits)
	for i, name := range ports {
		text += fmt.Sprintf("[[ports]]\nname = %q\nsegment = \"s\"\nnetns = %q\nqueues = %d\n", name, name, 1+i%2)
	}
	return text
}

func (s *sim) parsed(ports []string) (*config.Config, error) {
	return config.Parse("/sim/bulkhead.toml", []byte(s.config(ports)))
}

// starts makes and starts a switch, as a start of the daemon does.
func (s *sim) starts() error {
	cfg, err := s.parsed(s.declared)
	if err != nil {
		return err
	}
	around := world{poller: newSimPoller, thread: func() {}, disk: s.disk}
	if s.sw, err = newSwitch(cfg, s.open, Apart{}, around, slog.New(slog.NewTextHandler(s.log, nil))); err != nil {
		s.sw = nil
		return err
	}
	s.sw.wall = s.wall
	if err := s.sw.Start(); err != nil {
		s.sw = nil
		return err
	}
	return nil
}

// open is the Opener.
func (s *sim) open(c *config.Port, o Opening) (port.Port, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.breaks[c.Name] {
		return nil, fmt.Errorf("the namespace is not there")
	}
	m, err := mem.New(mem.Config{Name: c.Name, Port: o.ID, MTU: c.MTU, Queues: c.Queues, Depth: s.depth})
	if err != nil {
		return nil, err
	}
	p := &simPort{Port: m, s: s, name: c.Name, notUp: s.notUp[c.Name]}
	for _, q := range m.Queues() {
		own := simQueue{Queue: q, p: p}
		if s.rings {
			own.ring = newSimRing(o.Region)
			p.rings = append(p.rings, own.ring)
		}
		p.queues = append(p.queues, own)
	}
	s.ports[c.Name] = p
	s.all = append(s.all, p)
	return p, nil
}

// port is the port of a name that was opened last.
func (s *sim) port(name string) *simPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports[name]
}

// settles lets everything that is under way come to its end, and takes what came out.
func (s *sim) settles() {
	for range 3 { // what one worker sends on may be the next thing for another
		for _, w := range s.sw.workers {
			w.epoll.Wake()
		}
		synctest.Wait()
		s.rejudges()
		s.takes()
	}
}

// takes takes what every port has sent and holds it against what may be.
func (s *sim) takes() {
	s.mu.Lock()
	all := slices.Clone(s.all)
	s.mu.Unlock()
	for _, p := range all {
		if s.sleeping[p.name] {
			continue
		}
		for q := range p.queues {
			for {
				f, ok := p.Take(q)
				if !ok {
					break
				}
				s.delivered(p, f.Bytes)
			}
		}
	}
}

// delivered judges one frame that came out of a port.
func (s *sim) delivered(p *simPort, b []byte) {
	id, marked := numberOf(b)
	if !marked {
		if _, is := flowOf(b); is && !s.mutants[p.name] {
			s.wrong("port %s: a frame that nobody sent: %x", p.name, b)
		}
		return
	}
	f := s.sent[id]
	if f == nil {
		s.wrong("port %s: a frame of an unknown number: %x", p.name, b)
		return
	}
	if f.came++; !f.also[p.name] && (!f.may || f.to != p.name) || f.came > 1 {
		s.wrong("%s: delivered to %s, %d times; may it be: %v, to %s: %+v", f.sort, p.name, f.came, f.may, f.to, f.flow)
	}
	s.counts["delivered"]++
	s.opened[f.flow] = true
}

// send puts a frame into a port, and works out beforehand what may become of it. sure
// says that the sender expects it to arrive if the policy allows it.
func (s *sim) send(sort, from string, b []byte, sure bool) {
	f := s.expects(sort, from, b)
	p := s.port(from)
	if p == nil || p.closed.Load() {
		return
	}
	queue := s.rng.IntN(len(p.queues))
	if p.Inject(queue, b, packet.Offload{}) != nil {
		return // no link, or no room
	}
	s.counts["sent"]++
	to := s.port(f.to)
	f.must = sure && f.may && p.well() && to.well() && !s.sleeping[f.to] && !s.sleeping[from]
	s.settles()
	if f.must && f.came == 0 {
		s.wrong("%s: from %s to %s was not delivered, and the policy allows it: %+v; %v", sort, from, f.to, f.flow, s.drops(from))
	}
}

// expects works out what may become of a frame, if it is received now.
func (s *sim) expects(sort, from string, b []byte) *simFrame {
	f := &simFrame{sort: sort, from: from, bytes: b}
	f.flow, f.to, f.may = s.judge(from, b)
	id, marked := numberOf(b)
	if marked {
		s.sent[id] = f
	} else if f.may {
		s.mutants[f.to] = true
	}
	if p := s.port(from); p != nil && p.deaf.Load() { // it is received whenever that is over
		s.late = append(s.late, f)
		f.also = map[string]bool{}
	}
	return f
}

// judge says to which port a frame may come that is received by another now.
func (s *sim) judge(from string, b []byte) (flow simFlow, to string, may bool) {
	flow, ok := flowOf(b)
	if !ok {
		return flow, "", false
	}
	src, dst := s.member(flow.src), s.member(flow.dst)
	if src == nil || dst == nil || src == dst || src.port != from || flow.srcMAC != simMAC(src.n) || flow.dstMAC != simMAC(dst.n) || dst.port == from {
		return flow, "", false
	}
	back, now := flow.back(), s.wall()
	may = s.policy.allows(src.label, dst.label, flow.port(), now) || s.opened[back] && s.policy.allows(dst.label, src.label, back.port(), now)
	return flow, dst.port, may
}

// rejudges takes in that what waits to be received may be received by now.
func (s *sim) rejudges() {
	s.late = slices.DeleteFunc(s.late, func(f *simFrame) bool { return f.came > 0 })
	for _, f := range s.late {
		if _, to, may := s.judge(f.from, f.bytes); may {
			f.also[to] = true
			if _, marked := numberOf(f.bytes); !marked {
				s.mutants[to] = true
			}
		}
	}
}

// numberOf is the number of a frame, if it is all there.
func numberOf(b []byte) (id uint32, marked bool) {
	at := bytes.Index(b, []byte(simMark))
	if at < 0 || len(b) < at+len(simMark)+4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[at+len(simMark):]), true
}

func (s *sim) member(n byte) *simMember { return s.who[fmt.Sprintf("e%d", n)] }

func simMAC(n int) [6]byte { return [6]byte{2, 0, 0, 0, 0, byte(n)} }

// frame makes one with a number of its own.
func (s *sim) frame(from, to int, f simFlow) []byte {
	s.id++
	proto, flags := uint8(packet.ProtoUDP), uint8(0)
	if f.proto == "tcp" {
		proto, flags = packet.ProtoTCP, 2
	}
	b, err := packet.Build(packet.Spec{
		SrcMAC: simMAC(from), DstMAC: simMAC(to), Src: packet.AddrFrom(netipOf(from)), Dst: packet.AddrFrom(netipOf(to)),
		Proto: proto, SrcPort: f.sport, DstPort: f.dport, TCPFlags: flags,
		Payload: binary.BigEndian.AppendUint32([]byte(simMark), s.id),
	})
	if err != nil {
		panic(err)
	}
	return b
}

// drops is what a port's frames were dropped for.
func (s *sim) drops(name string) map[string]uint64 {
	list, err := s.sw.Control("", nil).Ports()
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(list, func(p api.Port) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return list[i].Drops
}

// books holds the accounts of all ports, and of all chunks, against each other.
func (s *sim) books() {
	list, err := s.sw.Control("", nil).Ports()
	if err != nil {
		s.wrong("ports: %v", err)
		return
	}
	for _, p := range list {
		sum := p.Out + p.Consumed
		for _, r := range drop.All() {
			if r.Stage() != "rx" {
				sum += p.Drops[r.String()]
			}
		}
		if p.In+p.Copies != sum {
			s.wrong("the account of %s does not balance: %+v", p.Name, p)
		}
	}
	s.sw.mu.Lock()
	missing := s.sw.closeBooks(time.Now().Add(time.Hour), 0)
	s.sw.mu.Unlock()
	if missing != 0 {
		s.wrong("%d chunks of frame memory are missing", missing)
	}
}
