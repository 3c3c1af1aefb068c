package analyze

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/relevant"
)

// Reach answers a question about a policy with all that is allowed, by rule.
//
// Where an end is given, only the rules that it can meet have a say, and where ports
// are given alone only those that name one of them: their part of the space is cut,
// not the whole, which for 10,000 services and as many networks as addresses would be
// too large. An end with an address of each family is asked about with each.
func Reach(p *check.Policy, q Question) ([]Route, error) {
	var out []Route
	for _, one := range q.families() {
		s, err := newSpace([]*check.Policy{p}, one.part(p))
		if err != nil {
			return nil, err
		}
		for _, r := range s.Reach(one) {
			if !slices.ContainsFunc(out, r.says) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// part is the policy with the rules alone that have a say in a question.
func (q *Question) part(p *check.Policy) *check.Policy {
	switch {
	case q.From == nil && q.To == nil && len(q.Ports) == 0:
		return p
	case q.From == nil && q.To == nil:
		return q.onPorts(p)
	case q.To == nil:
		return relevant.New(p).From(*q.From)
	case q.From == nil:
		return relevant.New(p).To(*q.To)
	}
	return relevant.New(p).Between(*q.From, *q.To)
}

// onPorts is the policy with the rules alone that name one of the asked ports.
func (q *Question) onPorts(p *check.Policy) *check.Policy {
	asked := func(a policy.Port) bool {
		return slices.ContainsFunc(q.Ports, func(b policy.Port) bool {
			both := a.Proto == b.Proto && a.DstLo <= b.DstHi && b.DstLo <= a.DstHi && a.SrcLo <= b.SrcHi && b.SrcLo <= a.SrcHi
			return both || a.Proto == policy.AnyProto || b.Proto == policy.AnyProto
		})
	}
	out := *p
	out.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r *check.Rule) bool { return !slices.ContainsFunc(r.AllPorts(), asked) })
	return &out
}

// families are the question for each address that its ends can use: a
// connection is of one family.
func (q *Question) families() []Question {
	var out []Question
	for _, from := range eachAddress(q.From) {
		for _, to := range eachAddress(q.To) {
			if from == nil || to == nil || !from.Addr.IsValid() || !to.Addr.IsValid() || from.Addr.Is4() == to.Addr.Is4() {
				out = append(out, Question{from, to, q.Ports})
			}
		}
	}
	return out
}

// eachAddress is somebody with each of the addresses that he has.
func eachAddress(s *check.Subject) []*check.Subject {
	if s == nil || len(s.Addrs) < 2 {
		return []*check.Subject{s}
	}
	var out []*check.Subject
	for _, a := range s.Addrs {
		one := *s
		one.Addr = a
		out = append(out, &one)
	}
	return out
}

// says tells whether two routes read alike.
func (r *Route) says(o Route) bool {
	return r.Rule == o.Rule && slices.Equal(r.From, o.From) && slices.Equal(r.To, o.To) && slices.Equal(r.Ports, o.Ports)
}
