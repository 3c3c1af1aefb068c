package eval

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// Answer is what a policy says to a question about one connection, or about a
// range of ports.
type Answer struct {
	Allow bool        // all of it
	Part  bool        // some of it is allowed and some is not
	By    *check.Rule // the rule that decided At; nil: the default deny
	At    Flow        // the first part that is denied, else the first
	Audit *check.Rule // the first rule under audit that would have denied a part; nil: none
	Self  bool        // an endpoint asks itself: that never crosses a switch
}

// Ask answers for every port of a question: the ranges are cut wherever a rule
// begins or ends, so that each piece has one answer. Where neither end says so
// by an address, both families are asked.
func Ask(p *check.Policy, from, to check.Subject, ports []policy.Port) Answer {
	if from.Same(&to) {
		return Answer{Allow: true, Self: true}
	}
	var out Answer
	allowed, denied := 0, 0
	audits := slices.ContainsFunc(p.Rules, func(r *check.Rule) bool { return r.Audit })
	for _, port := range applicable(ports, from, to) {
		for _, f := range pieces(p, port) {
			if port.Proto == policy.AnyProto && foreign(uint16(f.Proto), from, to) {
				continue // any is what there can be
			}
			allow, by := Decide(p, from, to, f)
			if audits && out.Audit == nil {
				out.Audit = WouldDeny(p, from, to, f)
			}
			if allow {
				allowed++
			} else {
				denied++
			}
			if allowed+denied == 1 || !allow && denied == 1 {
				out.By, out.At = by, f
			}
		}
	}
	out.Allow, out.Part = denied == 0 && allowed > 0, denied > 0 && allowed > 0
	return out
}

// applicable leaves out ICMP of the family that an address is not of.
func applicable(ports []policy.Port, from, to check.Subject) []policy.Port {
	return slices.DeleteFunc(slices.Clone(ports), func(port policy.Port) bool {
		return len(ports) > 1 && foreign(port.Proto, from, to)
	})
}

// foreign tells whether a protocol is ICMP of the family that an address is not
// of.
func foreign(proto uint16, ends ...check.Subject) bool {
	return slices.ContainsFunc(ends, func(s check.Subject) bool {
		return s.Addr.IsValid() && (proto == 1 && s.Addr.Is6() || proto == 58 && s.Addr.Is4())
	})
}

// pieces returns a flow for each stretch of a port that no rule cuts.
func pieces(p *check.Policy, port policy.Port) []Flow {
	protos := []uint16{port.Proto}
	if port.Proto == policy.AnyProto {
		protos = protos[:0]
		for n := range uint16(256) {
			protos = append(protos, n)
		}
	}
	var out []Flow
	for _, proto := range protos {
		starts := []uint16{port.DstLo}
		for _, r := range p.Rules {
			for _, q := range r.AllPorts() {
				if q.Proto != proto {
					continue
				}
				if q.DstLo > port.DstLo && q.DstLo <= port.DstHi {
					starts = append(starts, q.DstLo)
				}
				if q.DstHi >= port.DstLo && q.DstHi < port.DstHi {
					starts = append(starts, q.DstHi+1)
				}
			}
		}
		slices.Sort(starts)
		for _, at := range slices.Compact(starts) {
			out = append(out, Flow{uint8(proto), at})
		}
	}
	return out
}
