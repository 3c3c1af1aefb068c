package kube

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/syntax"
)

// Write writes a program as a policy file, in the canonical form but for the
// width of its lists. The same program gives the same bytes.
func Write(p *Program) []byte {
	var out bytes.Buffer
	out.WriteString("# Kubernetes network policies, imported: `policyc help import kubernetes`.\n")
	out.WriteString("# A Pod's endpoint has the labels that its entry below has.\n")
	if p.NoPolicy {
		out.WriteString("# The manifests had no policy: everything is allowed, as Kubernetes allows it then.\n")
	}
	out.WriteString("version = 1\n")
	for _, s := range p.Sets {
		if s.in != nil {
			fmt.Fprintf(&out, "\n[networks.%s]\ncidrs = %s\n", syntax.QuoteKey(s.Name), prefixes(s.in))
			if s.out != nil {
				fmt.Fprintf(&out, "except = %s\n", prefixes(s.out))
			}
			continue
		}
		fmt.Fprintf(&out, "\n[services.%s]\n", syntax.QuoteKey(s.Name))
		writeSelector(&out, s.need)
	}
	for _, r := range p.Rules {
		fmt.Fprintf(&out, "\n[[rules]]\nname = %s\ntier = %q\npriority = %d\ndirection = %q\n", syntax.Quote(r.Name), r.Tier, r.Priority, r.Direction)
		fmt.Fprintf(&out, "%s = { from = %s, to = %s, ports = %s }\n", r.Verdict, quoted(r.From), quoted(r.To), quoted(r.Ports))
	}
	for _, e := range p.Endpoints {
		fmt.Fprintf(&out, "\n[endpoints.%s]\n", syntax.QuoteKey(e.Name))
		if e.Host {
			out.WriteString("host = true\n")
		} else {
			fmt.Fprintf(&out, "labels = %s\n", inline(e.Labels))
		}
		if e.Several {
			out.WriteString("several = true\n")
		}
		if len(e.Addrs) > 0 {
			fmt.Fprintf(&out, "addresses = %s\n", quoted(e.Addrs))
		}
	}
	return out.Bytes()
}

// writeSelector writes what is one value of a key as labels, the rest as match.
func writeSelector(out *bytes.Buffer, need []policy.Requirement) {
	labels := map[string]string{}
	var match []string
	for _, r := range need {
		if _, taken := labels[r.Key]; r.Op == policy.OpIn && len(r.Values) == 1 && !taken {
			labels[r.Key] = r.Values[0]
			continue
		}
		match = append(match, condition(r))
	}
	if len(labels) > 0 {
		fmt.Fprintf(out, "labels = %s\n", inline(labels))
	}
	if len(match) > 0 {
		fmt.Fprintf(out, "match = %s\n", quoted(match))
	}
}

// condition writes a condition; a value that is no word stands in quotes.
func condition(r policy.Requirement) string {
	switch r.Op {
	case policy.OpExists:
		return "exists " + r.Key
	case policy.OpNotExists:
		return "not exists " + r.Key
	}
	values := make([]string, len(r.Values))
	for i, v := range r.Values {
		values[i] = v
		if v == "" {
			values[i] = `""`
		}
	}
	of := map[policy.Op]string{policy.OpIn: "in", policy.OpNotIn: "not in"}[r.Op]
	return fmt.Sprintf("%s %s (%s)", r.Key, of, strings.Join(values, ", "))
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = syntax.Quote(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func prefixes(list []netip.Prefix) string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
	}
	return quoted(sorted(out))
}

// inline writes labels as a table, keys in order.
func inline(labels map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, syntax.QuoteKey(key)+" = "+syntax.Quote(labels[key]))
	}
	return "{ " + strings.Join(out, ", ") + " }"
}
