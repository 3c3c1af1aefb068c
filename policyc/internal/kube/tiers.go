package kube

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"bulkhead/dataplane/policy"
)

// cluster translates a tier of cluster-wide policies in one direction, and
// returns the priority behind the last of its rules.
func (t *translator) cluster(policies []*ClusterPolicy, tier string, d Direction) int {
	ordered := slices.Clone(policies)
	slices.SortStableFunc(ordered, func(a, b *ClusterPolicy) int { return cmp.Compare(a.Priority, b.Priority) })
	priority := 10
	for len(ordered) > 0 {
		n := 1
		for n < len(ordered) && ordered[n].Priority == ordered[0].Priority {
			n++
		}
		for _, c := range t.tie(ordered[:n], d) {
			if tier == baselineTier && c.verdict == "pass" {
				c.verdict = "allow" // behind Baseline everything is allowed
			}
			t.b.add(tier, priority, d, c)
			priority++
		}
		ordered = ordered[n:]
	}
	return priority
}

// maxTie bounds what several policies of one priority come to.
const maxTie = 20000

// tie makes one list of those of several policies of one priority. Where no two
// of them disagree the lists just follow each other. Else each connection must
// get the strictest of what each policy decides for itself: the lists are
// multiplied.
func (t *translator) tie(policies []*ClusterPolicy, d Direction) []clause {
	var out []clause
	for i, p := range policies {
		next := t.clauses(p, d)
		switch {
		case !t.disagree(policies[:i], out, p, next, d):
			out = append(out, next...)
		case (len(out)+1)*(len(next)+1) > maxTie:
			t.list.Errorf(p.Object.At("spec", "priority"), "too many rules are of priority %d to say which wins", p.Priority).With("give the policies priorities of their own")
		default:
			out = t.multiply(out, next, p)
		}
	}
	return out
}

// disagree tells whether two lists have an overlap with different actions, and
// warns of the first: upstream leaves open what it means (C6).
func (t *translator) disagree(before []*ClusterPolicy, a []clause, p *ClusterPolicy, b []clause, d Direction) bool {
	for _, x := range a {
		for _, y := range b {
			if x.verdict == y.verdict {
				continue
			}
			both, fine := meet(x, y)
			if fine && both.empty() {
				continue
			}
			w := t.list.Warnf(p.Object.At("spec", "priority"), "%s and %s are of one priority, and disagree%s; Kubernetes leaves open who wins, here the denial does", x.name, y.name, witness(both, d)).
				With("give the policies priorities of their own")
			for _, q := range before {
				w.Note(q.Object.At("spec", "priority"), "the other policies of priority %d", q.Priority)
			}
			return true
		}
	}
	return false
}

// witness is a connection of a clause.
func witness(c clause, d Direction) string {
	if c.empty() {
		return ""
	}
	from, to := one(c.peers[0]), one(c.self)
	if d == Egress {
		from, to = to, from
	}
	p := c.ports[0]
	if p.proto != "" {
		p.hi = p.lo
	}
	return fmt.Sprintf(", as on %s -> %s %s", from, to, p.word())
}

func one(h hosts) string {
	switch {
	case h.any:
		return "anybody"
	case h.in != nil:
		return h.in[0].Addr().String()
	}
	labels, _ := example(h.need)
	return inline(labels)
}

// multiply joins two first-match lists: for each pair of clauses, the last of
// each list being "nothing was said", what they have in common gets the
// stricter verdict. The first match in the order of pairs is the first match of
// each list.
func (t *translator) multiply(a, b []clause, p *ClusterPolicy) []clause {
	nothing := clause{self: everybody(), peers: []hosts{everybody()}, ports: everyPort()}
	var out []clause
	for _, x := range append(slices.Clone(a), nothing) {
		for _, y := range append(slices.Clone(b), nothing) {
			both, fine := meet(x, y)
			if !fine {
				t.list.Errorf(p.Object.At("spec", "priority"), "%s and %s are of one priority, and what they share are Pods by address, which the language has not", x.name, y.name).
					With("give the policies priorities of their own")
				return out
			}
			both.verdict = stricter(x.verdict, y.verdict)
			both.name = strings.Trim(both.name, " &")
			if !both.empty() && both.verdict != "" {
				out = append(out, both)
			}
		}
	}
	return out
}

func stricter(a, b string) string {
	for _, v := range []string{"deny", "allow", "pass"} {
		if a == v || b == v {
			return v
		}
	}
	return ""
}

// clauses are the rules of one policy, in their order.
func (t *translator) clauses(p *ClusterPolicy, d Direction) []clause {
	if len(p.Rules(d)) == 0 {
		return nil
	}
	need := t.podsOf(p.Subject.Namespaces, p.Subject.Pods)
	self := pods(need...)
	if !possible(self.need) {
		t.list.Warnf(p.Object.At("spec", "subject"), "no Pod can meet this subject, so policy %s does nothing", p.Name)
		return nil
	}
	var out []clause
	for i := range p.Rules(d) {
		r := &p.Rules(d)[i]
		at := []any{"spec", d.String(), i}
		verdicts := map[clusterv1.ClusterNetworkPolicyRuleAction]string{
			clusterv1.ClusterNetworkPolicyRuleActionAccept: "allow", clusterv1.ClusterNetworkPolicyRuleActionDeny: "deny", clusterv1.ClusterNetworkPolicyRuleActionPass: "pass",
		}
		c := clause{self: self, verdict: verdicts[r.Action], name: strings.TrimSpace(fmt.Sprintf("%s %s[%d] %s", p.Name, d, i, printable(r.Name)))}
		for j := range r.Peers {
			c.peers = append(c.peers, t.clusterPeer(p, &r.Peers[j], under(at, r.peers, j))...)
		}
		c.ports = everyPort()
		if r.Protocols != nil {
			c.ports = nil
			for j := range r.Protocols {
				c.ports = append(c.ports, t.clusterPorts(p, &r.Protocols[j], under(at, r.protocols, j))...)
				t.warnDenied(p, r, j, under(at, r.protocols, j))
			}
		}
		if !c.empty() {
			out = append(out, c)
		}
	}
	return out
}

// warnDenied says what a denial by name lets through: the language has numbers
// alone, and those are of the Pods that there are. An allowance so lets through
// less than it could, but a denial more.
func (t *translator) warnDenied(p *ClusterPolicy, r *ClusterRule, protocol int, at []any) {
	if name := r.Protocols[protocol].DestinationNamedPort; name != "" && r.Action == clusterv1.ClusterNetworkPolicyRuleActionDeny {
		t.list.Warnf(p.Object.At(at...), "what is denied are the numbers that the Pods of the manifests give to port %q; a Pod that comes with another is not denied on it", name).
			With("deny numbers, or everything and accept what may be; else import again when Pods change")
	}
}

// printable is a rule's name as far as it can stand in a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

func (t *translator) podsOf(namespaces *metav1.LabelSelector, in *clusterv1.NamespacedPod) []policy.Requirement {
	if in == nil {
		return requirements(namespaces, namespaceKey)
	}
	return append(requirements(&in.NamespaceSelector, namespaceKey), requirements(&in.PodSelector, podKey)...)
}

func (t *translator) clusterPeer(p *ClusterPolicy, q *clusterv1.ClusterNetworkPolicyEgressPeer, at []any) []hosts {
	switch {
	case q.Namespaces != nil || q.Pods != nil:
		return t.addPods(nil, t.podsOf(q.Namespaces, q.Pods), p.Object.At(at...))
	case q.Nodes != nil:
		return t.nodes(p, q.Nodes, at)
	}
	var h hosts
	for _, cidr := range q.Networks {
		h.in = append(h.in, block(string(cidr)))
	}
	t.warnBlock(p.Object, h, under(at, "networks"))
	return []hosts{h}
}

// nodes are the addresses that the manifests of the nodes have: they are as
// good as those manifests are.
func (t *translator) nodes(p *ClusterPolicy, s *metav1.LabelSelector, at []any) []hosts {
	span := p.Object.At(under(at, "nodes")...)
	if len(t.c.Nodes) == 0 {
		t.list.Errorf(span, "nodes are peers by their addresses, and no manifest has any").
			With("import the nodes, too (kubectl get nodes -o yaml), or name networks: [192.0.2.0/24]")
		return nil
	}
	var h hosts
	for _, n := range t.c.Nodes {
		if !matches(s, n.Labels) {
			continue
		}
		for _, a := range n.Addrs {
			h.in = append(h.in, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	if h.in == nil {
		t.list.Warnf(span, "no node of the manifests meets this selector, so it adds nothing")
		return nil
	}
	return []hosts{h}
}

func (t *translator) clusterPorts(p *ClusterPolicy, q *clusterv1.ClusterNetworkPolicyProtocol, at []any) []portRange {
	switch {
	case q.TCP != nil:
		return []portRange{ranged("tcp", q.TCP.DestinationPort)}
	case q.UDP != nil:
		return []portRange{ranged("udp", q.UDP.DestinationPort)}
	case q.SCTP != nil:
		return []portRange{ranged("sctp", q.SCTP.DestinationPort)}
	}
	every := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	return t.named(q.DestinationNamedPort, every, p.Object.At(at...))
}

func ranged(proto string, port *clusterv1.Port) portRange {
	switch {
	case port == nil:
		return portRange{proto: proto, hi: 65535}
	case port.Range != nil:
		return portRange{proto: proto, lo: uint16(port.Range.Start), hi: uint16(port.Range.End)}
	}
	return portRange{proto: proto, lo: uint16(port.Number), hi: uint16(port.Number)}
}
