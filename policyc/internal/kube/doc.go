// Package kube reads Kubernetes network policies, knows what they mean, and
// says the same in the language of policyc.
//
//	read (YAML ▸ Cluster) ▸ valid ▸ translate (Cluster ▸ Rules) ▸ write (TOML)
//	                           ╰─▸ Allowed: the meaning, for the tests
//
// A [Cluster] holds Kubernetes' own types. Its method Allowed interprets them
// the plain way, a statement of the published semantics after the other, and
// shares nothing with the translation: so each can be held to the other.
//
// # What an endpoint of a Pod is labelled with
//
// A rule selects endpoints by labels, so all that a policy can ask of a Pod
// must be a label of its endpoint. They are a function of the Pod and of its
// Namespace alone ([EndpointLabels]):
//
//	namespace          the Pod's namespace
//	ns/KEY             label KEY of the Namespace
//	port/PROTO/NAME    the number of the container port NAME, as port/tcp/http
//	KEY                label KEY of the Pod
//	pod/KEY            the same, where KEY is namespace or begins with ns/,
//	                   port/, pod/ or bulkhead/
//
// A Pod on the host's network is no endpoint of its own: its address is the
// node's. A node is a host, which no selector matches.
//
// # Nodes
//
// Who comes from a Pod's own node always comes in: so the API says of ingress, for the
// kubelet's sake. Of egress its types say nothing, and its pages that traffic to the
// node is always allowed, too: we read that of NetworkPolicies alone. A cluster-wide
// policy can name nodes and their addresses as destinations, and one that denies them
// is meant to; it cannot name them as sources.
//
// # What cannot be told
//
// The traffic of a Pod with itself never crosses a switch, so no rule speaks of
// it. An ipBlock matches addresses, whoever holds them, Pods too: that is the
// literal reading, where network plugins differ.
package kube
