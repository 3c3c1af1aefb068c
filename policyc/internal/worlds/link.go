package worlds

import (
	"fmt"
	"net/netip"
	"slices"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

// Zone is the VRF that everybody is in.
const Zone = 1

// Tables are a policy as the switch holds it, and who people are there.
type Tables struct {
	Rules    *policy.Ruleset
	Identity *identity.Table
	Engine   *classify.Engine
	ids      []identity.ID
	sets     [][]policy.SetID
}

// Link does what the daemon does with the view of a time: endpoints with the sets of their labels and
// addresses, one a port, and the networks as a table of prefixes for everybody
// else, who is behind either of two routers: ports len(people) and the next.
func Link(rs *policy.Ruleset, people []check.Subject) (*Tables, error) {
	b := identity.NewBuilder()
	for _, atom := range rs.Atoms() {
		b.Outside(atom.Prefix, numbers(atom.Sets))
	}
	t := &Tables{Rules: rs}
	for i, s := range people {
		t.sets = append(t.sets, setsOf(rs, s))
		if s.Labels != nil {
			b.Endpoint(endpoint(i), []identity.Address{{Addr: packet.AddrFrom(s.Addr), Sets: numbers(t.sets[i])}}, nil)
		}
	}
	everything := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	b.Endpoint(endpoint(len(people)), nil, everything)
	b.Endpoint(endpoint(len(people)+1), nil, everything)
	var err error
	if t.Identity, err = b.Build(); err != nil {
		return nil, err
	}
	if t.Engine, err = classify.Link(rs, t.Identity.AllSets()); err != nil {
		return nil, err
	}
	for _, s := range people {
		a := packet.AddrFrom(s.Addr)
		id, _ := t.Identity.Identify(Zone, &a)
		t.ids = append(t.ids, id)
	}
	return t, nil
}

func endpoint(i int) identity.Endpoint {
	return identity.Endpoint{Name: fmt.Sprint(i), Zone: Zone, MAC: MAC(i), Port: packet.PortID(i), Peer: identity.NoPeer}
}

// MAC is the address of the endpoint on a port.
func MAC(port int) packet.MAC { return packet.MAC{2, 0, 0, 1, byte(port >> 8), byte(port)} }

// List asks the lowered list, rule by rule.
func (t *Tables) List(from, to int, f eval.Flow) (policy.RuleID, policy.Verdict) {
	return t.Rules.Decide(t.sets[from], t.sets[to], f.Proto, f.Src, f.Dst)
}

// ListAudit asks the lowered list which rule under audit would have denied.
func (t *Tables) ListAudit(from, to int, f eval.Flow) (policy.RuleID, bool) {
	return t.Rules.WouldDeny(t.sets[from], t.sets[to], f.Proto, f.Src, f.Dst)
}

// Audit asks the linked tables which rule under audit would have denied.
func (t *Tables) Audit(from, to int, f eval.Flow) (policy.RuleID, bool) {
	return t.Engine.WouldDeny(t.ids[from], t.ids[to], f.Proto, f.Src, f.Dst)
}

// Decide asks the linked tables.
func (t *Tables) Decide(from, to int, f eval.Flow) (policy.RuleID, policy.Verdict) {
	return t.Engine.Decide(t.ids[from], t.ids[to], f.Proto, f.Src, f.Dst)
}

// Nearest is what comes nearest to allowing a connection, in words; empty where
// nothing does.
func (t *Tables) Nearest(from, to int, f eval.Flow) string {
	near, found := t.Rules.Nearest(t.sets[from], t.sets[to], f.Proto, f.Src, f.Dst)
	if !found {
		return ""
	}
	return near.Describe(t.Rules)
}

// Name is a rule's name; empty for the default deny.
func (t *Tables) Name(id policy.RuleID) string {
	if id == policy.NoRule {
		return ""
	}
	return t.Rules.Rules[id].Name
}

// setsOf are the sets that somebody is in. An address of no endpoint is in no
// service, and outside.
func setsOf(rs *policy.Ruleset, s check.Subject) []policy.SetID {
	all := rs.OutsideOf(s.Addr)
	if s.Labels != nil {
		all = slices.Concat(rs.NetworksOf(s.Addr), rs.ServicesOf(s.Labels))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func numbers(sets []policy.SetID) []uint32 {
	var out []uint32
	for _, id := range sets {
		out = append(out, uint32(id))
	}
	return out
}
