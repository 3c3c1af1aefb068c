package dataplane

import (
	"fmt"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
)

// Renumbering says what the numbers of another process are called here. What has no
// number here any more is not in it: what went by it is forgotten.
type Renumbering struct {
	Ports    map[packet.PortID]packet.PortID
	Zones    map[uint16]uint16
	Segments map[uint16]uint16
	Peers    map[uint16]uint16
}

// Restored is what came of the remains of another process.
type Restored struct {
	Sessions, Translations, MACs int // taken in
	Torn                         int // not whole
	Unknown                      int // of a port, VRF, segment or peer that is no more
	Refused                      int // their time was over, or there was no room
}

// Restore takes in what another process has left, by the numbers of this one. Sessions
// are of generation 0: the next packet of each is judged again. It is called before the
// first packet, when the bounds of all ports are set, with the time of the same clock
// as the other process had.
func (s *State) Restore(r *Remains, n *Renumbering, now Time) (Restored, error) {
	x := restoring{state: s, n: n, now: now}
	s.samePairing(r)
	sessions, mappings, entries := r.parts(r.mem)
	if err := x.translations(mappings, r); err != nil {
		return x.Restored, err
	}
	for _, part := range sessions {
		torn, err := conntrack.Survivors(part, r.sessions, r.seal, x.session)
		if err != nil {
			return x.Restored, fmt.Errorf("sessions: %w", err)
		}
		x.Torn += torn
	}
	x.Translations = x.adoption.End(now)
	torn, err := fdb.Survivors(entries, int(r.entries), x.mac)
	if err != nil {
		return x.Restored, fmt.Errorf("learned MACs: %w", err)
	}
	x.Torn += torn
	return x.Restored, nil
}

// samePairing has who has an address of a pool keep it.
func (s *State) samePairing(r *Remains) {
	s.NAT.Pair(r.pairing)
	if s.keeping != nil {
		s.keeping.pairing = r.pairing
		s.keeping.writeHead()
	}
}

// restoring is a Restore under way.
type restoring struct {
	Restored
	state    *State
	n        *Renumbering
	now      Time
	adoption *nat.Adoption
}

// translations takes the address translations in, which the sessions then hold.
func (x *restoring) translations(part []byte, r *Remains) error {
	list, torn, err := nat.Survivors(part, r.mappings, r.seal)
	if err != nil {
		return fmt.Errorf("address translations: %w", err)
	}
	x.Torn += torn
	x.adoption = x.state.NAT.Adopt()
	for i := range list {
		m := &list[i]
		zone, known := x.n.Zones[m.Zone]
		account, charged := m.Account()
		if charged && known {
			account, known = x.account(account)
		}
		switch {
		case !known:
			x.Unknown++
		case x.adoption.Take(m, zone, account) != drop.None:
			x.Refused++
		}
	}
	return nil
}

// account is who is charged by now for whom was: a port, or a peer (bucketOf).
func (x *restoring) account(was uint16) (is uint16, known bool) {
	if was < packet.MaxPorts {
		port, known := x.n.Ports[packet.PortID(was)]
		return uint16(port), known
	}
	peer, known := x.n.Peers[was-packet.MaxPorts]
	return packet.MaxPorts + peer%peerBuckets, known
}

// session takes one session in.
func (x *restoring) session(old *conntrack.Session, tag uint32) {
	key := old.Key
	zone, known1 := x.n.Zones[key.Zone]
	owner, known2 := x.n.Ports[old.Owner()]
	if !known1 || !known2 {
		x.Unknown++
		return
	}
	key.Zone = zone
	hash := x.state.Sessions.hash(&key)
	table := x.state.Sessions.shard(hash).table
	s, reason := table.Adopt(old, key, owner, hash, x.now)
	if reason != drop.None {
		x.Refused++
		return
	}
	if tag != 0 {
		ours, found := x.adoption.Hold(tag, &key)
		if !found || !table.SetTag(s, ours) {
			table.Remove(s) // without its translation it is another connection
			x.Unknown++
			return
		}
	}
	x.Sessions++
}

// mac learns one MAC again. MACs are learned behind peers alone (learn), so a row that
// says one is at a port was not written by a switch that was well: it would take frames
// of a segment to a port of another.
func (x *restoring) mac(segment uint16, mac packet.MAC, d fdb.Dest, seen Time) {
	if d.Peer == fdb.NoPeer {
		x.Refused++
		return
	}
	segment, known := x.n.Segments[segment]
	peer, known2 := x.n.Peers[d.Peer]
	d.Peer = peer
	switch {
	case !known || !known2:
		x.Unknown++
	case x.state.FDB.Adopt(segment, mac, d, seen, x.now) == fdb.Refused:
		x.Refused++
	default:
		x.MACs++
	}
}
