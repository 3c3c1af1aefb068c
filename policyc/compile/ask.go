package compile

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/lower"
)

// Answer is what a policy says to a question, and for a denied one what comes
// nearest to an allow.
type Answer struct {
	eval.Answer
	Near   string // which allow rule, and how it differs; may be empty
	Beaten string // which allow rule the deny beats; may be empty
	Why    string // why it does
}

// Ask asks a policy about a connection, or about a range of ports.
func Ask(p *Policy, from, to Subject, ports []policy.Port) Answer {
	a := Answer{Answer: eval.Ask(p, from, to, ports)}
	ask := asker{p: p}
	ask.explain(&a, from, to)
	return a
}

// asker explains answers. It lowers the policy once, and only if it must.
type asker struct {
	p  *Policy
	rs *policy.Ruleset
}

// explain adds to a denial what comes nearest to an allow.
func (k *asker) explain(a *Answer, from, to Subject) {
	if a.Allow {
		return
	}
	if k.rs == nil {
		k.rs = lower.Policy(k.p, 0)
	}
	rs := k.rs
	source, dest := setsIn(rs, from), setsIn(rs, to)
	if a.By == nil {
		if near, found := rs.Nearest(source, dest, a.At.Proto, a.At.Src, a.At.Dst); found {
			a.Near = near.Describe(rs)
		}
	} else if rule, found := rs.Overruled(source, dest, a.At.Proto, a.At.Src, a.At.Dst); found {
		by, _ := rs.Decide(source, dest, a.At.Proto, a.At.Src, a.At.Dst)
		a.Beaten, a.Why = rs.Rules[rule].Name, rs.Why(by, rule)
	}
}

// setsIn returns the sets that a subject belongs to.
func setsIn(rs *policy.Ruleset, s Subject) []policy.SetID {
	if s.Labels == nil {
		return rs.OutsideOf(s.Addr) // an address of no endpoint is in no service
	}
	return slices.Concat(rs.ServicesOf(s.Labels), rs.NetworksOf(s.Addr))
}

// Ports reads a word of ports, as "tcp/443".
func Ports(text string) ([]policy.Port, error) {
	ports, problem := check.ParsePorts(text)
	if problem != nil {
		return nil, problem
	}
	return slices.Clone(ports), nil
}

// PortsAt is Ports, with the names that the service which is connected to has.
func PortsAt(p *Policy, to, text string) ([]policy.Port, error) {
	ports, problem := p.PortsAt(to, text)
	if problem != nil {
		return nil, problem
	}
	return slices.Clone(ports), nil
}

// From is the ports of a question, asked of a source port, or a range of them.
func From(ports []policy.Port, text string) ([]policy.Port, error) {
	ports, problem := check.From(ports, text)
	if problem != nil {
		return nil, problem
	}
	return ports, nil
}

// OneFamily has both ends of a connection use addresses of one family.
func OneFamily(from, to *Subject) { check.OneFamily(from, to) }

// SubjectOf reads one end of a connection: a service, an address, or labels.
func SubjectOf(p *Policy, text string) (Subject, error) {
	s, problem := p.Subject(text)
	if problem != nil {
		return s, problem
	}
	return s, nil
}
