package kube

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	clusterv1 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// End is one end of a connection.
type End struct {
	Pod  *Pod       // nil: no Pod
	Node bool       // the node that the other end runs on
	Addr netip.Addr // the address in use
}

// Flow is the transport of a connection. Proto is TCP, UDP, SCTP, or any other
// name for a protocol that no ports entry can name.
type Flow struct {
	Proto corev1.Protocol
	Port  uint16
}

// Allowed says whether a connection may be opened, by the API's own words: the
// policies of the source's egress and of the destination's ingress must both
// allow it (N3). Replies are part of it (N24).
func (c *Cluster) Allowed(from, to End, f Flow) bool {
	if from.Pod != nil && from.Pod == to.Pod && !from.Pod.Several {
		return true // N21: no Pod is isolated from itself; from its like it is
	}
	return c.direction(Egress, from, to, to, f) && c.direction(Ingress, to, from, to, f)
}

// isNode tells whether end is the node that the other runs on; a Pod on the
// host's network is its node (N23).
func isNode(end, other End) bool {
	return end.Node || end.Pod != nil && other.Pod != nil && end.Pod.HostNetwork &&
		end.Pod.NodeName != "" && end.Pod.NodeName == other.Pod.NodeName
}

// direction asks the tiers in their order: Admin, NetworkPolicy, Baseline (C1).
// dest is where the connection goes, whose named ports count (N20).
func (c *Cluster) direction(d Direction, self, peer, dest End, f Flow) bool {
	if !isEndpoint(self) {
		return true // no policy has it for a subject (N23, C12)
	}
	node := isNode(peer, self)
	if node && d == Ingress {
		return true // N22: for the kubelet's sake; no cluster-wide policy can name who comes from it
	}
	switch c.tier(c.Admin, d, self.Pod, peer, dest, f) {
	case clusterv1.ClusterNetworkPolicyRuleActionAccept:
		return true
	case clusterv1.ClusterNetworkPolicyRuleActionDeny:
		return false
	}
	if isolated, allowed := c.network(d, self.Pod, peer, dest, f); isolated {
		return allowed || node // N22: no NetworkPolicy keeps a Pod from its node. Also where nothing allows it: Baseline is not asked (C7)
	}
	return c.tier(c.Baseline, d, self.Pod, peer, dest, f) != clusterv1.ClusterNetworkPolicyRuleActionDeny
}

// isEndpoint tells whether selectors can match an end.
func isEndpoint(e End) bool { return e.Pod != nil && !e.Pod.HostNetwork }

// tier is what a tier of cluster-wide policies says; "" is nothing. The lowest
// priority that says something decides (C2); of several policies at it a Deny
// counts before an Accept, and that before a Pass (C6).
func (c *Cluster) tier(policies []*ClusterPolicy, d Direction, self *Pod, peer, dest End, f Flow) clusterv1.ClusterNetworkPolicyRuleAction {
	var said clusterv1.ClusterNetworkPolicyRuleAction
	at := int32(0)
	for _, p := range policies {
		action := c.first(p, d, self, peer, dest, f)
		switch {
		case action == "":
		case said == "" || p.Priority < at:
			said, at = action, p.Priority
		case p.Priority == at && rank(action) < rank(said):
			said = action
		}
	}
	return said
}

func rank(a clusterv1.ClusterNetworkPolicyRuleAction) int {
	return slices.Index([]clusterv1.ClusterNetworkPolicyRuleAction{
		clusterv1.ClusterNetworkPolicyRuleActionDeny, clusterv1.ClusterNetworkPolicyRuleActionAccept, clusterv1.ClusterNetworkPolicyRuleActionPass,
	}, a)
}

// first is the action of a policy's first rule that matches (C2).
func (c *Cluster) first(p *ClusterPolicy, d Direction, self *Pod, peer, dest End, f Flow) clusterv1.ClusterNetworkPolicyRuleAction {
	if !c.subject(&p.Subject, self) {
		return ""
	}
	for _, r := range p.Rules(d) {
		peers := slices.ContainsFunc(r.Peers, func(q clusterv1.ClusterNetworkPolicyEgressPeer) bool { return c.clusterPeer(&q, peer) })
		ports := r.Protocols == nil || slices.ContainsFunc(r.Protocols, func(q clusterv1.ClusterNetworkPolicyProtocol) bool { return protocol(&q, dest, f) })
		if peers && ports {
			return r.Action
		}
	}
	return ""
}

func (c *Cluster) subject(s *clusterv1.ClusterNetworkPolicySubject, p *Pod) bool {
	if s.Namespaces != nil {
		return matches(s.Namespaces, c.namespace(p.Namespace).Labels)
	}
	return s.Pods != nil && c.namespacedPod(s.Pods, p)
}

func (c *Cluster) namespacedPod(s *clusterv1.NamespacedPod, p *Pod) bool {
	return matches(&s.NamespaceSelector, c.namespace(p.Namespace).Labels) && matches(&s.PodSelector, p.Labels)
}

// clusterPeer tells whether an end is a peer (C9).
func (c *Cluster) clusterPeer(q *clusterv1.ClusterNetworkPolicyEgressPeer, e End) bool {
	switch {
	case q.Namespaces != nil:
		return isEndpoint(e) && matches(q.Namespaces, c.namespace(e.Pod.Namespace).Labels)
	case q.Pods != nil:
		return isEndpoint(e) && c.namespacedPod(q.Pods, e.Pod)
	case q.Nodes != nil:
		return slices.ContainsFunc(c.Nodes, func(n *Node) bool { return matches(q.Nodes, n.Labels) && slices.Contains(n.Addrs, e.Addr) })
	}
	return slices.ContainsFunc(q.Networks, func(cidr clusterv1.CIDR) bool { return inside(string(cidr), e.Addr) })
}

// protocol tells whether a protocols entry names a flow (C10).
func protocol(q *clusterv1.ClusterNetworkPolicyProtocol, dest End, f Flow) bool {
	if q.DestinationNamedPort != "" {
		return named(dest, q.DestinationNamedPort, f)
	}
	var port *clusterv1.Port
	switch {
	case q.TCP != nil && f.Proto == corev1.ProtocolTCP:
		port = q.TCP.DestinationPort
	case q.UDP != nil && f.Proto == corev1.ProtocolUDP:
		port = q.UDP.DestinationPort
	case q.SCTP != nil && f.Proto == corev1.ProtocolSCTP:
		port = q.SCTP.DestinationPort
	default:
		return false
	}
	if port == nil {
		return true
	}
	if port.Range != nil {
		return port.Range.Start <= int32(f.Port) && int32(f.Port) <= port.Range.End
	}
	return port.Number == int32(f.Port)
}

// network asks the NetworkPolicies: whether one selects the Pod in the
// direction (N1), and whether one of those allows the connection (N2).
func (c *Cluster) network(d Direction, self *Pod, peer, dest End, f Flow) (isolated, allowed bool) {
	for _, p := range c.Network {
		if p.Namespace != self.Namespace || !matches(&p.Spec.PodSelector, self.Labels) || !affects(&p.Spec, d) {
			continue
		}
		isolated = true
		allowed = allowed || c.allows(p, d, peer, dest, f)
	}
	return isolated, allowed
}

// affects tells whether a policy isolates in a direction (N4, N5).
func affects(s *networkingv1.NetworkPolicySpec, d Direction) bool {
	switch {
	case len(s.PolicyTypes) > 0 && d == Ingress:
		return slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeIngress)
	case len(s.PolicyTypes) > 0:
		return slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
	return d == Ingress || len(s.Egress) > 0
}

// allows tells whether one of a policy's rules allows the connection; none does
// where there is none (N6).
func (c *Cluster) allows(p *NetworkPolicy, d Direction, peer, dest End, f Flow) bool {
	if d == Ingress {
		return slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
			return c.peers(p.Namespace, r.From, peer) && ports(r.Ports, dest, f)
		})
	}
	return slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
		return c.peers(p.Namespace, r.To, peer) && ports(r.Ports, dest, f)
	})
}

// peers: absent or empty is everybody (N8); entries are ORed (N10).
func (c *Cluster) peers(namespace string, list []networkingv1.NetworkPolicyPeer, e End) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(q networkingv1.NetworkPolicyPeer) bool { return c.peer(namespace, &q, e) })
}

// peer: an ipBlock stands alone (N15); selectors of one entry are ANDed (N10),
// a podSelector alone is of the policy's namespace (N11), a namespaceSelector
// alone is all its Pods (N12).
func (c *Cluster) peer(namespace string, q *networkingv1.NetworkPolicyPeer, e End) bool {
	if q.IPBlock != nil {
		excepted := slices.ContainsFunc(q.IPBlock.Except, func(cidr string) bool { return inside(cidr, e.Addr) })
		return inside(q.IPBlock.CIDR, e.Addr) && !excepted
	}
	if !isEndpoint(e) {
		return false
	}
	if q.NamespaceSelector == nil {
		return e.Pod.Namespace == namespace && matches(q.PodSelector, e.Pod.Labels)
	}
	return matches(q.NamespaceSelector, c.namespace(e.Pod.Namespace).Labels) && (q.PodSelector == nil || matches(q.PodSelector, e.Pod.Labels))
}

// ports: absent or empty is every port of every protocol (N9).
func ports(list []networkingv1.NetworkPolicyPort, dest End, f Flow) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(q networkingv1.NetworkPolicyPort) bool { return port(&q, dest, f) })
}

func port(q *networkingv1.NetworkPolicyPort, dest End, f Flow) bool {
	proto := corev1.ProtocolTCP // N17
	if q.Protocol != nil {
		proto = *q.Protocol
	}
	switch {
	case f.Proto != proto:
		return false
	case q.Port == nil:
		return true // N18
	case q.Port.Type == intstr.String:
		return named(dest, q.Port.StrVal, f)
	case q.EndPort != nil:
		return q.Port.IntVal <= int32(f.Port) && int32(f.Port) <= *q.EndPort // N19
	}
	return q.Port.IntVal == int32(f.Port)
}

// named resolves a port's name in the Pod that is connected to (N20).
func named(dest End, name string, f Flow) bool {
	if !isEndpoint(dest) {
		return false
	}
	for _, p := range dest.Pod.Ports {
		if p.Name == name && protoOf(p) == f.Proto {
			return p.ContainerPort == int32(f.Port) // the first of a name, as the API's own FindPort
		}
	}
	return false
}

func protoOf(p corev1.ContainerPort) corev1.Protocol {
	if p.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return p.Protocol
}

// matches asks Kubernetes' own code for selectors (N13, N14).
func matches(s *metav1.LabelSelector, of map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(of))
}

// inside tells whether an address is in a block; families never meet (N30).
func inside(cidr string, a netip.Addr) bool {
	p, err := netip.ParsePrefix(strings.TrimSpace(cidr))
	return err == nil && p.Contains(a)
}
