// Package walk measures the walk in memory: dataplane.Run on frames that lie
// ready, two endpoints of one segment, policy on, every frame of an
// established TCP session. It is what the switch itself costs a frame, without
// any device.
package walk

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"bulkhead/bench/report"
	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
)

// Case is one way to load the walk.
type Case struct {
	Sessions int
	IMIX     bool // 64, 570 and 1518 B as 7:4:1 on the wire, 4 less in memory; else 64 B
}

// Name writes the case for a table.
func (c Case) Name() string {
	size := "64 B"
	if c.IMIX {
		size = "IMIX"
	}
	return fmt.Sprintf("%s, %d sessions", size, c.Sessions)
}

// Cases are the ones that vsbench runs.
func Cases() []Case {
	var out []Case
	for _, n := range []int{1, 1000, 100_000, 1_000_000} {
		out = append(out, Case{Sessions: n}, Case{Sessions: n, IMIX: true})
	}
	return out
}

// Rig is a switch in memory with its sessions open.
type Rig struct {
	worker   *dataplane.Worker
	snapshot *dataplane.Snapshot
	batch    packet.Batch
	bufs     [packet.BatchSize][]byte
	keys     []flow
	order    []uint32
	at       int
	sizes    []int
	now      dataplane.Time
}

// flow is what differs between two sessions.
type flow struct{ sport, dport uint16 }

var (
	macA, macB = packet.MAC{2, 0, 0, 0, 0, 1}, packet.MAC{2, 0, 0, 0, 0, 2}
	ipA, ipB   = packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.AddrFrom4([4]byte{10, 0, 0, 2})
)

// NewRig makes a switch with two workload ports and opens the sessions of c.
func NewRig(c Case, seed uint64) (*Rig, error) {
	snapshot, err := newSnapshot()
	if err != nil {
		return nil, err
	}
	sessions, err := dataplane.NewSessions(conntrack.Config{Sessions: uint32(2*c.Sessions + 64), Ports: packet.MaxPorts, EmbryonicQuota: uint32(2*c.Sessions + 64)}, 1)
	if err != nil {
		return nil, err
	}
	macs, err := fdb.New(fdb.Config{Entries: 1024})
	if err != nil {
		return nil, err
	}
	state := &dataplane.State{Sessions: sessions, FDB: macs, Neighbours: route.NewNeighbours()}
	r := &Rig{worker: dataplane.NewWorker(state, 0, 1), snapshot: snapshot, now: 1e9, sizes: []int{60}}
	if c.IMIX {
		r.sizes = []int{60, 566, 60, 60, 566, 60, 1514, 60, 566, 60, 60, 566}
	}
	for i := range r.bufs {
		r.bufs[i] = make([]byte, 2048)
	}
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range c.Sessions {
		r.keys = append(r.keys, flow{uint16(1024 + i%60000), uint16(1 + i/60000)})
	}
	for range max(c.Sessions, packet.BatchSize) {
		r.order = append(r.order, uint32(random.IntN(c.Sessions)))
	}
	return r, r.open()
}

// Close frees the tables.
func (r *Rig) Close() { r.worker.State.Sessions.Close() }

func newSnapshot() (*dataplane.Snapshot, error) {
	rs := &policy.Ruleset{
		Sets: []policy.Set{
			{Kind: policy.KindAny, Name: "any"},
			{Kind: policy.KindService, Name: "a", Selector: policy.Selector{{{Key: "s", Op: policy.OpIn, Values: []string{"a"}}}}},
			{Kind: policy.KindService, Name: "b", Selector: policy.Selector{{{Key: "s", Op: policy.OpIn, Values: []string{"b"}}}}},
		},
		Rules: []policy.Rule{
			{Name: "no-telnet", Verdict: policy.Deny, From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: []policy.Port{{Proto: 17, SrcHi: 65535, DstLo: 23, DstHi: 23}}},
			{Name: "a-to-b", Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{2}, Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: 1, DstHi: 1000}}},
		},
	}
	b := identity.NewBuilder()
	b.Endpoint(identity.Endpoint{Name: "a", Zone: 1, MAC: macA, Port: 0, Peer: identity.NoPeer}, []identity.Address{{Addr: ipA, Sets: []uint32{0, 1}}}, nil)
	b.Endpoint(identity.Endpoint{Name: "b", Zone: 1, MAC: macB, Port: 1, Peer: identity.NoPeer}, []identity.Address{{Addr: ipB, Sets: []uint32{0, 2}}}, nil)
	table, err := b.Build()
	if err != nil {
		return nil, err
	}
	engine, err := classify.Link(rs, table.AllSets())
	if err != nil {
		return nil, err
	}
	routes := route.NewBuilder()
	routes.Connected(1, netip.MustParsePrefix("10.0.0.0/24"), 0)
	rt, err := routes.Build()
	if err != nil {
		return nil, err
	}
	return &dataplane.Snapshot{
		Generation: 1,
		Ports:      []dataplane.Port{{Role: dataplane.RoleWorkload, MTU: 1500}, {Role: dataplane.RoleWorkload, MTU: 1500}},
		Segments:   []dataplane.Segment{{Zone: 1, MTU: 1500, Ports: []packet.PortID{0, 1}}},
		Identity:   table, Policy: engine, Rules: rs, Routes: rt,
		Underlay: dataplane.Underlay{Port: packet.NoPort},
	}, nil
}

// open sends the handshake of every session.
func (r *Rig) open() error {
	for _, k := range r.keys {
		there := packet.Spec{SrcMAC: macA, DstMAC: macB, Src: ipA, Dst: ipB, Proto: packet.ProtoTCP, SrcPort: k.sport, DstPort: k.dport}
		back := packet.Spec{SrcMAC: macB, DstMAC: macA, Src: ipB, Dst: ipA, Proto: packet.ProtoTCP, SrcPort: k.dport, DstPort: k.sport}
		there.TCPFlags, there.Seq = packet.TCPSyn, 999
		back.TCPFlags, back.Seq, back.Ack = packet.TCPSyn|packet.TCPAckFlag, 1999, 1000
		for _, step := range []struct {
			s    *packet.Spec
			port packet.PortID
		}{{&there, 0}, {&back, 1}} {
			if err := r.one(step.s, step.port); err != nil {
				return err
			}
		}
		there.TCPFlags, there.Seq, there.Ack = packet.TCPAckFlag, 1000, 2000
		if err := r.one(&there, 0); err != nil {
			return err
		}
	}
	data := packet.Spec{SrcMAC: macA, DstMAC: macB, Src: ipA, Dst: ipB, Proto: packet.ProtoTCP, TCPFlags: packet.TCPAckFlag, Seq: 1000, Ack: 2000}
	for i := range r.bufs {
		data.Payload = make([]byte, r.sizes[i%len(r.sizes)]-54)
		b, err := packet.Build(data)
		if err != nil {
			return err
		}
		copy(r.bufs[i][packet.Headroom:], b)
	}
	return nil
}

func (r *Rig) one(s *packet.Spec, port packet.PortID) error {
	b, err := packet.Build(*s)
	if err != nil {
		return err
	}
	r.batch.Reset()
	f := r.batch.Next()
	copy(r.bufs[0][packet.Headroom:], b)
	f.Begin(r.bufs[0], packet.Headroom, uint32(packet.Headroom+len(b)), port)
	dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	if f.Egress == packet.NoPort {
		return fmt.Errorf("a frame of a session's handshake was dropped: %s", f.Reason)
	}
	return nil
}

// Batch carries one batch of data frames, of random sessions, through the
// walk; it returns how many were sent on, which is all of them.
func (r *Rig) Batch() (sent int) {
	r.batch.Reset()
	for i := range packet.BatchSize {
		k := r.keys[r.order[r.at]]
		if r.at++; r.at == len(r.order) {
			r.at = 0
		}
		buf := r.bufs[i]
		buf[packet.Headroom+34], buf[packet.Headroom+35] = byte(k.sport>>8), byte(k.sport)
		buf[packet.Headroom+36], buf[packet.Headroom+37] = byte(k.dport>>8), byte(k.dport)
		f := r.batch.Next()
		f.Begin(buf, packet.Headroom, uint32(packet.Headroom+r.sizes[i%len(r.sizes)]), 0)
		f.Offload.Checksum = packet.ChecksumGood
	}
	dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	for i := range r.batch.Len() {
		if r.batch.Frame(i).Egress == 1 {
			sent++
		}
	}
	return sent
}

// Measure runs every case in turn, round after round, and returns ns a frame.
func Measure(cases []Case, rounds int, each time.Duration, progress func(string)) ([]report.Figure, error) {
	figures := make([]report.Figure, len(cases))
	for i, c := range cases {
		figures[i] = report.Figure{Scenario: "walk", Case: c.Name(), Subject: "bulkhead", Unit: "ns/frame", Better: "lower"}
		rig, err := NewRig(c, 1)
		if err != nil {
			return nil, err
		}
		for round := range rounds {
			progress(fmt.Sprintf("walk: %s, round %d of %d", c.Name(), round+1, rounds))
			ns, err := rig.time(each)
			if err != nil {
				rig.Close()
				return nil, err
			}
			figures[i].Rounds = append(figures[i].Rounds, ns)
		}
		rig.Close()
	}
	return figures, nil
}

// time returns ns a frame over at least the duration.
func (r *Rig) time(each time.Duration) (float64, error) {
	for range 50 {
		r.Batch() // warm
	}
	frames := 0
	start := time.Now()
	for time.Since(start) < each {
		for range 100 {
			n := r.Batch()
			if n != packet.BatchSize {
				return 0, fmt.Errorf("%d of %d frames were sent on", n, packet.BatchSize)
			}
			frames += n
		}
	}
	return float64(time.Since(start).Nanoseconds()) / float64(frames), nil
}
