package kube

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bulkhead/policyc/internal/diag"
)

// nameLabel is on each namespace, with its name (N27).
const nameLabel = corev1.LabelMetadataName

func (r *reader) namespace(_ string, data []byte, o Object) {
	var n corev1.Namespace
	if !r.decode(data, &n, o, diag.Warning) || !r.once("Namespace", "", n.Name, o) {
		return
	}
	if !r.validNamespace(o, n.Name, "metadata", "name") || !r.validLabels(o, n.Labels, "metadata", "labels") {
		return
	}
	r.c.Namespaces = append(r.c.Namespaces, &Namespace{Name: n.Name, Labels: namespaceLabels(n.Name, n.Labels), Object: o})
}

func namespaceLabels(name string, stated map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, stated)
	all[nameLabel] = name
	return all
}

func (r *reader) pod(_ string, data []byte, o Object) {
	var p corev1.Pod
	if !r.decode(data, &p, o, diag.Warning) {
		return
	}
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return // N26: its address may be another's by now
	}
	r.addPod("", p.ObjectMeta, &p.Spec, addresses(&p.Status), o)
}

func addresses(s *corev1.PodStatus) []netip.Addr {
	texts := []string{s.PodIP}
	for _, ip := range s.PodIPs {
		texts = append(texts, ip.IP)
	}
	return parseAddrs(texts)
}

// parseAddrs takes the addresses that a status has; what is none is left out.
func parseAddrs(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(out, a.Unmap()) {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// addPod adds a Pod, or what the template of a workload of a kind makes. Objects
// of two kinds may have one name.
func (r *reader) addPod(kind string, meta metav1.ObjectMeta, spec *corev1.PodSpec, addrs []netip.Addr, o Object) *Pod {
	namespace := orDefault(meta.Namespace)
	if !r.once(cmp.Or(kind, "Pod"), namespace, meta.Name, o) {
		return nil
	}
	at := []any{"metadata", "labels"}
	if kind != "" {
		at = []any{"spec", "template", "metadata", "labels"}
	}
	if !r.validNamespace(o, namespace, "metadata", "namespace") || !r.validLabels(o, meta.Labels, at...) {
		return nil
	}
	p := &Pod{
		Namespace: namespace, Name: meta.Name, Labels: meta.Labels, Addrs: addrs,
		HostNetwork: spec.HostNetwork, NodeName: spec.NodeName, Kind: strings.ToLower(kind), Object: o,
	}
	for _, container := range spec.Containers {
		for _, port := range container.Ports {
			if port.Name != "" && r.validPort(o, port.Name) {
				p.Ports = append(p.Ports, port)
			}
		}
	}
	r.c.Pods = append(r.c.Pods, p)
	return p
}

func orDefault(namespace string) string {
	if namespace == "" {
		return metav1.NamespaceDefault
	}
	return namespace
}

// workload reads the objects of a kind that makes Pods.
func workload(kind string) func(*reader, string, []byte, Object) {
	return func(r *reader, _ string, data []byte, o Object) { r.workload(kind, data, o) }
}

// workload takes the Pods of a template for one name, the workload's: selectors
// cannot tell them apart. But they are several, and what one may say to another
// is up to the policies; one Pod alone is where the manifest says that there is
// one. A count that is not stated is left to an autoscaler.
func (r *reader) workload(kind string, data []byte, o Object) {
	var w struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Replicas    *int32                  `json:"replicas"`
			Template    *corev1.PodTemplateSpec `json:"template"`
			JobTemplate *struct {
				Spec struct {
					Template corev1.PodTemplateSpec `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	if !r.decodeLoosely(data, &w, o) {
		return
	}
	template := w.Spec.Template
	if w.Spec.JobTemplate != nil {
		template = &w.Spec.JobTemplate.Spec.Template
	}
	if template == nil {
		return
	}
	meta := metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name, Labels: template.Labels}
	if p := r.addPod(kind, meta, &template.Spec, nil, o); p != nil {
		p.Several = w.Spec.Replicas == nil || *w.Spec.Replicas > 1
	}
}

func (r *reader) node(_ string, data []byte, o Object) {
	var n corev1.Node
	if !r.decode(data, &n, o, diag.Warning) || !r.once("Node", "", n.Name, o) || !r.validLabels(o, n.Labels, "metadata", "labels") {
		return
	}
	var texts []string
	for _, a := range n.Status.Addresses {
		texts = append(texts, a.Address)
	}
	r.c.Nodes = append(r.c.Nodes, &Node{Name: n.Name, Labels: n.Labels, Addrs: parseAddrs(texts), Object: o})
}

// assume adds the namespaces that are named and have no manifest.
func (r *reader) assume() {
	add := func(name string, o Object) {
		if r.c.namespace(name) == nil {
			r.c.Namespaces = append(r.c.Namespaces, &Namespace{Name: name, Labels: namespaceLabels(name, nil), Object: o})
		}
	}
	for _, p := range r.c.Pods {
		add(p.Namespace, p.Object)
	}
	for _, p := range r.c.Network {
		add(p.Namespace, p.Object)
	}
}
