package walk

import (
	"net/netip"

	"bulkhead/bench/crowd"
	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
)

var (
	macA, macB = packet.MAC{2, 0, 0, 0, 0, 1}, packet.MAC{2, 0, 0, 0, 0, 2}
	ipA, ipB   = packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.AddrFrom4([4]byte{10, 0, 0, 2})
)

// twoRules let TCP from one to the other.
const twoRules = 2

// newSnapshot is a switch with two workload ports in one segment, and a policy
// that lets TCP from one to the other, among so many rules.
func newSnapshot(rules int) (*dataplane.Snapshot, error) {
	rs, err := crowd.Around(&policy.Ruleset{
		Sets: []policy.Set{
			{Kind: policy.KindAny, Name: "any"},
			{Kind: policy.KindService, Name: "a", Selector: policy.Selector{{{Key: "s", Op: policy.OpIn, Values: []string{"a"}}}}},
			{Kind: policy.KindService, Name: "b", Selector: policy.Selector{{{Key: "s", Op: policy.OpIn, Values: []string{"b"}}}}},
		},
		Rules: []policy.Rule{
			{Name: "no-telnet", Verdict: policy.Deny, From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: []policy.Port{{Proto: 17, SrcHi: 65535, DstLo: 23, DstHi: 23}}},
			{Name: "a-to-b", Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{2}, Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: 1, DstHi: 1000}}},
		},
	}, rules, 1, 2)
	if err != nil {
		return nil, err
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
