package eval

import (
	"iter"
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
	From  bool        // the answer is of the source port of At: others may get another
	Audit *check.Rule // the first rule under audit that would have denied a part; nil: none
	Self  bool        // an endpoint asks itself: that never crosses a switch
}

// Ask answers for every port of a question: the ranges are cut wherever a rule
// begins or ends, of source ports, too, so that each piece has one answer. Where
// neither end says so by an address, both families are asked.
func Ask(p *check.Policy, from, to check.Subject, ports []policy.Port) Answer {
	if from.Same(&to) {
		return Answer{Allow: true, Self: true}
	}
	var out Answer
	allowed, denied := 0, 0
	audits := slices.ContainsFunc(p.Rules, func(r *check.Rule) bool { return r.Audit })
	for _, port := range applicable(ports, from, to) {
		for f := range pieces(p, port) {
			if port.Proto == policy.AnyProto && foreign(uint16(f.Proto), from, to) {
				continue // any is what there can be
			}
			allow, by := Decide(p, from, to, f.Flow)
			if audits && out.Audit == nil {
				out.Audit = WouldDeny(p, from, to, f.Flow)
			}
			if allow {
				allowed++
			} else {
				denied++
			}
			if allowed+denied == 1 || !allow && denied == 1 {
				out.By, out.At, out.From = by, f.Flow, f.from
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

// piece is the first flow of a stretch that no rule cuts; from tells that it is
// not one of all source ports.
type piece struct {
	Flow
	from bool
}

// pieces yields a flow for each stretch of a port that no rule cuts.
func pieces(p *check.Policy, port policy.Port) iter.Seq[piece] {
	protos := []uint16{port.Proto}
	if port.Proto == policy.AnyProto {
		protos = protos[:0]
		for n := range uint16(256) {
			protos = append(protos, n)
		}
	}
	return func(yield func(piece) bool) {
		for _, proto := range protos {
			rules, sourced := portsOf(p, proto)
			for _, dst := range starts(port.DstLo, port.DstHi, rules, dests) {
				across := slices.DeleteFunc(slices.Clone(sourced), func(q policy.Port) bool { return dst < q.DstLo || q.DstHi < dst })
				from := starts(port.SrcLo, port.SrcHi, across, sources)
				for _, src := range from {
					if !yield(piece{Flow{uint8(proto), dst, src}, len(from) > 1 || port.SrcLo > 0 || port.SrcHi < 65535}) {
						return
					}
				}
			}
		}
	}
}

// portsOf are the ports of one protocol that rules name, and of them those with
// source ports.
func portsOf(p *check.Policy, proto uint16) (all, sourced []policy.Port) {
	for _, r := range p.Rules {
		for _, q := range r.AllPorts() {
			if q.Proto != proto {
				continue
			}
			if all = append(all, q); q.SrcLo > 0 || q.SrcHi < 65535 {
				sourced = append(sourced, q)
			}
		}
	}
	return all, sourced
}

func dests(p policy.Port) (lo, hi uint16)   { return p.DstLo, p.DstHi }
func sources(p policy.Port) (lo, hi uint16) { return p.SrcLo, p.SrcHi }

// starts are where the stretches between lo and hi begin, which the ranges of
// some ports cut it into.
func starts(lo, hi uint16, ports []policy.Port, of func(policy.Port) (lo, hi uint16)) []uint16 {
	out := []uint16{lo}
	for _, q := range ports {
		first, last := of(q)
		if first > lo && first <= hi {
			out = append(out, first)
		}
		if last >= lo && last < hi {
			out = append(out, last+1)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
