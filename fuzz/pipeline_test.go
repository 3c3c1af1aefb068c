package fuzz

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/fragment"
	"bulkhead/dataplane/packet"
)

// FuzzPipeline runs programs: frames of the pool, changed or not, sent by
// several ports, with reloads and time in between. Whatever they are,
//
//   - nothing panics, and each frame and copy ends exactly once;
//   - the accounts of every port balance, exactly;
//   - Explain says beforehand what Run does, and moves nothing;
//   - nothing leaves that the policy in force does not allow, in the direction
//     of the packet or of the one it answers;
//   - nothing that a workload sends leaves with an address that is not its own;
//   - no later fragment of a packet leaves before the first;
//   - nothing leaves the way it came in (split horizon), or by a port whose
//     endpoint is not whom it is for, but where the segment floods.
//
// A program is read a byte at a time, as [machine.step] tells.
func FuzzPipeline(f *testing.F) {
	for i := range pool {
		f.Add([]byte{opSend, byte(i)})
		f.Add([]byte{opMutate, 2, 20, 7, 40, 9, opSend, byte(i)})
	}
	for _, p := range programs() {
		f.Add(p)
	}
	m := newMachine(f)
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 256 {
			return
		}
		m.reset(t)
		for m.left = program; len(m.left) > 0; {
			m.step()
		}
	})
}

// TestPoolReachesEverywhere holds the seeds to what they are for: each way of
// leaving is taken by one of them.
func TestPoolReachesEverywhere(t *testing.T) {
	m := newMachine(t)
	m.reset(t)
	for _, p := range programs() {
		for m.left = p; len(m.left) > 0; {
			m.step()
		}
	}
	for what, n := range map[string]int{"frames sent on": m.sent, "copies": m.copies, "answers": m.taken, "tunnels": m.tunnels, "drops": m.dropped, "later fragments": m.parts} {
		if n == 0 {
			t.Errorf("the programs make no %s", what)
		}
	}
}

// The operations of a program.
const (
	opSend   = iota // a frame of the pool, by the port it is usual for
	opFrom          // the same by another port
	opMutate        // the next frame has so many bytes changed
	opTunnel        // the next frame comes by a tunnel
	opTime          // time passes
	opReload        // another generation
	opBurst         // so many frames of the pool, in one batch
	opLeave         // the next frame leaves work to others: a checksum, segments
	ops
)

// programs are conversations, whole.
func programs() [][]byte {
	at := func(name string) byte {
		i := slices.IndexFunc(pool, func(n named) bool { return n.name == name })
		if i < 0 {
			panic("no frame " + name)
		}
		return byte(i)
	}
	send := func(names ...string) (p []byte) {
		for _, n := range names {
			p = append(p, opSend, at(n))
		}
		return p
	}
	var all [][]byte
	for _, v := range []string{"4", "6"} {
		open := send("a_syn"+v, "b_syn_ack"+v, "a_ack"+v, "a_data"+v)
		all = append(all,
			slices.Concat(open, send("b_fin"+v, "a_fin"+v, "b_last_ack"+v, "a_syn"+v, "b_syn_back"+v)),
			slices.Concat(open, []byte{opReload, byte(ruleRevoked)}, send("a_data"+v, "b_fin"+v)),
			slices.Concat(open, []byte{opReload, byte(bMoved)}, send("a_data"+v, "b_rst"+v), []byte{opReload, byte(bAway)}, send("a_data"+v)),
			slices.Concat(open, []byte{opReload, byte(policyGone)}, send("a_data"+v)),
			slices.Concat(send("a_udp"+v, "b_reply_udp"+v), []byte{opTime, 255}, send("b_reply_udp"+v)),
			send("a_routed"+v, "c_reply"+v, "a_routed_ttl_1"+v, "a_routed_too_big"+v, "a_echo_gateway"+v),
			send("a_to_peer"+v, "peer_arp_answer", "a_to_peer"+v, "e_reply"+v, "e_to_a"+v, "tunnel_in_tunnel"+v),
			send("d_to_peer"+v, "peer_nd_answer", "d_to_peer"+v, "d_to_all"+v, "d_to_nobody"+v, "f_to_all"+v, "stranger_to_d"+v, "d_to_nobody"+v),
			slices.Concat([]byte{opReload, byte(mirrored)}, open, send("a_udp"+v, "a_to_peer"+v, "peer_arp_answer", "peer_nd_answer", "a_to_peer"+v, "e_to_a"+v, "d_to_all"+v, "tunnel_in_tunnel"+v, "a_udp_part0_"+v), []byte{opLeave, 255}, send("a_udp"+v)),
			send("a_udp_part0_"+v, "a_udp_part1_"+v, "a_udp_part2_"+v, "a_udp_part2_"+v, "a_udp_part1_"+v, "a_udp_part0_"+v),
			slices.Concat(send("a_udp_part1_"+v, "a_telnet_part0_"+v, "a_udp_part2_"+v), []byte{opTime, 255}, send("a_udp_part0_"+v, "a_udp_part1_"+v)),
			slices.Concat(send("a_udp_part0_"+v), []byte{opReload, byte(ruleRevoked)}, send("a_udp_part1_"+v, "a_udp_part2_"+v)),
			send("a_to_peer_part1_"+v, "a_to_peer"+v, "peer_arp_answer", "peer_nd_answer", "a_to_peer_part0_"+v, "a_to_peer_part1_"+v),
			slices.Concat([]byte{opBurst, 4, at("a_syn" + v), at("b_syn_ack" + v), at("d_to_all" + v), at("a_arp_gateway")}, []byte{opLeave, 1}, send("a_udp"+v)),
		)
	}
	all = append(all, send("a_speaks_as_e", "a_misdirects", "d_behind_c"), send("a_to_peer4", "peer_arp_answer", "e_by_way_of_us"))
	return append(all, send("a_arp_gateway", "d_arp_nobody", "peer_arp_question", "peer_nd_question", "f_arp_for_d"))
}

// machine is a switch under a program.
type machine struct {
	testing.TB
	worker   *dataplane.Worker
	snapshot *dataplane.Snapshot
	always   change                   // of every snapshot
	outcomes []string                 // of every frame so far
	built    [256]*dataplane.Snapshot // by change
	change   change
	now      dataplane.Time
	batch    packet.Batch
	left     []byte // of the program

	edits  []byte // offset and value, for the next frame
	tunnel byte   // the next frame comes by this tunnel, plus one
	leave  byte   // what the next frame leaves to others

	firsts map[whole]packet.Headers // the first fragments that have left

	sent, copies, taken, tunnels, dropped, parts, mirrored int
}

func newMachine(tb testing.TB) *machine {
	return &machine{worker: dataplane.NewWorker(nil, 0, 1), now: int64(1000 * time.Second)}
}

// reset makes all tables new. What the worker keeps besides is its buckets of
// answers, which are full again after a while.
func (m *machine) reset(tb testing.TB) {
	m.TB = tb
	m.now += int64(time.Hour)
	m.outcomes = nil
	m.edits, m.tunnel, m.leave, m.firsts = nil, 0, 0, map[whole]packet.Headers{}
	state, err := dataplane.NewState(dataplane.StateConfig{
		Sessions:  conntrack.Config{Sessions: 64, Ports: ports},
		Fragments: fragment.Config{Packets: 16, Held: 12},
		FDB:       fdb.Config{Entries: 64, PeerQuota: 8},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { state.Close() })
	m.worker.State = state
	clear(m.worker.Counters.Ports[:ports])
	m.reload(1, m.always)
}

func (m *machine) reload(generation uint32, c change) {
	m.change = c
	m.snapshot = m.snapshotOf(generation, c)
	n := 0
	if m.snapshot.Rules != nil {
		n = len(m.snapshot.Rules.Rules)
	}
	m.worker.Counters.Rules = make([]uint64, n+1)
}

// snapshotOf builds the snapshot of a change once, and numbers it anew.
func (m *machine) snapshotOf(generation uint32, c change) *dataplane.Snapshot {
	built := m.built[c]
	if built == nil {
		built = snapshot(m, 0, c)
		m.built[c] = built
	}
	s := *built
	s.Generation = generation
	return &s
}

// next reads a byte of the program; zero behind its end.
func (m *machine) next() byte {
	if len(m.left) == 0 {
		return 0
	}
	v := m.left[0]
	m.left = m.left[1:]
	return v
}

// step takes one operation.
func (m *machine) step() {
	switch m.next() % ops {
	case opSend:
		n := m.named()
		m.send(n.bytes, n.port)
	case opFrom:
		port := packet.PortID(m.next() % ports)
		m.send(m.named().bytes, port)
	case opMutate:
		for range m.next() % 8 {
			m.edits = append(m.edits, m.next(), m.next())
		}
	case opTunnel:
		m.tunnel = m.next()%8 + 1
	case opTime:
		m.now += int64(m.next()) * int64(time.Second)
	case opReload:
		m.reload(m.snapshot.Generation+1, m.always|change(m.next()))
	case opBurst:
		m.burst(int(m.next() % 32))
	case opLeave:
		m.leave = m.next()
	}
}

func (m *machine) named() *named { return &pool[int(m.next())%len(pool)] }

// burst sends frames of the pool in one batch.
func (m *machine) burst(n int) {
	m.batch.Reset()
	for range n {
		f := m.named()
		*m.batch.Next() = *packet.NewFrame(f.bytes, f.port)
	}
	m.run(n)
}

// send sends one frame, with what the program has said of it, and holds Run to
// what Explain says.
func (m *machine) send(b []byte, port packet.PortID) {
	b = slices.Clone(b)
	for i := 0; i+1 < len(m.edits); i += 2 {
		if at := int(m.edits[i]); at < len(b) {
			b[at] = m.edits[i+1]
		}
	}
	if len(m.edits) > 0 && m.edits[0]&1 == 0 {
		repair(b)
	}
	if m.tunnel != 0 {
		b, port = tunnel(int(m.tunnel-1)&1, []uint32{100, 102, 100, 7}[m.tunnel>>1&3], b), uplink
	}
	offload := m.offload()
	m.edits, m.tunnel, m.leave = nil, 0, 0

	before := m.state()
	m.batch.Reset()
	*m.batch.Next() = *packet.NewFrame(b, port)
	m.batch.Frame(0).Offload = offload
	dataplane.Explain(m.worker, m.snapshot, m.now, &m.batch)
	foretold := outcome(m.batch.Frame(0))
	if after := m.state(); after != before {
		m.Fatalf("Explain moved\n%+v\nto\n%+v", before, after)
	}
	m.batch.Reset()
	*m.batch.Next() = *packet.NewFrame(b, port)
	m.batch.Frame(0).Offload = offload
	m.run(1)
	if ended := outcome(m.batch.Frame(0)); ended != foretold && !slices.Contains(bounds, m.batch.Frame(0).Reason) {
		m.Fatalf("port %d, %x\nExplain says %s\nRun does     %s", port, b, foretold, ended)
	}
}

// bounds are the reasons that Explain does not foretell: bounds on all frames.
var bounds = []drop.Reason{drop.SessionQuota, drop.SessionFull, drop.RateLimited, drop.FloodFull, drop.NATQuota, drop.NATFull}

// offload is what the next frame leaves to others.
func (m *machine) offload() packet.Offload {
	if m.leave == 0 {
		return packet.Offload{}
	}
	return packet.Offload{
		Checksum: packet.Checksum(m.leave & 3), GSO: packet.GSO(m.leave >> 2 & 7), Size: uint16(m.leave>>5) * 4,
		CsumStart: 34, CsumOffset: uint16(m.leave>>4&1)*10 + 6,
	}
}

func outcome(f *packet.Frame) string {
	return fmt.Sprintf("%s, port %d, taken in %v, rule %d", f.Reason, f.Egress, f.Consumed, f.Rule)
}

// state is all that Explain must not move.
type state struct {
	sessions   conntrack.Stats
	macs       fdb.Stats
	neighbours int
	rules      [8]uint64
	ports      [ports]dataplane.PortCounters
}

func (m *machine) state() (s state) {
	m.worker.State.Sessions.Each(func(t *conntrack.Table) { s.sessions = t.Stats() })
	s.sessions.Expired, s.sessions.Sessions, s.sessions.Embryonic = 0, 0, 0 // a look-up buries what is dead
	s.macs, s.neighbours = m.worker.State.FDB.Stats(), m.worker.State.Neighbours.Len()
	copy(s.rules[:], m.worker.Counters.Rules)
	copy(s.ports[:], m.worker.Counters.Ports)
	return s
}
