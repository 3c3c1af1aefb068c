package vswitch

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// linkIdentity makes the table of endpoints and outside prefixes, and links
// the policy to the identities that came up. What the rules alone say is worked out
// while identities get their numbers; once they have them neither table needs the
// other, so both are made at once.
func (l *linker) linkIdentity(endpoints []*endpoint) error {
	l.who = identity.NewBuilder()
	if l.rules != nil {
		for _, atom := range l.rules.Atoms() {
			l.who.Outside(atom.Prefix, numbers(atom.Sets))
		}
		l.linkBroadcast()
	}
	l.linkGroups()
	var wait sync.WaitGroup
	var draft *classify.Draft
	var wrong error // of the policy
	if l.rules != nil {
		wait.Go(func() { draft, wrong = classify.NewDraft(l.rules) })
	}
	crowd, err := l.crowdOf(endpoints)
	wait.Wait()
	if err != nil {
		return err
	}
	if l.rules != nil && wrong == nil {
		sets := l.who.AllSets()
		wait.Go(func() { l.policy, wrong = draft.Link(sets) })
	}
	l.who.Load(crowd)
	l.s.Identity, err = l.who.Build()
	wait.Wait()
	switch {
	case err != nil:
		return fmt.Errorf("link endpoints: %w", err)
	case wrong != nil:
		return fmt.Errorf("link the policy: %w", wrong)
	case l.rules != nil:
		l.s.Policy = l.policy.Engine()
	}
	return nil
}

// linkBroadcast takes the addresses at which all of a segment hear (RFC 919 7;
// the first of a prefix is an older form that hosts still take) out of what is
// outside. Only the segment knows that they are such.
func (l *linker) linkBroadcast() {
	for i := range l.cfg.Segments {
		for _, g := range l.cfg.Segments[i].Gateways {
			if !g.Addr().Is4() || g.Bits() > 30 {
				continue // RFC 3021: a /31 has none
			}
			first := g.Masked().Addr().As4()
			n := binary.BigEndian.Uint32(first[:])
			for _, at := range [2]uint32{n, n | 1<<(32-g.Bits()) - 1} {
				a := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, at)))
				l.who.Outside(netip.PrefixFrom(a, 32), numbers(l.index.NetworksOf(a)))
			}
		}
	}
}

// placed is an endpoint in numbers: each of its addresses is its services and
// the networks around that address.
func (l *linker) placed(e *endpoint) (place identity.Endpoint, addrs []identity.Address, err error) {
	services := l.servicesOf(nil, e)
	if place, err = l.place(e, services); err != nil {
		return place, nil, err
	}
	for _, ip := range e.IPs {
		addrs = append(addrs, identity.Address{Addr: packet.AddrFrom(ip), Sets: l.setsOf(services, l.around(ip))})
	}
	return place, addrs, nil
}

// place is where an endpoint is, in numbers.
func (l *linker) place(e *endpoint, services []policy.SetID) (place identity.Endpoint, err error) {
	segment, known := l.segments[e.Segment]
	if !known {
		return place, fmt.Errorf("link endpoint %q: segment %q is not known", e.Name, e.Segment)
	}
	place = identity.Endpoint{
		Name: e.Name, Segment: segment, Zone: l.s.Segments[segment].Zone,
		MAC: e.MAC, Port: packet.NoPort, Peer: dataplane.NoPeer, Group: l.groupOf(services), Marks: l.marksOf(e, services),
	}
	switch {
	case e.Port != "":
		id, found := l.ports[e.Port]
		if !found {
			return place, fmt.Errorf("link endpoint %q: port %q is not known", e.Name, e.Port)
		}
		place.Port = id
	default:
		peer, found := l.peers[e.Peer]
		if !found {
			return place, fmt.Errorf("link endpoint %q: peer %q is not known", e.Name, e.Peer)
		}
		place.Peer = peer
	}
	for _, ip := range e.IPs {
		if at := packet.AddrFrom(ip); l.s.NAT.Owns(place.Zone, &at) {
			return place, fmt.Errorf("link endpoint %q: %s is an outside address, of snat or dnat; give one of them another", e.Name, ip)
		}
	}
	return place, nil
}

// servicesOf appends the services of an endpoint, and Any; without a policy this
// alone.
func (l *linker) servicesOf(out []policy.SetID, e *endpoint) []policy.SetID {
	if l.rules == nil {
		return append(out, policy.Any)
	}
	return l.index.AppendServicesOf(out, e.Labels)
}

// around is the number of the networks around an address (policy.Index.Around).
func (l *linker) around(ip netip.Addr) int32 {
	if l.rules == nil {
		return -1
	}
	return l.index.Around(ip)
}

// setsOf returns every set that an address of an endpoint belongs to: its services,
// and the networks around.
func (l *linker) setsOf(services []policy.SetID, around int32) []uint32 {
	if around < 0 {
		return numbers(services)
	}
	sets := slices.Concat(services, l.index.NetworksAt(around))
	slices.Sort(sets)
	return numbers(slices.Compact(sets))
}

func numbers(sets []policy.SetID) []uint32 {
	out := make([]uint32, len(sets))
	for i, s := range sets {
		out[i] = uint32(s)
	}
	return out
}
