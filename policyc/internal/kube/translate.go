package kube

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
)

// The tiers that Kubernetes' three become.
const (
	adminTier    = "platform"
	networkTier  = "application"
	baselineTier = "baseline"
)

// Options of a translation.
type Options struct {
	NoHost bool // leave the node's traffic with its Pods to the other rules
}

// Translate says a cluster's policies in the language, with the same meaning.
// What the language cannot say is an error in the list.
//
// Admin policies become rules of tier platform in the order in which they are
// asked. A NetworkPolicy becomes an allow for each of its rules in tier
// application, and behind them all a deny for the Pods that it selects, in each
// direction that it isolates: the union of what is allowed, and nothing else.
// Baseline policies become rules of tier baseline, and behind them stands what
// Kubernetes takes for granted: that everything else is allowed.
func Translate(c *Cluster, o Options, list *diag.List) *Program {
	t := &translator{c: c, list: list, b: &builder{sets: map[string]string{}, names: map[string]bool{}, rules: map[string]bool{}}}
	if t.noHost = o.NoHost; !t.noHost {
		t.host()
	}
	for _, d := range []Direction{Ingress, Egress} {
		t.cluster(c.Admin, adminTier, d)
		for _, p := range c.Network {
			t.network(p, d)
		}
		last := t.cluster(c.Baseline, baselineTier, d)
		t.b.add(baselineTier, last, d, clause{self: everybody(), peers: []hosts{everybody()}, ports: everyPort(), verdict: "allow", name: "open by default: " + d.String()})
	}
	t.endpoints()
	t.b.sort()
	t.b.p.NoPolicy = c.Policies() == 0
	return &t.b.p
}

type translator struct {
	noHost bool // [Options.NoHost]
	c      *Cluster
	list   *diag.List
	b      *builder
	warned bool // of blocks that hold Pods
	asked  bool // of blocks, where Pods have no address yet
}

// host allows what a node says to its Pods, before all else: the kubelet probes them,
// and no policy can name a node as a source. A policy cannot tell one host from
// another, so what the API promises the Pod's own node here holds for each.
func (t *translator) host() {
	t.b.p.Rules = append(t.b.p.Rules,
		Rule{Name: "node to its pods", Tier: adminTier, Priority: 1, Direction: Ingress, Verdict: "allow", From: []string{"host"}, To: t.b.setNames([]hosts{pods()}), Ports: []string{"any"}})
}

// toHost allows what Pods that a NetworkPolicy isolates say to their node. That is no
// more than NetworkPolicies leave open: the cluster-wide ones can name nodes as
// destinations, and an admin who denies them means it.
func (t *translator) toHost(self hosts, policy string) {
	t.b.p.Rules = append(t.b.p.Rules, Rule{Name: unique(t.b.rules, cut(policy+" leaves the node", maxName)), Tier: networkTier, Priority: allowed, Direction: Egress, Verdict: "allow",
		From: t.b.setNames([]hosts{self}), To: []string{"host"}, Ports: []string{"any"}})
}

// Priorities of the application tier.
const (
	allowed  = 100
	isolated = 200
)

func (t *translator) network(p *NetworkPolicy, d Direction) {
	if !affects(&p.Spec, d) {
		return
	}
	self := pods(append(requirements(&p.Spec.PodSelector, podKey), inNamespace(p.Namespace))...)
	name := p.Namespace + "/" + p.Name
	if !possible(self.need) {
		t.list.Warnf(p.Object.At("spec", "podSelector"), "no Pod can meet this selector, so policy %s does nothing", name)
		return
	}
	for i := range rulesOf(&p.Spec, d) {
		r := rulesOf(&p.Spec, d)[i]
		at := []any{"spec", d.String(), i}
		c := clause{self: self, verdict: "allow", name: fmt.Sprintf("%s %s[%d]", name, d, i)}
		c.peers = t.networkPeers(p, r.peers, under(at, r.key))
		c.ports = t.networkPorts(p, d, c.peers, r.ports, under(at, "ports"))
		if !c.empty() {
			t.b.add(networkTier, allowed, d, c)
		}
	}
	if d == Egress && !t.noHost {
		t.toHost(self, name)
	}
	t.b.add(networkTier, isolated, d, clause{self: self, peers: []hosts{everybody()}, ports: everyPort(), verdict: "deny", name: fmt.Sprintf("%s isolates %s", name, d)})
}

// networkRule is a rule of either direction.
type networkRule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
	key   string
}

func rulesOf(s *networkingv1.NetworkPolicySpec, d Direction) []networkRule {
	var out []networkRule
	if d == Ingress {
		for _, r := range s.Ingress {
			out = append(out, networkRule{r.From, r.Ports, "from"})
		}
		return out
	}
	for _, r := range s.Egress {
		out = append(out, networkRule{r.To, r.Ports, "to"})
	}
	return out
}

func (t *translator) networkPeers(p *NetworkPolicy, list []networkingv1.NetworkPolicyPeer, at []any) []hosts {
	if len(list) == 0 {
		return []hosts{everybody()}
	}
	var out []hosts
	for i := range list {
		q := &list[i]
		if q.IPBlock != nil {
			h := hosts{in: []netip.Prefix{block(q.IPBlock.CIDR)}}
			for _, e := range q.IPBlock.Except {
				h.out = append(h.out, block(e))
			}
			t.warnBlock(p.Object, h, under(at, i, "ipBlock"))
			out = append(out, h)
			continue
		}
		need := requirements(q.PodSelector, podKey)
		if q.NamespaceSelector == nil {
			need = append(need, inNamespace(p.Namespace))
		}
		need = append(need, requirements(q.NamespaceSelector, namespaceKey)...)
		out = t.addPods(out, need, p.Object.At(under(at, i)...))
	}
	return out
}

// addPods adds a selector's Pods, if there can be any.
func (t *translator) addPods(out []hosts, need []policy.Requirement, at diag.Span) []hosts {
	h := pods(need...)
	if !possible(h.need) {
		t.list.Warnf(at, "no Pod can meet this selector, so it adds nothing")
		return out
	}
	return append(out, h)
}

func block(text string) netip.Prefix {
	p, _ := netip.ParsePrefix(text) // validNetwork has read it
	return p.Masked()
}

// warnBlock says once that a block holds Pods, where plugins differ, and once
// that Pods have no address, so that questions about them have no right answer.
func (t *translator) warnBlock(o Object, h hosts, at []any) {
	homeless := slices.IndexFunc(t.c.Pods, func(p *Pod) bool { return !p.HostNetwork && len(p.Addrs) == 0 })
	if !t.asked && homeless >= 0 {
		t.asked = true
		p := t.c.Pods[homeless]
		t.list.Warnf(o.At(at...), "a block of addresses, and Pod %s/%s has none in the manifests: a question about it is answered as if no block held it", p.Namespace, p.Name).
			With("import Pods with their status, as kubectl get pods -A -o yaml prints them")
	}
	for _, p := range t.c.Pods {
		if !t.warned && !p.HostNetwork && slices.ContainsFunc(p.Addrs, h.holds) {
			t.warned = true
			t.list.Warnf(o.At(at...), "the block holds the address of Pod %s/%s; network plugins differ on whether it then matches the Pod, and here it does", p.Namespace, p.Name).
				With("cut the Pods' addresses out with except, if it should not")
		}
	}
}

func (t *translator) networkPorts(p *NetworkPolicy, d Direction, peers []hosts, list []networkingv1.NetworkPolicyPort, at []any) []portRange {
	if len(list) == 0 {
		return everyPort()
	}
	var out []portRange
	for i := range list {
		q := &list[i]
		proto := corev1.ProtocolTCP
		if q.Protocol != nil {
			proto = *q.Protocol
		}
		r := portRange{proto: strings.ToLower(string(proto)), hi: 65535}
		switch {
		case q.Port == nil:
		case q.Port.Type == intstr.String:
			span := p.Object.At(under(at, i, "port")...)
			blocks := slices.ContainsFunc(peers, func(h hosts) bool { return h.in != nil })
			if d == Egress && blocks {
				t.list.Errorf(span, "a named port, and a peer that is an ipBlock: only a Pod has named ports, and the language has no Pods by address").
					With("give the number, or make a rule of its own for the ipBlock")
				continue
			}
			out = append(out, t.named(q.Port.StrVal, []corev1.Protocol{proto}, span)...)
			continue
		default:
			r.lo, r.hi = uint16(q.Port.IntVal), uint16(q.Port.IntVal)
			if q.EndPort != nil {
				r.hi = uint16(*q.EndPort)
			}
		}
		out = append(out, r)
	}
	return out
}

// named is a named port: for each number that a Pod gives the name, that number
// of the Pods that do.
func (t *translator) named(name string, protos []corev1.Protocol, at diag.Span) []portRange {
	var out []portRange
	for _, proto := range protos {
		key := portKey(string(proto), name)
		var numbers []string
		for _, p := range t.c.Pods {
			if n, has := EndpointLabels(p, t.c.namespace(p.Namespace))[key]; has && !p.HostNetwork {
				numbers = append(numbers, n)
			}
		}
		for _, text := range sorted(numbers) {
			n, _ := strconv.ParseUint(text, 10, 16)
			need := []policy.Requirement{{Key: key, Op: policy.OpIn, Values: []string{text}}}
			out = append(out, portRange{strings.ToLower(string(proto)), uint16(n), uint16(n), need})
		}
	}
	if len(out) == 0 {
		t.list.Warnf(at, "no Pod of the manifests has a port called %q, so it matches nothing", name).
			With("import the Pods, or the workloads that make them, together with the policies")
	}
	return out
}

func (t *translator) endpoints() {
	holders := map[netip.Addr]Endpoint{}
	add := func(e Endpoint, addrs []netip.Addr, o Object) {
		for _, a := range addrs {
			if first, taken := holders[a]; taken && !(first.Host && e.Host) {
				t.list.Warnf(o.At("metadata", "name"), "%s has address %s, too: a question about the address is about %s", e.Name, a, first.Name).
					With("one of the two manifests is old: take it out")
				continue
			}
			holders[a] = e
			e.Addrs = append(e.Addrs, a.String())
		}
		t.b.p.Endpoints = append(t.b.p.Endpoints, e)
	}
	taken := map[string]bool{}
	for _, p := range t.c.Pods {
		if p.Kind == "" {
			taken[podName(p)] = true // a Pod that is there has its name before a workload
		}
	}
	for _, p := range t.c.Pods {
		e := Endpoint{Name: podName(p), Host: p.HostNetwork, Several: p.Several}
		if p.Kind != "" && taken[e.Name] {
			e.Name = p.Kind + ":" + p.Namespace + "/" + p.Name
			t.list.Warnf(p.Object.At("metadata", "name"), "another object has the name %s/%s, too", p.Namespace, p.Name).With("name this one in questions as %s", e.Name)
		}
		taken[e.Name] = true
		if !e.Host {
			e.Labels = EndpointLabels(p, t.c.namespace(p.Namespace))
		}
		add(e, p.Addrs, p.Object)
	}
	for _, n := range t.c.Nodes {
		add(Endpoint{Name: "node:" + n.Name, Host: true}, n.Addrs, n.Object)
	}
}

func podName(p *Pod) string { return "pod:" + p.Namespace + "/" + p.Name }
