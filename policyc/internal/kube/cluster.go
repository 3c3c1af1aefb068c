package kube

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	clusterv1 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// Cluster is what manifests state, each kind in the order of the files.
type Cluster struct {
	Namespaces []*Namespace
	Pods       []*Pod
	Nodes      []*Node
	Network    []*NetworkPolicy
	// Admin and Baseline are the tiers of cluster-wide policies.
	Admin, Baseline []*ClusterPolicy
}

// Policies counts the policies.
func (c *Cluster) Policies() int { return len(c.Network) + len(c.Admin) + len(c.Baseline) }

// Namespace has labels; kubernetes.io/metadata.name is always among them.
type Namespace struct {
	Name   string
	Labels map[string]string
	Object Object // where no manifest states it: of a Pod or policy in it
}

// Pod is a Pod, or what a workload's template makes.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	// Ports are the container ports that have a name.
	Ports []corev1.ContainerPort
	// Addrs are its addresses, as far as its manifest has them.
	Addrs []netip.Addr
	// HostNetwork: it has the addresses of its node, and no others.
	HostNetwork bool
	NodeName    string
	// Kind is the workload's whose template it is, as deployment; of a Pod that
	// is there itself it is empty.
	Kind string
	// Several: the template may make more than one.
	Several bool
	Object  Object
}

// Node is a host of the cluster.
type Node struct {
	Name   string
	Labels map[string]string
	Addrs  []netip.Addr
	Object Object
}

// NetworkPolicy is a policy of one namespace.
type NetworkPolicy struct {
	networkingv1.NetworkPolicy
	Object Object
}

// ClusterPolicy is a ClusterNetworkPolicy, or an older AdminNetworkPolicy or
// BaselineAdminNetworkPolicy in its form.
type ClusterPolicy struct {
	Kind, Name string
	Priority   int32
	Subject    clusterv1.ClusterNetworkPolicySubject
	Ingress    []ClusterRule
	Egress     []ClusterRule
	Object     Object
}

// ClusterRule is a rule of either direction: From and To are both Peers.
type ClusterRule struct {
	Name   string
	Action clusterv1.ClusterNetworkPolicyRuleAction
	Peers  []clusterv1.ClusterNetworkPolicyEgressPeer
	// Protocols nil: whatever the protocol.
	Protocols []clusterv1.ClusterNetworkPolicyProtocol
	// peers and protocols are the names of the two keys in the manifest.
	peers, protocols string
}

// Direction is which end's policies are asked.
type Direction uint8

const (
	// Ingress is asked where a connection arrives.
	Ingress Direction = iota
	// Egress is asked where it begins.
	Egress
)

func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// Rules are the rules of a direction.
func (p *ClusterPolicy) Rules(d Direction) []ClusterRule {
	if d == Egress {
		return p.Egress
	}
	return p.Ingress
}

// baselineAdmin is the rank of the BaselineAdminNetworkPolicy, which has no
// priority: behind every ClusterNetworkPolicy of the tier.
const baselineAdmin = 1001

// namespace finds a namespace by name.
func (c *Cluster) namespace(name string) *Namespace {
	for _, n := range c.Namespaces {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Pod finds a Pod by namespace and name.
func (c *Cluster) Pod(namespace, name string) *Pod {
	for _, p := range c.Pods {
		if p.Namespace == namespace && p.Name == name {
			return p
		}
	}
	return nil
}
