package dataplane

import (
	"slices"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// Arrival is an address of an endpoint that has come to this host with open
// connections.
type Arrival struct {
	Zone  uint16
	Addr  packet.Addr
	Until Time // then it is an endpoint as any other
}

// Arrivals are the endpoints of which connections may be taken up in mid-stream.
type Arrivals struct{ list []Arrival }

// MaxArrivals bounds the addresses in Arrivals: a segment that opens nothing looks
// for its own in twelve steps.
const MaxArrivals = 4096

// NewArrivals makes arrivals of a list, of which it takes MaxArrivals; nil if it is
// empty.
func NewArrivals(list []Arrival) *Arrivals {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list[:min(len(list), MaxArrivals)])
	slices.SortFunc(list, func(a, b Arrival) int { return compareArrival(&a, b.Zone, &b.Addr) })
	return &Arrivals{list}
}

func compareArrival(a *Arrival, zone uint16, addr *packet.Addr) int {
	if a.Zone != zone {
		return int(a.Zone) - int(zone)
	}
	return slices.Compare(a.Addr[:], addr[:])
}

// has tells whether an address is of one that has come of late.
func (a *Arrivals) has(zone uint16, addr *packet.Addr, now Time) bool {
	low, high := 0, len(a.list)
	for low < high {
		mid := (low + high) / 2
		if compareArrival(&a.list[mid], zone, addr) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(a.list) && a.list[low].Until > now && compareArrival(&a.list[low], zone, addr) == 0
}

// pickUp takes up the connection of a segment in mid-stream, if it is of an endpoint
// that has come to this host of late: in the direction in which the policy allows
// it to be opened, the packet's own first. taken is false if the packet is to be
// judged as any other: what the policy does not allow in either direction, what
// needs no session, and what is translated, whose translation the old host had.
func (x *walk) pickUp(table *conntrack.Table, hash uint64, f *packet.Frame, p *passage) (reason drop.Reason, taken bool) {
	h := &f.Headers
	if !conntrack.MidStream(f) || x.s.Policy == nil ||
		!x.s.Arrivals.has(p.seg.Zone, &h.Key.Src, x.now) && !x.s.Arrivals.has(p.seg.Zone, &h.Key.Dst, x.now) {
		return drop.None, false
	}
	key, from, to, d := h.Key, p.src, p.dst, conntrack.Original
	if !x.opens(from, to, &key) {
		key, from, to, d = key.Reverse(), to, from, conntrack.Reply
		if !x.opens(from, to, &key) {
			return drop.None, false
		}
	}
	if x.s.NAT != nil && x.translates(f, p) {
		return drop.None, false
	}
	if reason := x.decide(f, p, from, to, &key, 0); reason != drop.None {
		return reason, true
	}
	x.askAudits(f, p, from, to, &key, 0)
	if !packet.VerifyChecksum(f) {
		return drop.BadChecksum, true
	}
	if x.rec != nil {
		x.rec.note("known", "an endpoint of it has come to this host: taken up in mid-stream, in %s", d)
		return drop.None, true
	}
	s, reason := table.PickUp(f, d, hash, x.now)
	if reason != drop.None {
		return reason, true
	}
	s.Generation, s.Rule = x.s.Generation, f.Rule
	rule := policy.RuleID(f.Rule - 1)
	x.hit(rule)
	if x.s.Policy.Marks(rule)&classify.Logged != 0 {
		x.report(SessionOpened, rule, f, p, &key, 0)
	}
	return drop.None, true
}

// opens tells whether the policy allows a connection, with a session.
func (x *walk) opens(from, to identity.ID, key *packet.Key) bool {
	rule, verdict := x.s.Policy.Decide(from, to, key.Proto, key.SrcPort, key.DstPort)
	return verdict == policy.Allow && rule != policy.NoRule && x.s.Policy.Marks(rule)&classify.Stateless == 0
}
