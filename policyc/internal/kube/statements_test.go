package kube

import "testing"

// statement is a sentence of the published semantics, with policies over the
// nine Pods and what they must mean.
type statement struct {
	name  string
	yaml  string
	asked []string
}

const denyIn = "{podSelector: {}, policyTypes: [Ingress]}"

// statements are those of the API's documentation, in the order of the
// project's list of them.
var statements = []statement{
	{"N01_no_policy_all_is_allowed", "", []string{
		"x/a -> y/b tcp/80: yes", "203.0.113.5 -> x/a udp/81: yes", "x/a -> 203.0.113.5 icmp/0: yes", "x/a/6 -> z/c/6 sctp/80: yes"}},
	{"N01_selection_is_by_pod_and_direction", np("p", "{podSelector: {matchLabels: {pod: a}}, ingress: []}"), []string{
		"y/b -> x/a tcp/80: no", "y/b -> x/b tcp/80: yes", "x/a -> y/b tcp/80: yes", "y/b -> y/a tcp/80: yes"}},
	{"N02_the_union_of_the_rules", np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}") +
		np("q", "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 81}]}]}"), []string{
		"x/b -> x/a tcp/80: yes", "x/c -> x/a tcp/81: yes", "x/c -> x/a tcp/80: no", "x/c -> x/b tcp/81: no"}},
	{"N03_both_ends_must_allow", np("in", "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}]}]}") +
		np("out", "{podSelector: {matchLabels: {pod: b}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {pod: c}}}]}]}"), []string{
		"x/b -> x/a tcp/80: no", "x/c -> x/a tcp/80: yes", "x/b -> x/c tcp/80: yes"}},
	{"N04_policy_types_absent_without_egress", np("p", "{podSelector: {}}"), []string{
		"y/a -> x/a tcp/80: no", "x/a -> y/a tcp/80: yes"}},
	{"N04_policy_types_absent_with_egress", np("p", "{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}"), []string{
		"y/a -> x/a tcp/80: no", "x/a -> y/a tcp/80: no", "x/a -> x/b tcp/80: no"}},
	{"N04_an_empty_egress_is_none", np("p", "{podSelector: {}, egress: []}"), []string{
		"y/a -> x/a tcp/80: no", "x/a -> y/a tcp/80: yes"}},
	{"N05_egress_alone_does_not_isolate_ingress", np("p", "{podSelector: {}, policyTypes: [Egress]}"), []string{
		"y/a -> x/a tcp/80: yes", "x/a -> y/a tcp/80: no"}},
	{"N06_no_rules_nothing_enters", np("p", denyIn) + np("q", "{podSelector: {}, policyTypes: [Ingress], ingress: []}"), []string{
		"y/a -> x/a tcp/80: no", "x/b -> x/a udp/80: no", "203.0.113.5 -> x/a icmp/0: no"}},
	{"N07_an_empty_rule_everything_enters", np("p", denyIn) + np("q", "{podSelector: {}, ingress: [{}]}"), []string{
		"y/a -> x/a tcp/80: yes", "203.0.113.5 -> x/a icmp/0: yes", "x/b -> x/a gre/0: yes"}},
	{"N08_without_from_any_source", np("p", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"), []string{
		"y/a -> x/a tcp/80: yes", "203.0.113.5 -> x/a tcp/80: yes", "y/a -> x/a tcp/81: no"}},
	{"N08_empty_from_is_the_same", np("p", "{podSelector: {}, ingress: [{from: [], ports: [{port: 80}]}]}"), []string{
		"y/a -> x/a tcp/80: yes", "203.0.113.5 -> x/a tcp/80: yes", "y/a -> x/a tcp/81: no"}},
	{"N09_without_ports_every_protocol", np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"), []string{
		"x/b -> x/a tcp/1: yes", "x/b -> x/a icmp/0: yes", "y/b -> x/a tcp/1: no"}},
	{"N09_empty_ports_is_the_same", np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: []}]}"), []string{
		"x/b -> x/a tcp/1: yes", "x/b -> x/a gre/0: yes", "y/b -> x/a tcp/1: no"}},
	{"N10_entries_are_ored", np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}, {namespaceSelector: {matchLabels: {ns: \"y\"}}}]}]}"), []string{
		"x/b -> x/a tcp/80: yes", "y/c -> x/a tcp/80: yes", "x/c -> x/a tcp/80: no", "z/b -> x/a tcp/80: no"}},
	{"N10_selectors_of_an_entry_are_anded", np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}, namespaceSelector: {matchLabels: {ns: \"y\"}}}]}]}"), []string{
		"y/b -> x/a tcp/80: yes", "x/b -> x/a tcp/80: no", "y/c -> x/a tcp/80: no"}},
	{"N11_pod_selector_alone_is_of_its_namespace", np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"), []string{
		"x/b -> x/a tcp/80: yes", "y/b -> x/a tcp/80: no"}},
	{"N12_namespace_selector_alone_is_all_its_pods", np("p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: \"y\"}}}]}]}"), []string{
		"y/a -> x/a tcp/80: yes", "y/c -> x/a tcp/80: yes", "x/b -> x/a tcp/80: no"}},
	{"N13_empty_namespace_selector_is_all_pods_but_no_outside", np("p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"), []string{
		"z/a -> x/a tcp/80: yes", "x/b -> x/a tcp/80: yes", "203.0.113.5 -> x/a tcp/80: no"}},
	{"N13_empty_pod_selector_is_the_namespace", np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"), []string{
		"x/b -> x/a tcp/80: yes", "z/a -> x/a tcp/80: no"}},
	{"N14_labels_and_expressions_are_anded", np("p", "{podSelector: {matchLabels: {pod: a}, matchExpressions: [{key: pod, operator: In, values: [a, b]}, {key: legacy, operator: DoesNotExist}]}}"), []string{
		"y/a -> x/a tcp/80: no", "y/a -> x/b tcp/80: yes"}},
	{"N14_not_in_matches_what_lacks_the_key", np("p", "{podSelector: {matchExpressions: [{key: env, operator: NotIn, values: [dev]}]}}"), []string{
		"y/a -> x/a tcp/80: no", "y/a -> x/b tcp/80: no"}},
	{"N14_exists_and_not_exists", np("p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: Exists}, {key: team, operator: DoesNotExist}, {key: ns, operator: NotIn, values: [z]}]}}]}]}"), []string{
		"y/a -> x/a tcp/80: yes", "z/a -> x/a tcp/80: no"}},
	{"N15_except_is_cut_out_of_its_own_block", np("p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28, 203.0.113.64/32]}}]}]}"), []string{
		"203.0.113.15 -> x/a tcp/80: no", "203.0.113.16 -> x/a tcp/80: yes", "203.0.113.63 -> x/a tcp/80: yes",
		"203.0.113.64 -> x/a tcp/80: no", "203.0.113.65 -> x/a tcp/80: yes", "203.0.112.255 -> x/a tcp/80: no"}},
	{"N15_another_entry_can_allow_it_again", np("p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/25]}}, {ipBlock: {cidr: 203.0.113.7/32}}]}]}"), []string{
		"203.0.113.7 -> x/a tcp/80: yes", "203.0.113.8 -> x/a tcp/80: no", "203.0.113.128 -> x/a tcp/80: yes"}},
	{"N16_a_block_matches_addresses_of_pods_too", np("p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.2.0/24}}]}]}"), []string{
		"y/a -> x/a tcp/80: yes", "z/a -> x/a tcp/80: no", "y/a/6 -> x/a/6 tcp/80: no"}},
	{"N17_a_port_without_protocol_is_tcp", np("p", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"), []string{
		"y/a -> x/a tcp/80: yes", "y/a -> x/a udp/80: no", "y/a -> x/a sctp/80: no"}},
	{"N18_a_protocol_alone_is_all_its_ports", np("p", "{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}"), []string{
		"y/a -> x/a udp/1: yes", "y/a -> x/a udp/65535: yes", "y/a -> x/a tcp/80: no"}},
	{"N19_end_port_is_inclusive", np("p", "{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}, {port: 65535, endPort: 65535}]}]}"), []string{
		"y/a -> x/a tcp/79: no", "y/a -> x/a tcp/80: yes", "y/a -> x/a tcp/90: yes", "y/a -> x/a tcp/91: no", "y/a -> x/a tcp/65535: yes", "y/a -> x/a tcp/65534: no"}},
	{"N20_a_named_port_is_the_destinations", np("p", "{podSelector: {}, ingress: [{ports: [{port: serve-81-udp, protocol: UDP}]}]}"), []string{
		"y/a -> x/a udp/81: yes", "y/a -> x/a udp/80: no", "y/a -> x/a tcp/81: no"}},
	{"N20_in_egress_it_is_the_peers", np("p", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: \"y\"}}}], ports: [{port: serve-80-tcp}]}]}"), []string{
		"x/a -> y/a tcp/80: yes", "x/a -> y/a tcp/81: no", "x/a -> z/a tcp/80: no", "x/a -> 203.0.113.5 tcp/80: no"}},
	{"N20_pods_may_differ_about_it", mixed + np("p", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}"), []string{
		"x/a -> y/m8080 tcp/8080: yes", "x/a -> y/m9090 tcp/9090: yes", "x/a -> y/m8080 tcp/9090: no", "x/a -> y/mudp tcp/7070: no", "x/a -> y/a tcp/8080: no"}},
	{"N20_a_name_that_no_pod_has_matches_nothing", np("p", "{podSelector: {}, ingress: [{ports: [{port: nothing}]}]}"), []string{
		"y/a -> x/a tcp/80: no", "y/a -> x/a tcp/81: no"}},
	{"N21_a_pod_is_not_isolated_from_itself", np("p", denyIn), []string{
		"x/a -> x/a tcp/80: yes", "x/b -> x/a tcp/80: no"}},
	{"N22_the_node_reaches_its_pods", np("p", "{podSelector: {}, policyTypes: [Ingress, Egress]}"), []string{
		"node -> x/a tcp/80: yes", "x/a -> node tcp/80: yes", "203.0.113.5 -> x/a tcp/80: no"}},
	{"N22_from_the_node_always_to_it_unless_a_cluster_wide_policy_denies", np("p", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress]}") +
		admin("a", "Admin", 5, "subject: {namespaces: {matchLabels: {ns: \"y\"}}}\negress: [{action: Deny, to: [{networks: [192.168.0.0/24]}]}]") +
		admin("b", "Baseline", 5, "subject: {namespaces: {matchLabels: {ns: x}}}\negress: [{action: Deny, to: [{networks: [192.168.0.0/24]}]}]\ningress: [{action: Deny, from: [{namespaces: {}}]}]"), []string{
		"node -> y/a tcp/80: yes", "y/a -> node tcp/80: no", "x/a -> node tcp/80: yes", "x/b -> node tcp/80: no", "node -> x/b tcp/80: yes", "z/a -> node tcp/80: yes"}},
	{"N23_host_network_pods_are_the_node", hosted + np("p", "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}"), []string{
		"x/far -> x/a tcp/80: no", "y/a -> x/far tcp/80: yes", "x/near -> x/a tcp/80: yes", "x/b -> x/a tcp/80: yes"}},
	{"N24_replies_need_no_rule", np("p", denyIn), []string{
		"x/a -> y/a tcp/80: yes", "y/a -> x/a tcp/80: no"}},
	{"N25_order_does_not_matter", np("q", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}") + np("p", denyIn), []string{
		"y/a -> x/a tcp/80: yes", "y/a -> x/a tcp/81: no"}},
	{"N26_an_ended_pod_is_none", ended + np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {job: done}}}]}]}"), []string{
		"10.0.1.99 -> x/a tcp/80: no", "x/b -> x/a tcp/80: no"}},
	{"N27_a_namespace_has_its_name_for_a_label", np("p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: \"y\"}}}]}]}"), []string{
		"y/a -> x/a tcp/80: yes", "z/a -> x/a tcp/80: no"}},
	{"N28_both_families_are_one_pod", np("p", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"), []string{
		"x/b/6 -> x/a/6 tcp/80: yes", "x/b -> x/a tcp/80: yes", "x/c/6 -> x/a/6 tcp/80: no"}},
	{"N29_sctp_is_a_protocol_like_the_others", np("p", "{podSelector: {}, ingress: [{ports: [{port: 80, protocol: SCTP}]}]}"), []string{
		"y/a -> x/a sctp/80: yes", "y/a -> x/a sctp/81: no", "y/a -> x/a tcp/80: no"}},
	{"N30_the_whole_of_ipv4_is_not_ipv6", np("p", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}"), []string{
		"203.0.113.5 -> x/a tcp/80: yes", "2001:db8::5 -> x/a/6 tcp/80: no", "y/a/6 -> x/a/6 tcp/80: no"}},

	{"C01_admin_before_np_baseline_after", np("p", denyIn) +
		admin("a", "Admin", 5, "subject: {namespaces: {}}\ningress: [{action: Accept, from: [{namespaces: {matchLabels: {ns: \"y\"}}}]}]") +
		admin("b", "Baseline", 5, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{namespaces: {matchLabels: {ns: z}}}]}]"), []string{
		"y/a -> x/a tcp/80: yes", "z/a -> x/a tcp/80: no", "z/a -> y/a tcp/80: no", "x/b -> x/a tcp/80: no", "x/b -> y/a tcp/80: yes"}},
	{"C01_baseline_is_not_asked_of_the_isolated", np("p", "{podSelector: {}, ingress: [{}]}") +
		admin("b", "Baseline", 5, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{namespaces: {}}]}]"), []string{
		"z/a -> x/a tcp/80: yes", "z/a -> y/a tcp/80: no"}},
	{"C02_the_lower_priority_first", admin("late", "Admin", 20, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{namespaces: {}}]}]") +
		admin("soon", "Admin", 10, "subject: {namespaces: {}}\ningress: [{action: Accept, from: [{namespaces: {matchLabels: {ns: \"y\"}}}]}]"), []string{
		"y/a -> x/a tcp/80: yes", "z/a -> x/a tcp/80: no", "203.0.113.5 -> x/a tcp/80: yes"}},
	{"C02_within_a_policy_the_first_match", admin("a", "Admin", 1, "subject: {namespaces: {}}\ningress:\n- {action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 81}}}]}\n- {action: Accept, from: [{namespaces: {}}]}\n- {action: Deny, from: [{namespaces: {}}]}"), []string{
		"y/a -> x/a tcp/81: no", "y/a -> x/a tcp/80: yes", "y/a -> x/a udp/81: yes"}},
	{"C03_an_accept_passes_np_but_not_the_other_end", np("p", "{podSelector: {}, policyTypes: [Ingress, Egress]}") +
		admin("a", "Admin", 1, "subject: {namespaces: {}}\ningress: [{action: Accept, from: [{namespaces: {}}]}]"), []string{
		"y/a -> x/a tcp/80: yes", "x/a -> y/a tcp/80: no", "x/a -> x/b tcp/80: no"}},
	{"C04_pass_goes_on_with_np_then_baseline", np("p", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}") +
		admin("a", "Admin", 1, "subject: {namespaces: {}}\ningress: [{action: Pass, from: [{namespaces: {matchLabels: {ns: \"y\"}}}]}]") +
		admin("b", "Admin", 2, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{namespaces: {}}]}]") +
		admin("c", "Baseline", 1, "subject: {namespaces: {matchLabels: {ns: z}}}\ningress: [{action: Deny, from: [{namespaces: {}}]}]"), []string{
		"y/a -> x/a tcp/80: yes", "y/a -> x/a tcp/81: no", "z/a -> x/a tcp/80: no", "y/a -> y/b tcp/81: yes", "y/a -> z/a tcp/80: no"}},
	{"C04_pass_in_baseline_is_open", admin("a", "Baseline", 1, "subject: {namespaces: {}}\ningress: [{action: Pass, from: [{namespaces: {matchLabels: {ns: \"y\"}}}]}, {action: Deny, from: [{namespaces: {}}]}]"), []string{
		"y/a -> x/a tcp/80: yes", "z/a -> x/a tcp/80: no"}},
	{"C05_no_match_is_as_pass", np("p", denyIn) + admin("a", "Admin", 1, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{namespaces: {matchLabels: {ns: z}}}]}]"), []string{
		"y/a -> x/a tcp/80: no", "y/a -> y/b tcp/80: yes", "z/a -> y/b tcp/80: no"}},
	{"C07_isolated_and_unmatched_is_denied_before_baseline", np("p", denyIn) +
		admin("b", "Baseline", 1, "subject: {namespaces: {}}\ningress: [{action: Accept, from: [{namespaces: {}}]}]"), []string{
		"y/a -> x/a tcp/80: no", "y/a -> y/b tcp/80: yes"}},
	{"C08_subjects_by_pods", admin("a", "Admin", 1, "subject: {pods: {namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}}\ningress: [{action: Deny, from: [{namespaces: {}}]}]"), []string{
		"y/a -> x/a tcp/80: no", "y/a -> x/b tcp/80: yes", "x/b -> y/a tcp/80: yes"}},
	{"C08_an_empty_subject_is_all", admin("a", "Admin", 1, "subject: {pods: {namespaceSelector: {}, podSelector: {}}}\negress: [{action: Deny, to: [{namespaces: {}}]}]"), []string{
		"y/a -> x/a tcp/80: no", "x/a -> z/b udp/80: no", "x/a -> 203.0.113.5 tcp/80: yes"}},
	{"C09_networks_are_addresses", admin("a", "Admin", 1, "subject: {namespaces: {}}\negress: [{action: Deny, to: [{networks: [203.0.113.0/24, \"2001:db8::/32\"]}]}]"), []string{
		"x/a -> 203.0.113.5 tcp/80: no", "x/a -> 203.0.114.5 tcp/80: yes", "x/a/6 -> 2001:db8::1 icmp/0: no", "x/a -> y/a tcp/80: yes"}},
	{"C09_peers_by_pods", admin("a", "Admin", 1, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{pods: {namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}, podSelector: {matchLabels: {pod: b}}}}]}]"), []string{
		"y/b -> x/a tcp/80: no", "x/b -> x/a tcp/80: yes", "y/a -> x/a tcp/80: yes", "203.0.113.5 -> x/a tcp/80: yes"}},
	{"C09_nodes_are_their_addresses", node + admin("a", "Admin", 1, "subject: {namespaces: {}}\negress: [{action: Deny, to: [{nodes: {matchLabels: {role: edge}}}]}]"), []string{
		"x/a -> 192.168.0.9 tcp/80: no", "x/a -> 192.168.0.10 tcp/80: yes"}},
	{"C10_ports_by_number_range_name", admin("a", "Admin", 1, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{namespaces: {}}], protocols: [{udp: {destinationPort: {number: 80}}}, {tcp: {destinationPort: {range: {start: 81, end: 90}}}}, {sctp: {}}, {destinationNamedPort: serve-80-tcp}]}]"), []string{
		"y/a -> x/a udp/80: no", "y/a -> x/a udp/81: yes", "y/a -> x/a tcp/80: no", "y/a -> x/a tcp/81: no", "y/a -> x/a tcp/90: no", "y/a -> x/a tcp/91: yes", "y/a -> x/a sctp/7: no", "y/a -> x/a icmp/0: yes"}},
	{"C11_the_older_kinds_mean_the_same", anp + banp, []string{
		"z/a -> x/a tcp/80: no", "z/a -> x/a tcp/81: yes", "z/a -> x/a udp/81: no", "y/a -> x/a tcp/80: yes", "y/a -> z/a tcp/80: no", "x/a -> y/a tcp/80: yes"}},
	{"C12_host_network_pods_are_no_subjects", hosted + admin("a", "Admin", 1, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{namespaces: {}}]}]"), []string{
		"y/a -> x/far tcp/80: yes", "y/a -> x/a tcp/80: no", "x/far -> x/a tcp/80: yes"}},
}

// ties are of C6, which upstream leaves open.
var ties = []statement{
	{"C06_deny_beats_accept_at_one_priority", admin("a", "Admin", 7, "subject: {namespaces: {}}\ningress: [{action: Accept, from: [{namespaces: {matchLabels: {ns: \"y\"}}}]}]") +
		admin("b", "Admin", 7, "subject: {namespaces: {}}\ningress: [{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}}]}]"), []string{
		"y/a -> x/a tcp/80: no", "y/b -> x/a tcp/80: yes", "z/a -> x/a tcp/80: no"}},
	{"C06_blocks_of_addresses_tie_too", admin("a", "Admin", 7, "subject: {namespaces: {}}\negress: [{action: Accept, to: [{networks: [203.0.113.0/24]}]}]") +
		admin("b", "Admin", 7, "subject: {namespaces: {}}\negress: [{action: Deny, to: [{networks: [203.0.0.0/16, 203.0.113.64/26]}]}]"), []string{
		"x/a -> 203.0.113.5 tcp/80: no", "x/a -> 203.0.113.65 tcp/80: no", "x/a -> 203.0.114.5 tcp/80: no", "x/a -> 203.1.0.1 tcp/80: yes"}},
	{"C06_each_policy_decides_for_itself_first", admin("a", "Admin", 7, "subject: {namespaces: {}}\ningress: [{action: Accept, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}}]}, {action: Deny, from: [{namespaces: {}}]}]") +
		admin("b", "Admin", 7, "subject: {namespaces: {}}\ningress: [{action: Pass, from: [{namespaces: {matchLabels: {ns: z}}}]}, {action: Accept, from: [{namespaces: {}}]}]") +
		np("p", denyIn), []string{
		"y/a -> x/a tcp/80: yes", "y/b -> x/a tcp/80: no", "z/a -> x/a tcp/80: yes", "z/b -> x/a tcp/80: no"}},
}

const (
	mixed = `---
{apiVersion: v1, kind: Pod, metadata: {namespace: "y", name: m8080, labels: {m: "1"}}, spec: {containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}, status: {podIP: 10.0.2.80}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: "y", name: m9090, labels: {m: "2"}}, spec: {containers: [{name: c, ports: [{name: web, containerPort: 9090}]}]}, status: {podIP: 10.0.2.90}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: "y", name: mudp, labels: {m: "3"}}, spec: {containers: [{name: c, ports: [{name: web, containerPort: 7070, protocol: UDP}]}]}, status: {podIP: 10.0.2.70}}
`
	hosted = `---
{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: far, labels: {pod: b}}, spec: {hostNetwork: true, nodeName: n2, containers: [{name: c}]}, status: {podIP: 192.168.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: near, labels: {pod: b}}, spec: {hostNetwork: true, nodeName: n1, containers: [{name: c}]}, status: {podIP: 192.168.0.1}}
`
	ended = `---
{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: job, labels: {job: done}}, spec: {containers: [{name: c}]}, status: {phase: Succeeded, podIP: 10.0.1.99}}
`
	node = `---
{apiVersion: v1, kind: Node, metadata: {name: n9, labels: {role: edge}}, status: {addresses: [{type: InternalIP, address: 192.168.0.9}, {type: Hostname, address: n9}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n10}, status: {addresses: [{type: InternalIP, address: 192.168.0.10}]}}
`
	anp = `---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: old}
spec:
  priority: 5
  subject: {namespaces: {matchLabels: {ns: x}}}
  ingress:
  - {action: Allow, from: [{namespaces: {matchLabels: {ns: z}}}], ports: [{portNumber: {protocol: TCP, port: 81}}]}
  - {action: Deny, from: [{namespaces: {matchLabels: {ns: z}}}], ports: [{portRange: {protocol: TCP, start: 1, end: 65535}}, {namedPort: serve-81-udp}]}
`
	banp = `---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {matchLabels: {ns: z}}}
  ingress:
  - {action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}}]}
`
)

// What the API's documentation says is what Allowed does.
func TestStatements(t *testing.T) {
	for _, s := range append(statements, ties...) {
		t.Run(s.name, func(t *testing.T) {
			c := cluster(t, nine+s.yaml)
			for _, text := range s.asked {
				q := ask(t, c, text)
				if got := c.Allowed(q.from, q.to, q.flow); got != q.want {
					t.Errorf("%s, got %v", text, got)
				}
			}
		})
	}
}
