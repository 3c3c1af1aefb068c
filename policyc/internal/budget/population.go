package budget

import (
	"encoding/binary"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/endpoints"
)

// Population returns the identities that a policy alone tells apart, by the
// sets of each, as classify.Link takes them: nobody, everybody else, for each
// service an endpoint with just the labels that it takes, for each stretch of
// the networks an address in it. Endpoints with more labels may be in several
// services and make more of them: those of a list are told apart, too.
func Population(rs *policy.Ruleset, who []endpoints.Endpoint) [][]uint32 {
	p := &population{index: policy.NewIndex(rs), known: map[string]bool{}, sets: [][]uint32{nil}}
	p.add([]policy.SetID{policy.Any})
	for i := range rs.Sets {
		for _, must := range rs.Sets[i].Selector {
			if labels, possible := witness(must); possible {
				p.add(p.index.ServicesOf(labels))
			}
		}
	}
	for _, atom := range rs.Atoms() {
		p.add(atom.Sets)
	}
	for i := range who {
		p.endpoint(&who[i])
	}
	return p.sets
}

type population struct {
	index *policy.Index
	known map[string]bool // lists of sets that are there
	sets  [][]uint32
}

func (p *population) endpoint(e *endpoints.Endpoint) {
	services := p.index.ServicesOf(e.Labels)
	if len(e.IPs) == 0 {
		p.add(services)
	}
	for _, a := range e.IPs {
		sets := slices.Concat(services, p.index.NetworksOf(a))
		slices.Sort(sets)
		p.add(slices.Compact(sets))
	}
}

// add adds an identity of these sets if it is new.
func (p *population) add(sets []policy.SetID) {
	key := make([]byte, 0, 4*len(sets))
	numbers := make([]uint32, len(sets))
	for i, s := range sets {
		key = binary.LittleEndian.AppendUint32(key, uint32(s))
		numbers[i] = uint32(s)
	}
	if !p.known[string(key)] {
		p.known[string(key)] = true
		p.sets = append(p.sets, numbers)
	}
}

// other is a value that no policy names.
const other = "\x00other"

// witness returns the fewest labels that meet all requirements; possible is
// false if none do.
func witness(must policy.Requirements) (labels map[string]string, possible bool) {
	labels = map[string]string{}
	for _, r := range must {
		if _, given := labels[r.Key]; given || r.Op == policy.OpNotIn || r.Op == policy.OpNotExists {
			continue
		}
		for _, value := range append(slices.Clone(r.Values), other) {
			labels[r.Key] = value
			if metAt(must, r.Key, labels) {
				break
			}
		}
	}
	return labels, must.Met(labels)
}

// metAt tells whether every requirement on a label is met.
func metAt(must policy.Requirements, key string, labels map[string]string) bool {
	return !slices.ContainsFunc(must, func(r policy.Requirement) bool { return r.Key == key && !r.Met(labels) })
}
