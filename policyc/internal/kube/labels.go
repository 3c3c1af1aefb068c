package kube

import (
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead/dataplane/policy"
)

// ownNamespace is the label that every endpoint of a Pod has, and no other.
const ownNamespace = "namespace"

// EndpointLabels are the labels of a Pod's endpoint: a function of the Pod and
// of its Namespace alone. The package's comment has the table.
func EndpointLabels(p *Pod, n *Namespace) map[string]string {
	out := map[string]string{ownNamespace: p.Namespace}
	for key, value := range p.Labels {
		out[podKey(key)] = value
	}
	for key, value := range n.Labels {
		out[namespaceKey(key)] = value
	}
	for _, port := range p.Ports {
		key := portKey(string(protoOf(port)), port.Name)
		if _, first := out[key]; !first {
			out[key] = strconv.Itoa(int(port.ContainerPort))
		}
	}
	return out
}

func namespaceKey(key string) string    { return "ns/" + key }
func portKey(proto, name string) string { return "port/" + strings.ToLower(proto) + "/" + name }

// podKey keeps a Pod's labels apart from what else is on its endpoint, and from
// the label that makes a host: a Pod chooses its labels.
func podKey(key string) string {
	prefix, _, _ := strings.Cut(key, "/")
	if key == ownNamespace || strings.HasPrefix(key, policy.Reserved) || strings.Contains(key, "/") && (prefix == "ns" || prefix == "port" || prefix == "pod") {
		return "pod/" + key
	}
	return key
}

// requirements writes a selector as conditions on an endpoint's labels.
func requirements(s *metav1.LabelSelector, rename func(string) string) []policy.Requirement {
	var out []policy.Requirement
	if s == nil {
		return nil
	}
	for key, value := range s.MatchLabels {
		out = append(out, policy.Requirement{Key: rename(key), Op: policy.OpIn, Values: []string{value}})
	}
	ops := map[metav1.LabelSelectorOperator]policy.Op{
		metav1.LabelSelectorOpIn: policy.OpIn, metav1.LabelSelectorOpNotIn: policy.OpNotIn,
		metav1.LabelSelectorOpExists: policy.OpExists, metav1.LabelSelectorOpDoesNotExist: policy.OpNotExists,
	}
	for _, e := range s.MatchExpressions {
		out = append(out, policy.Requirement{Key: rename(e.Key), Op: ops[e.Operator], Values: sorted(e.Values)})
	}
	return out
}

// isPod is met by the endpoints of all Pods.
func isPod() policy.Requirement {
	return policy.Requirement{Key: ownNamespace, Op: policy.OpExists}
}

// inNamespace is met by the Pods of one namespace.
func inNamespace(name string) policy.Requirement {
	return policy.Requirement{Key: ownNamespace, Op: policy.OpIn, Values: []string{name}}
}
