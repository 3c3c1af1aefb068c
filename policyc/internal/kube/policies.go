package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
	adminv1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	clusterv1 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"bulkhead/policyc/internal/diag"
)

// decodeLoosely fills a value with what it knows of an object.
func (r *reader) decodeLoosely(data []byte, into any, o Object) bool {
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, into); err != nil {
		r.list.Errorf(o.At(), "%v", err)
		return false
	}
	return true
}

func (r *reader) networkPolicy(version string, data []byte, o Object) {
	p := &NetworkPolicy{Object: o}
	if !r.served("NetworkPolicy", version, o, "v1") || !r.decode(data, &p.NetworkPolicy, o, diag.Error) {
		return
	}
	p.Namespace = orDefault(p.Namespace)
	if r.once("NetworkPolicy", p.Namespace, p.Name, o) && r.validNetwork(p) {
		r.c.Network = append(r.c.Network, p)
	}
}

// served tells whether a version of a kind is one that is read.
func (r *reader) served(kind, version string, o Object, known ...string) bool {
	for _, k := range known {
		if k == version {
			return true
		}
	}
	r.list.Errorf(o.At("apiVersion"), "%s of version %q is not read", kind, version).With("its versions are %s", strings.Join(known, ", "))
	return false
}

// clusterPolicy reads both versions: their types differ in name only.
func (r *reader) clusterPolicy(version string, data []byte, o Object) {
	var p clusterv1.ClusterNetworkPolicy
	if !r.served("ClusterNetworkPolicy", version, o, "v1alpha2", "v1beta1") || !r.decode(data, &p, o, diag.Error) {
		return
	}
	out := &ClusterPolicy{Kind: "ClusterNetworkPolicy", Name: p.Name, Priority: p.Spec.Priority, Subject: p.Spec.Subject, Object: o}
	for _, q := range p.Spec.Ingress {
		rule := ClusterRule{Name: q.Name, Action: q.Action, Protocols: q.Protocols, peers: "from", protocols: "protocols"}
		for _, peer := range q.From {
			rule.Peers = append(rule.Peers, clusterv1.ClusterNetworkPolicyEgressPeer{Namespaces: peer.Namespaces, Pods: peer.Pods})
		}
		out.Ingress = append(out.Ingress, rule)
	}
	for _, q := range p.Spec.Egress {
		out.Egress = append(out.Egress, ClusterRule{Name: q.Name, Action: q.Action, Peers: q.To, Protocols: q.Protocols, peers: "to", protocols: "protocols"})
	}
	tiers := map[clusterv1.Tier]*[]*ClusterPolicy{clusterv1.AdminTier: &r.c.Admin, clusterv1.BaselineTier: &r.c.Baseline}
	tier, known := tiers[p.Spec.Tier]
	if !known {
		r.list.Errorf(o.At("spec", "tier"), "tier is %q", p.Spec.Tier).With("Admin or Baseline")
		return
	}
	r.addCluster(tier, out)
}

func (r *reader) addCluster(tier *[]*ClusterPolicy, p *ClusterPolicy) {
	if r.once(p.Kind, "", p.Name, p.Object) && r.validCluster(p) {
		*tier = append(*tier, p)
	}
}

func (r *reader) adminPolicy(version string, data []byte, o Object) {
	var p adminv1.AdminNetworkPolicy
	if !r.served("AdminNetworkPolicy", version, o, "v1alpha1") || !r.decode(data, &p, o, diag.Error) {
		return
	}
	out := &ClusterPolicy{Kind: "AdminNetworkPolicy", Name: p.Name, Priority: p.Spec.Priority, Subject: subjectOf(p.Spec.Subject), Object: o}
	for _, q := range p.Spec.Ingress {
		out.Ingress = append(out.Ingress, adminRule(q.Name, string(q.Action), ingressPeers(q.From), q.Ports, "from"))
	}
	for _, q := range p.Spec.Egress {
		out.Egress = append(out.Egress, adminRule(q.Name, string(q.Action), egressPeers(q.To), q.Ports, "to"))
	}
	r.addCluster(&r.c.Admin, out)
}

func (r *reader) baselinePolicy(version string, data []byte, o Object) {
	var p adminv1.BaselineAdminNetworkPolicy
	if !r.served("BaselineAdminNetworkPolicy", version, o, "v1alpha1") || !r.decode(data, &p, o, diag.Error) {
		return
	}
	out := &ClusterPolicy{Kind: "BaselineAdminNetworkPolicy", Name: p.Name, Priority: baselineAdmin, Subject: subjectOf(p.Spec.Subject), Object: o}
	for _, q := range p.Spec.Ingress {
		out.Ingress = append(out.Ingress, adminRule(q.Name, string(q.Action), ingressPeers(q.From), q.Ports, "from"))
	}
	for _, q := range p.Spec.Egress {
		var peers []adminv1.AdminNetworkPolicyEgressPeer
		for _, peer := range q.To {
			peers = append(peers, adminv1.AdminNetworkPolicyEgressPeer{Namespaces: peer.Namespaces, Pods: peer.Pods, Nodes: peer.Nodes, Networks: peer.Networks})
		}
		out.Egress = append(out.Egress, adminRule(q.Name, string(q.Action), egressPeers(peers), q.Ports, "to"))
	}
	r.addCluster(&r.c.Baseline, out)
}

func subjectOf(s adminv1.AdminNetworkPolicySubject) clusterv1.ClusterNetworkPolicySubject {
	return clusterv1.ClusterNetworkPolicySubject{Namespaces: s.Namespaces, Pods: podsOf(s.Pods)}
}

func podsOf(p *adminv1.NamespacedPod) *clusterv1.NamespacedPod {
	if p == nil {
		return nil
	}
	return &clusterv1.NamespacedPod{NamespaceSelector: p.NamespaceSelector, PodSelector: p.PodSelector}
}

func ingressPeers(list []adminv1.AdminNetworkPolicyIngressPeer) []clusterv1.ClusterNetworkPolicyEgressPeer {
	var out []clusterv1.ClusterNetworkPolicyEgressPeer
	for _, p := range list {
		out = append(out, clusterv1.ClusterNetworkPolicyEgressPeer{Namespaces: p.Namespaces, Pods: podsOf(p.Pods)})
	}
	return out
}

func egressPeers(list []adminv1.AdminNetworkPolicyEgressPeer) []clusterv1.ClusterNetworkPolicyEgressPeer {
	var out []clusterv1.ClusterNetworkPolicyEgressPeer
	for _, p := range list {
		q := clusterv1.ClusterNetworkPolicyEgressPeer{Namespaces: p.Namespaces, Pods: podsOf(p.Pods), Nodes: p.Nodes}
		for _, cidr := range p.Networks {
			q.Networks = append(q.Networks, clusterv1.CIDR(cidr))
		}
		for _, name := range p.DomainNames {
			q.DomainNames = append(q.DomainNames, clusterv1.DomainName(name))
		}
		out = append(out, q)
	}
	return out
}

// adminRule takes Allow for what is now called Accept.
func adminRule(name, action string, peers []clusterv1.ClusterNetworkPolicyEgressPeer, ports *[]adminv1.AdminNetworkPolicyPort, key string) ClusterRule {
	r := ClusterRule{Name: name, Action: clusterv1.ClusterNetworkPolicyRuleAction(action), Peers: peers, peers: key, protocols: "ports"}
	switch action {
	case "Allow":
		r.Action = clusterv1.ClusterNetworkPolicyRuleActionAccept
	case "Accept":
		r.Action = "Accept in an AdminNetworkPolicy" // which calls it Allow
	}
	if ports != nil {
		r.Protocols = make([]clusterv1.ClusterNetworkPolicyProtocol, 0, len(*ports))
		for _, p := range *ports {
			r.Protocols = append(r.Protocols, adminPort(p))
		}
	}
	return r
}

func adminPort(p adminv1.AdminNetworkPolicyPort) clusterv1.ClusterNetworkPolicyProtocol {
	switch {
	case p.NamedPort != nil:
		return clusterv1.ClusterNetworkPolicyProtocol{DestinationNamedPort: *p.NamedPort}
	case p.PortNumber != nil:
		return onProtocol(p.PortNumber.Protocol, &clusterv1.Port{Number: p.PortNumber.Port})
	case p.PortRange != nil:
		return onProtocol(p.PortRange.Protocol, &clusterv1.Port{Range: &clusterv1.PortRange{Start: p.PortRange.Start, End: p.PortRange.End}})
	}
	return clusterv1.ClusterNetworkPolicyProtocol{}
}

func onProtocol(proto corev1.Protocol, port *clusterv1.Port) clusterv1.ClusterNetworkPolicyProtocol {
	switch proto {
	case corev1.ProtocolTCP, "":
		return clusterv1.ClusterNetworkPolicyProtocol{TCP: &clusterv1.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}}
	case corev1.ProtocolUDP:
		return clusterv1.ClusterNetworkPolicyProtocol{UDP: &clusterv1.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}}
	case corev1.ProtocolSCTP:
		return clusterv1.ClusterNetworkPolicyProtocol{SCTP: &clusterv1.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}}
	}
	return clusterv1.ClusterNetworkPolicyProtocol{} // no entry names it: validCluster says so
}
