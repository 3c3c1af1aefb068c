package oracle

import (
	"fmt"
	"testing"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/relevant"
	"bulkhead/policyc/internal/worlds"
)

// ranges are questions about ranges of ports.
var ranges = []string{"any", "tcp", "tcp/80-90", "udp", "icmp", "icmp/echo", "icmp6/255", "gre"}

// A policy's own tests are asked of the rules alone that name both ends, and
// one-sided questions of those that name one: that answers as the whole policy
// does, rule by rule.
func TestRelevantRulesSayWhatAllDo(t *testing.T) {
	for _, seed := range seeds(t, scale(100, 3000)) {
		x := newTrial(t, seed, worlds.Small, 10, 150)
		x.people = append(x.people, check.Subject{Labels: map[string]string{"a": "1"}}, check.Subject{Labels: map[string]string{}}) // without an address
		for i := range x.probes {
			if i%5 == 0 {
				x.probes[i].from = len(x.people) - 1 - i%2
			}
			if i%7 == 0 {
				x.probes[i].to = len(x.people) - 1 - i%3%2
			}
		}
		x.hold(t, func(x *trial) string {
			p, err := x.parsed()
			if err != nil {
				return err.Error()
			}
			p = p.At(x.now)
			rules := relevant.New(p)
			for i, q := range x.probes {
				from, to := x.people[q.from], x.people[q.to]
				allow, by := eval.Decide(p, from, to, q.flow)
				for name, part := range map[string]*check.Policy{"between": rules.Between(from, to), "from": rules.From(from), "to": rules.To(to)} {
					if got, who := eval.Decide(part, from, to, q.flow); got != allow || who != by {
						return fmt.Sprintf("%s: %s: %v by %q, of all rules %v by %q", name, x.say(q), got, nameOf(who), allow, nameOf(by))
					}
				}
				ports, err := compile.Ports(ranges[i%len(ranges)])
				if err != nil {
					return err.Error()
				}
				got, want := eval.Ask(rules.Between(from, to), from, to, ports), eval.Ask(p, from, to, ports)
				if got.From = want.From; got != want { // which source ports are cut is of all rules
					return fmt.Sprintf("%s, %s: %+v, of all rules %+v", x.say(q), ranges[i%len(ranges)], got, want)
				}
			}
			return ""
		})
	}
}
