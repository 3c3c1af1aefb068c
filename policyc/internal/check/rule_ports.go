package check

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/source"
)

// ports reads the ports of a rule; those by name go into the rule.
func (c *checker) ports(rule *Rule, clause *source.Clause) []policy.Port {
	if len(clause.Ports.Items) == 0 && !clause.Ports.Bad {
		c.list.Errorf(at(&clause.Ports, clause), "no ports: the rule matches nothing").With("ports = [\"tcp/443\"], or [\"any\"]")
	}
	var out []policy.Port
	for _, text := range clause.Ports.Items {
		if c.named(rule, text) {
			continue
		}
		ports, err := c.portsOf(text.Value)
		if err != nil {
			c.list.Errorf(text.At, "%s", err.Text).With("%s", err.Cure).Meant(err.Meant)
			continue
		}
		if out == nil {
			out = make([]policy.Port, 0, len(ports)+len(clause.Ports.Items)-1)
		}
		out = append(out, ports...)
	}
	out = c.sources(rule, clause, out)
	slices.SortFunc(out, policy.ComparePort)
	return slices.Compact(out)
}

// maxWords bounds the words of ports that are remembered.
const maxWords = 1 << 12

// portsOf reads a word of ports. Most rules say what others say.
func (c *checker) portsOf(word string) ([]policy.Port, *Problem) {
	if known, found := c.words[word]; found {
		return known, nil
	}
	ports, problem := ParsePorts(word)
	if problem == nil && len(c.words) < maxWords {
		c.words[word] = ports
	}
	return ports, problem
}
