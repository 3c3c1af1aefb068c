package kube

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	clusterv1 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"bulkhead/policyc/internal/diag"
)

// judge reports what the API server would refuse of an object: a policy that
// no cluster would take has no meaning to keep.
type judge struct {
	o    Object
	list *diag.List
	good bool
}

func (j *judge) bad(path []any, cure, format string, args ...any) {
	j.good = false
	j.list.Errorf(j.o.At(path...), "%s: %s", dotted(path), fmt.Sprintf(format, args...)).With("%s", cure)
}

// dotted is a path as people write it: spec.ingress[0].from.
func dotted(path []any) string {
	var b strings.Builder
	for _, step := range path {
		switch s := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", s)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s)
		}
	}
	return b.String()
}

// under is a path one or several steps on, without touching the first.
func under(path []any, steps ...any) []any {
	return append(append(make([]any, 0, len(path)+len(steps)), path...), steps...)
}

// validLabels judges labels as the API server does. What it would refuse no Pod
// has, and no policy could name.
func (r *reader) validLabels(o Object, labels map[string]string, path ...any) bool {
	j := &judge{o, r.list, true}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if validation.IsQualifiedName(key) != nil {
			j.bad(path, "at most 63 letters, digits, '-', '_' and '.', with a domain and '/' before them or not", "%q is no label's key", key)
		}
		if validation.IsValidLabelValue(labels[key]) != nil {
			j.bad(path, "at most 63 letters, digits, '-', '_' and '.'", "%q is no label's value", labels[key])
		}
	}
	return j.good
}

// validNamespace judges the name of a namespace, which is a label's value.
func (r *reader) validNamespace(o Object, name string, path ...any) bool {
	j := &judge{o, r.list, true}
	if validation.IsDNS1123Label(name) != nil {
		j.bad(path, "at most 63 small letters, digits and '-'", "%q is no name of a namespace", name)
	}
	return j.good
}

// validPort judges the name of a port, which becomes part of a label's key.
func (r *reader) validPort(o Object, name string) bool {
	j := &judge{o, r.list, true}
	if validation.IsValidPortName(name) != nil {
		j.bad([]any{"spec", "containers"}, "at most 15 small letters, digits and '-'", "%q is no name of a port", name)
	}
	return j.good
}

func (r *reader) validNetwork(p *NetworkPolicy) bool {
	j := &judge{p.Object, r.list, true}
	spec := []any{"spec"}
	j.selector(&p.Spec.PodSelector, under(spec, "podSelector"))
	for i, t := range p.Spec.PolicyTypes {
		if t != networkingv1.PolicyTypeIngress && t != networkingv1.PolicyTypeEgress {
			j.bad(under(spec, "policyTypes", i), "Ingress or Egress", "%q is no type of a policy", t)
		}
	}
	for i := range p.Spec.Ingress {
		at := under(spec, "ingress", i)
		j.networkPeers(p.Spec.Ingress[i].From, under(at, "from"))
		j.networkPorts(p.Spec.Ingress[i].Ports, under(at, "ports"))
	}
	for i := range p.Spec.Egress {
		at := under(spec, "egress", i)
		j.networkPeers(p.Spec.Egress[i].To, under(at, "to"))
		j.networkPorts(p.Spec.Egress[i].Ports, under(at, "ports"))
	}
	return j.good
}

func (j *judge) selector(s *metav1.LabelSelector, path []any) {
	if s == nil {
		return
	}
	if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
		j.bad(path, "operators are In and NotIn with values, Exists and DoesNotExist without", "%v", err)
	}
}

func (j *judge) networkPeers(list []networkingv1.NetworkPolicyPeer, path []any) {
	for i := range list {
		at, q := under(path, i), &list[i]
		j.selector(q.PodSelector, under(at, "podSelector"))
		j.selector(q.NamespaceSelector, under(at, "namespaceSelector"))
		switch selects := q.PodSelector != nil || q.NamespaceSelector != nil; {
		case q.IPBlock == nil && !selects:
			j.bad(at, "podSelector, namespaceSelector or ipBlock; for everybody leave the list out", "an entry that names nobody")
		case q.IPBlock != nil && selects:
			j.bad(at, "make two entries of it: entries are ORed", "an ipBlock beside a selector")
		case q.IPBlock != nil:
			j.block(q.IPBlock, under(at, "ipBlock"))
		}
	}
}

func (j *judge) block(b *networkingv1.IPBlock, path []any) {
	whole, fine := j.cidr(b.CIDR, under(path, "cidr"))
	j.loose(b.CIDR, under(path, "cidr"))
	for i, text := range b.Except {
		at := under(path, "except", i)
		part, good := j.cidr(text, at)
		j.loose(text, at)
		if fine && good && !(whole.Bits() < part.Bits() && whole.Contains(part.Addr())) {
			j.bad(at, "a smaller block inside the cidr", "%s does not lie strictly inside %s", text, b.CIDR)
		}
	}
}

// cidr reads a block. Bits behind its length count for nothing in Kubernetes,
// too; IPv4 written as IPv6 is refused as the API server refuses it.
func (j *judge) cidr(text string, path []any) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		j.bad(path, "as 192.0.2.0/24 or 2001:db8::/32", "%q is no block of addresses", text)
		return p, false
	}
	return p.Masked(), true
}

// loose tells of bits behind a block's length: Kubernetes takes 10.0.0.1/8 for
// 10.0.0.0/8, and who wrote it may have meant 10.0.0.1/32.
func (j *judge) loose(text string, path []any) {
	if p, err := netip.ParsePrefix(text); err == nil && !p.Addr().Is4In6() && p != p.Masked() {
		j.list.Warnf(j.o.At(path...), "%s: %q has bits behind its length, and is all of %s", dotted(path), text, p.Masked()).
			With("%s; for the one address %s/%d", p.Masked(), p.Addr(), p.Addr().BitLen())
	}
}

func (j *judge) networkPorts(list []networkingv1.NetworkPolicyPort, path []any) {
	for i := range list {
		at, q := under(path, i), &list[i]
		if q.Protocol != nil {
			j.protocol(*q.Protocol, under(at, "protocol"))
		}
		numeric := q.Port != nil && q.Port.Type == intstr.Int
		if numeric {
			j.number(q.Port.IntVal, under(at, "port"))
		}
		if q.Port != nil && !numeric {
			j.portName(q.Port.StrVal, under(at, "port"))
		}
		switch {
		case q.EndPort == nil:
		case !numeric:
			j.bad(under(at, "endPort"), "give port as a number, too", "endPort needs a numeric port")
		case *q.EndPort < q.Port.IntVal:
			j.bad(under(at, "endPort"), "write the smaller number first", "%d is below port %d", *q.EndPort, q.Port.IntVal)
		default:
			j.number(*q.EndPort, under(at, "endPort"))
		}
	}
}

// portName judges the name of a port in a policy. Digits in quotes are a name to the
// API server, and one that no port can have.
func (j *judge) portName(name string, path []any) {
	_, err := strconv.Atoi(name)
	switch {
	case name == "":
		j.bad(path, "a number, or the name of a container port", "an empty name")
	case err == nil:
		j.bad(path, "without quotes: "+name, "%q is a text, and no name of a port", name)
	case validation.IsValidPortName(name) != nil:
		j.bad(path, "at most 15 small letters, digits and '-', one letter among them", "%q is no name of a port", name)
	}
}

func (j *judge) protocol(p corev1.Protocol, path []any) {
	if p != corev1.ProtocolTCP && p != corev1.ProtocolUDP && p != corev1.ProtocolSCTP {
		j.bad(path, "TCP, UDP or SCTP", "%q is no protocol that a policy can name", p)
	}
}

func (j *judge) number(n int32, path []any) {
	if n < 1 || n > 65535 {
		j.bad(path, "a number from 1 to 65535", "%d is no port", n)
	}
}

func (r *reader) validCluster(p *ClusterPolicy) bool {
	j := &judge{p.Object, r.list, true}
	spec := []any{"spec"}
	baseline := p.Kind == "BaselineAdminNetworkPolicy"
	if baseline && p.Name != "default" {
		j.bad([]any{"metadata", "name"}, "name: default", "there is one BaselineAdminNetworkPolicy, called default")
	}
	if !baseline && (p.Priority < 0 || p.Priority > 1000) {
		j.bad(under(spec, "priority"), "a number from 0 to 1000, the lower first", "priority is %d", p.Priority)
	}
	j.pods(p.Subject.Namespaces, p.Subject.Pods, under(spec, "subject"))
	if (p.Subject.Namespaces == nil) == (p.Subject.Pods == nil) {
		j.bad(under(spec, "subject"), "namespaces or pods; {} selects all", "a subject is one of the two")
	}
	for _, d := range []Direction{Ingress, Egress} {
		for i := range p.Rules(d) {
			j.clusterRule(p, &p.Rules(d)[i], under(spec, d.String(), i))
		}
	}
	return j.good
}

func (j *judge) pods(namespaces *metav1.LabelSelector, pods *clusterv1.NamespacedPod, path []any) {
	j.selector(namespaces, under(path, "namespaces"))
	if pods != nil {
		j.selector(&pods.NamespaceSelector, under(path, "pods", "namespaceSelector"))
		j.selector(&pods.PodSelector, under(path, "pods", "podSelector"))
	}
}

func (j *judge) clusterRule(p *ClusterPolicy, q *ClusterRule, path []any) {
	actions := "Accept, Deny or Pass"
	switch p.Kind {
	case "AdminNetworkPolicy":
		actions = "Allow, Deny or Pass"
	case "BaselineAdminNetworkPolicy":
		actions = "Allow or Deny"
	}
	pass := q.Action == clusterv1.ClusterNetworkPolicyRuleActionPass
	if rank(q.Action) < 0 || pass && p.Kind == "BaselineAdminNetworkPolicy" {
		j.bad(under(path, "action"), actions, "%q is no action here", q.Action)
	}
	if len(q.Peers) == 0 {
		j.bad(under(path, q.peers), "at least one; namespaces: {} is every Pod", "no peer")
	}
	for i := range q.Peers {
		j.clusterPeer(&q.Peers[i], under(path, q.peers, i))
	}
	if q.Protocols != nil && len(q.Protocols) == 0 {
		j.bad(under(path, q.protocols), "leave it out for every protocol", "an empty list")
	}
	for i := range q.Protocols {
		j.clusterProtocol(&q.Protocols[i], under(path, q.protocols, i))
		if q.Protocols[i].DestinationNamedPort != "" && addressed(q.Peers) {
			j.bad(under(path, q.protocols, i), "give the number, or make a rule of its own for the networks", "a named port, and peers that are networks or nodes: only a Pod has named ports")
		}
	}
}

// addressed tells whether one of the peers is known by addresses alone.
func addressed(list []clusterv1.ClusterNetworkPolicyEgressPeer) bool {
	for _, q := range list {
		if q.Nodes != nil || len(q.Networks) > 0 {
			return true
		}
	}
	return false
}

func (j *judge) clusterPeer(q *clusterv1.ClusterNetworkPolicyEgressPeer, path []any) {
	j.pods(q.Namespaces, q.Pods, path)
	j.selector(q.Nodes, under(path, "nodes"))
	n := 0
	for _, set := range []bool{q.Namespaces != nil, q.Pods != nil, q.Nodes != nil, len(q.Networks) > 0, len(q.DomainNames) > 0} {
		if set {
			n++
		}
	}
	if n != 1 {
		j.bad(path, "make an entry of each; namespaces, pods, and for egress nodes and networks", "a peer is one thing, and this is %d", n)
	}
	if len(q.DomainNames) > 0 {
		j.bad(under(path, "domainNames"), "name the networks that the names stand for: networks: [192.0.2.0/24]", "domain names cannot be compiled, for what they stand for changes")
	}
	for i, cidr := range q.Networks {
		at := under(path, "networks", i)
		if whole, fine := j.cidr(string(cidr), at); fine && whole.Addr() != netip.MustParsePrefix(string(cidr)).Addr() {
			j.bad(at, whole.String(), "%q has bits behind its length", cidr) // which only ipBlock may have
		}
	}
}

func (j *judge) clusterProtocol(q *clusterv1.ClusterNetworkPolicyProtocol, path []any) {
	n := 0
	if q.DestinationNamedPort != "" {
		n++
	}
	if q.TCP != nil {
		n++
		j.clusterPort(q.TCP.DestinationPort, under(path, "tcp", "destinationPort"))
	}
	if q.UDP != nil {
		n++
		j.clusterPort(q.UDP.DestinationPort, under(path, "udp", "destinationPort"))
	}
	if q.SCTP != nil {
		n++
		j.clusterPort(q.SCTP.DestinationPort, under(path, "sctp", "destinationPort"))
	}
	if n != 1 {
		j.bad(path, "TCP, UDP or SCTP, with a number or a range, or the name of a port", "an entry is of one protocol, and this is of %d", n)
	}
}

func (j *judge) clusterPort(p *clusterv1.Port, path []any) {
	switch {
	case p == nil:
	case p.Range == nil:
		j.number(p.Number, path)
	case p.Number != 0:
		j.bad(path, "make two entries of it", "a number and a range")
	default:
		j.number(p.Range.Start, path)
		j.number(p.Range.End, path)
		if p.Range.Start > p.Range.End {
			j.bad(path, "write the smaller number first", "the range %d-%d runs backwards", p.Range.Start, p.Range.End)
		}
	}
}
