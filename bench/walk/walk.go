// Package walk measures the walk in memory: dataplane.Run on frames that lie
// ready, two endpoints of one segment, policy on, every frame of an
// established TCP session. It is what the switch itself costs a frame, without
// any device.
//
// The sessions come in random order, of the seed; the frames' own bytes are in
// the cache, as they are when a device has just written them.
package walk

import (
	"fmt"
	"math/rand/v2"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/packet"
)

// Case is one way to load the walk.
type Case struct {
	Sessions int
	IMIX     bool // else 64 B
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
	keys     []flow
	order    []uint32 // of keys, as they come
	coming   []flow   // keys in that order, so that to draw one costs no cache miss
	at       int      // in coming
	short    *load
	mixed    *load
	load     *load // one of these
	now      dataplane.Time
}

// flow is what differs between two sessions.
type flow struct{ sport, dport uint16 }

// key is flow number i; the policy lets through as many as 60 million.
func key(i int) flow { return flow{uint16(1024 + i%60000), uint16(1 + i/60000)} }

// NewRig makes a switch with two workload ports and opens its sessions. It
// carries frames of 64 B; Load changes that.
func NewRig(sessions int, seed uint64) (*Rig, error) {
	snapshot, err := newSnapshot(twoRules)
	if err != nil {
		return nil, err
	}
	return newRig(snapshot, sessions, seed)
}

func newRig(snapshot *dataplane.Snapshot, sessions int, seed uint64) (*Rig, error) {
	state, err := newState(uint32(2*sessions+64), 1)
	if err != nil {
		return nil, err
	}
	r := &Rig{worker: dataplane.NewWorker(state, 0, 1), snapshot: snapshot, now: 1e9}
	r.draw(sessions, seed)
	if err := r.open(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// draw makes so many flows, and the order in which they come.
func (r *Rig) draw(sessions int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range sessions {
		r.keys = append(r.keys, key(i))
	}
	for _, k := range random.Perm(sessions) {
		r.order = append(r.order, uint32(k)) // each once: no fewer are open than are told
	}
}

func newState(room uint32, workers int) (*dataplane.State, error) {
	return dataplane.NewState(dataplane.StateConfig{
		Sessions: conntrack.Config{Sessions: room, Ports: packet.MaxPorts, EmbryonicQuota: room},
		FDB:      fdb.Config{Entries: 1024},
		Workers:  workers,
	})
}

// Close frees the tables.
func (r *Rig) Close() {
	_ = r.worker.State.Close()
}

// open builds the loads, and sends the handshake of every session.
func (r *Rig) open() (err error) {
	if r.short, err = newLoad(short); err != nil {
		return err
	}
	if r.mixed, err = newLoad(imix); err != nil {
		return err
	}
	r.Load(false)
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
	r.lineUp()
	return nil
}

// lineUp puts the flows in the order in which they come, side by side: to draw
// them from a table at random would cost a miss that is no switch's.
func (r *Rig) lineUp() {
	for _, k := range r.order {
		r.coming = append(r.coming, r.keys[k])
	}
}

func (r *Rig) one(s *packet.Spec, port packet.PortID) error {
	b, err := packet.Build(*s)
	if err != nil {
		return err
	}
	r.batch.Reset()
	f, buf := r.batch.Next(), make([]byte, packet.Headroom+len(b))
	copy(buf[packet.Headroom:], b)
	f.Begin(buf, packet.Headroom, uint32(len(buf)), port)
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
	for range packet.BatchSize {
		k := r.coming[r.at]
		if r.at++; r.at == len(r.coming) {
			r.at = 0
		}
		r.load.next(r.batch.Next(), k)
	}
	dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	for i := range r.batch.Len() {
		if r.batch.Frame(i).Egress == 1 {
			sent++
		}
	}
	return sent
}
