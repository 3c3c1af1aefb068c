// Package bench is the map of how the switch is measured; it has no code.
//
//	cmd/vsbench   the command
//	run           rounds: in each every subject in turn, A B C A B C
//	scenario      what is measured: rows of scenarios.toml, and the kinds of traffic
//	peers         who connects two namespaces: a file each
//	rig           the namespaces, made and removed, and programs in them
//	traffic       sockets in them, measured where traffic arrives; a generator
//	walk          the switch in memory, without devices
//	lookup        the policy's tables on any rule set and trace; rte_acl beside
//	classbench    rule sets and traces, read
//	crowd         many rules around the few that a measurement meets
//	clock         CPU time of a thread
//	report        figures, ratios, verdicts; text, JSON and a page
//	plots         pictures of figures
//
// # Method
//
// A subject gets fresh namespaces in every round, and offloads as the kernel
// sets them, but for peers that carry no TCP so. What is compared is the ratio of one round, because the machine
// changes its speed from minute to minute; a winner is named only if every
// round of one is better than every round of the other.
//
// Sender, receiver and switch share the machine's CPUs. With two of them, a
// subject that works on the sender's own CPU, as the kernel's bridge does, and
// one that has a thread of its own, as the switch has, load the machine
// differently: the second may carry more packets and cost more CPU time. A
// round trip ends with the waking of a thread, twice; on a virtual machine that
// is dear, and cheaper where something keeps the CPU awake.
//
// # To add a peer
//
// Write a file in peers with a Peer, and name it in peers.All and among the
// subjects of scenarios.toml. The tests of peers then hold it to the policy, and
// those of run to figures.
package bench
