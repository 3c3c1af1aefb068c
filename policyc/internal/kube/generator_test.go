package kube

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator draws policies over the nine Pods, with every form that a selector,
// a peer and a port have.
type generator struct{ *rand.Rand }

func (g *generator) of(words ...string) string { return words[g.IntN(len(words))] }

// list draws up to n items.
func (g *generator) list(least, most int, item func() string) string {
	var out []string
	for range least + g.IntN(most-least+1) {
		out = append(out, item())
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (g *generator) policies() string {
	var b strings.Builder
	for i := range g.IntN(5) {
		fmt.Fprintf(&b, "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: %q, name: p%d}\nspec: %s\n", g.of("x", "y", "z"), i, g.spec())
	}
	for i := range g.IntN(6) {
		b.WriteString(admin(fmt.Sprintf("c%d", i), g.of("Admin", "Admin", "Baseline"), g.IntN(3), g.adminSpec()))
	}
	return b.String()
}

func (g *generator) selector(key string, values ...string) string {
	quoted := func() string { return fmt.Sprintf("%q", g.of(values...)) }
	switch g.IntN(7) {
	case 0, 1:
		return "{}"
	case 2:
		return fmt.Sprintf("{matchLabels: {%s: %s}}", key, quoted())
	case 3:
		return fmt.Sprintf("{matchExpressions: [{key: %s, operator: In, values: %s}]}", key, g.list(1, 2, quoted))
	case 4:
		return fmt.Sprintf("{matchExpressions: [{key: %s, operator: NotIn, values: %s}]}", key, g.list(1, 2, quoted))
	case 5:
		return fmt.Sprintf("{matchExpressions: [{key: %s, operator: %s}]}", g.of(key, "m"), g.of("Exists", "DoesNotExist"))
	}
	return fmt.Sprintf("{matchLabels: {%s: %s}, matchExpressions: [{key: %s, operator: NotIn, values: [%s]}]}", key, quoted(), key, quoted())
}

func (g *generator) pods() string { return g.selector("pod", "a", "b", "c") }
func (g *generator) namespaces() string {
	return g.selector(g.of("ns", "kubernetes.io/metadata.name"), "x", "y", "z")
}

func (g *generator) spec() string {
	spec := "podSelector: " + g.pods()
	if types := g.of("", "[Ingress]", "[Egress]", "[Ingress, Egress]"); types != "" {
		spec += ", policyTypes: " + types
	}
	if g.IntN(4) > 0 {
		spec += ", ingress: " + g.list(0, 2, func() string { return g.rule("from") })
	}
	if g.IntN(4) > 0 {
		spec += ", egress: " + g.list(0, 2, func() string { return g.rule("to") })
	}
	return "{" + spec + "}"
}

// rule has no named ports where a peer of its egress is a block.
func (g *generator) rule(key string) string {
	var parts []string
	peers := ""
	if g.IntN(4) > 0 {
		peers = g.list(0, 3, g.peer)
		parts = append(parts, key+": "+peers)
	}
	if g.IntN(3) > 0 {
		named := key == "from" || !strings.Contains(peers, "ipBlock")
		parts = append(parts, "ports: "+g.list(0, 3, func() string { return g.port(named) }))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (g *generator) peer() string {
	switch g.IntN(5) {
	case 0:
		return "{podSelector: " + g.pods() + "}"
	case 1:
		return "{namespaceSelector: " + g.namespaces() + "}"
	case 2:
		return "{podSelector: " + g.pods() + ", namespaceSelector: " + g.namespaces() + "}"
	case 3:
		return "{ipBlock: {cidr: " + g.of("0.0.0.0/0", "\"::/0\"", "10.0.2.0/24", "203.0.113.0/24", "\"fd00::2:0/112\"") + "}}"
	}
	return "{ipBlock: {cidr: " + g.of("10.0.0.0/8, except: [10.0.2.0/24, 10.0.3.1/32]", "0.0.0.0/0, except: [203.0.113.64/32]", "\"fd00::/16\", except: [\"fd00::1:0/112\"]") + "}}"
}

func (g *generator) port(named bool) string {
	proto := g.of("TCP", "UDP", "SCTP")
	n := 5
	if named {
		n = 7
	}
	switch g.IntN(n) {
	case 0:
		return "{port: 80}"
	case 1:
		return "{protocol: " + proto + "}"
	case 2, 3:
		return fmt.Sprintf("{protocol: %s, port: %s}", proto, g.of("80", "81"))
	case 4:
		return fmt.Sprintf("{protocol: %s, port: 80, endPort: %s}", proto, g.of("80", "81", "65535"))
	}
	return fmt.Sprintf("{protocol: %s, port: %s}", proto, g.of("serve-80-tcp", "serve-81-udp", "web", "web"))
}

func (g *generator) adminSpec() string {
	subject := "namespaces: " + g.namespaces()
	if g.IntN(2) == 0 {
		subject = "pods: {namespaceSelector: " + g.namespaces() + ", podSelector: " + g.pods() + "}"
	}
	return fmt.Sprintf("subject: {%s}\ningress: %s\negress: %s", subject,
		g.list(0, 3, func() string { return g.adminRule("from") }), g.list(0, 3, func() string { return g.adminRule("to") }))
}

// adminRule has no named ports where a peer is known by its addresses.
func (g *generator) adminRule(key string) string {
	peers, named := g.list(1, 2, g.adminPeer), true
	if key == "to" && g.IntN(4) == 0 {
		peers, named = g.of("[{networks: [10.0.2.0/24, \"fd00::/16\"]}]", "[{networks: [0.0.0.0/0]}]", "[{nodes: {}}]", "[{nodes: {matchLabels: {role: edge}}}, {namespaces: {}}]"), false
	}
	rule := fmt.Sprintf("action: %s, %s: %s", g.of("Accept", "Deny", "Pass"), key, peers)
	if named && g.IntN(2) == 0 {
		rule += ", protocols: " + g.list(1, 3, g.protocol)
	}
	return "{" + rule + "}"
}

func (g *generator) adminPeer() string {
	if g.IntN(2) == 0 {
		return "{namespaces: " + g.namespaces() + "}"
	}
	return "{pods: {namespaceSelector: " + g.namespaces() + ", podSelector: " + g.pods() + "}}"
}

func (g *generator) protocol() string {
	proto := g.of("tcp", "udp", "sctp")
	switch g.IntN(4) {
	case 0:
		return "{" + proto + ": {}}"
	case 1:
		return "{" + proto + ": {destinationPort: {range: {start: 80, end: " + g.of("81", "90") + "}}}}"
	case 2:
		return "{destinationNamedPort: " + g.of("web", "serve-80-tcp") + "}"
	}
	return "{" + proto + ": {destinationPort: {number: " + g.of("80", "81") + "}}}"
}
