package vswitch

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/internal/sys"
)

// A switch that dies leaves the port helper its ports, and a memory file with what
// packets have made: sessions, address translations, learned MACs (dataplane/keep.go).
// The next one takes both over, before the first of its frames. Connections go on: their
// next packet is judged anew, by the policy that this switch has loaded and by who its
// addresses are now, and passes without having to begin again.
//
// Numbers are each switch's own. Which was whose the dead one has noted; what is known
// by the same name here goes on under the number that it has here, the rest is forgotten.
//
// What cannot be taken over is left alone, and the switch begins cold: nothing passes
// that the policy does not let begin anew. The log and the status say why. Not kept are
// neighbours and who listens to which group, who are asked again, fragments, counters,
// and what the API and sources have stated: they state it again, and the policy denies
// an endpoint that nobody has stated.

// KeepMemory makes the memory of what packets make, for the switch of a configuration:
// a memory file, which outlives the process if another one has its descriptor.
func KeepMemory(cfg *config.Config) (mem []byte, fd int, err error) {
	return sys.MapShared("bulkhead-state", dataplane.KeepSize(stateConfig(cfg)))
}

// Inherit gives the switch what the one before has left, which it unmaps; nil: nothing.
// cold is why there is nothing, though something was left; it is said in the log and the
// status. It is called before Start, which takes over what it can.
func (sw *Switch) Inherit(remains []byte, cold error) { sw.remains, sw.cold = remains, cold }

// note is what a switch notes of its numbers: ports and VRFs by number, segments and
// peers by their place. Ports that are gone are in it, too: sessions may be charged to
// one that has come back under another number.
type note struct {
	Ports    []string
	Zones    map[string]uint16
	Segments []string
	Peers    []string
}

// leaveNote notes the numbers that the next snapshot goes by, before anything does.
func (sw *Switch) leaveNote(ids map[string]packet.PortID, zones zones, names *dataplane.Names) {
	for name, id := range ids {
		for int(id) >= len(sw.noted.Ports) {
			sw.noted.Ports = append(sw.noted.Ports, "")
		}
		sw.noted.Ports[id] = name
	}
	sw.noted.Zones, sw.noted.Segments, sw.noted.Peers = zones.of, names.Segments, names.Peers
	text, err := json.Marshal(sw.noted)
	if err == nil && bytes.Equal(text, sw.notedText) {
		return
	}
	if err == nil {
		err = sw.state.Note(text)
	}
	if err != nil { // an older note would call new numbers by old names
		sw.log.Warn("state-not-kept", "error", err, "effect", "the next switch begins without sessions")
		text = nil
		_ = sw.state.Note(text)
	}
	sw.notedText = text
}

// takeOver takes in what the switch before has left, for the snapshot that is about to
// be the first. No worker runs yet.
func (sw *Switch) takeOver(p *plan, snapshot *dataplane.Snapshot, zones zones) {
	for _, id := range p.added {
		if p.open[id].port.Info().Inherited {
			sw.took.Ports++
		}
		sw.boundSessions(id, snapshot.Ports[id].Role)
	}
	begun, err := time.Now(), sw.cold
	switch {
	case sw.remains != nil:
		err = sw.restore(p, snapshot, zones)
		_ = sys.Unmap(sw.remains)
		sw.remains = nil
	case err == nil:
		return
	}
	t := &sw.took
	if err != nil {
		t.Cold = err.Error()
		sw.log.Warn("cold-start", "error", err, "ports", t.Ports, "effect", "what was open must begin anew; until then nothing of it passes")
		return
	}
	sw.log.Info("taken-over", "ports", t.Ports, "sessions", t.Sessions, "translations", t.Translations, "macs", t.MACs,
		"torn", t.Torn, "unknown", t.Unknown, "refused", t.Refused, "took", time.Since(begun))
}

// restore fills the tables.
func (sw *Switch) restore(p *plan, snapshot *dataplane.Snapshot, zones zones) error {
	r, err := dataplane.OpenRemains(sw.remains)
	if err != nil {
		return err
	}
	var was note
	if err := json.Unmarshal(r.Note(), &was); err != nil {
		return errors.New("the switch before has not noted whose its numbers are")
	}
	got, err := sw.state.Restore(r, was.renumbering(p, snapshot, zones), sw.now())
	t := &sw.took
	t.Sessions, t.Translations, t.MACs = got.Sessions, got.Translations, got.MACs
	t.Torn, t.Unknown, t.Refused = got.Torn, got.Unknown, got.Refused
	return err
}

// renumbering says what the numbers of the note are called here.
func (n *note) renumbering(p *plan, snapshot *dataplane.Snapshot, zones zones) *dataplane.Renumbering {
	r := &dataplane.Renumbering{
		Ports: map[packet.PortID]packet.PortID{}, Zones: map[uint16]uint16{},
		Segments: places(n.Segments, snapshot.Names.Segments), Peers: places(n.Peers, snapshot.Names.Peers),
	}
	for was, name := range n.Ports {
		if is, there := p.ids[name]; there && was < packet.MaxPorts {
			r.Ports[packet.PortID(was)] = is
		}
	}
	for name, was := range n.Zones {
		if is, there := zones.of[name]; there {
			r.Zones[was] = is
		}
	}
	return r
}

// places says where in one list is what another has at a place.
func places(was, is []string) map[uint16]uint16 {
	at := map[string]int{}
	for i, name := range is {
		at[name] = i
	}
	out := map[uint16]uint16{}
	for i, name := range was {
		if to, there := at[name]; there {
			out[uint16(i)] = uint16(to)
		}
	}
	return out
}

// boundSessions bounds the sessions of a port. The caller has the table: it is the
// worker, or there is none yet.
func (sw *Switch) boundSessions(id packet.PortID, role dataplane.Role) {
	sessions, embryonic := uint32(sw.cfg.Limits.SessionsPerPort), uint32(sw.cfg.Limits.EmbryonicPerPort)
	if role == dataplane.RoleUplink {
		sessions, embryonic = 0, uint32(sw.cfg.Limits.Sessions)
	}
	shards := uint32(sw.state.Sessions.Shards())
	sw.state.Sessions.Each(func(t *conntrack.Table) {
		t.SetQuota(id, share(sessions, shards), share(embryonic, shards))
	})
}

// Leave ends the switch as a kill would, but between two batches, so that no frame is in
// hand: its ports stay open, and what packets have made stays in the memory that was
// given, for the next switch. The process ends after it.
func (sw *Switch) Leave() {
	if !sw.goDown() || sw.live.Load() == nil {
		return
	}
	for _, ended := range []chan struct{}{sw.mended, sw.watched, sw.timed, sw.canary.ended} {
		<-ended
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for _, w := range slices.Backward(sw.workers) {
		w.halt()
		<-w.stopped
	}
	sw.journal.close()
	<-sw.reported
}
