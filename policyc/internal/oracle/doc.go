// Package oracle holds what a policy means against everything that claims to
// mean the same. It is tests and nothing else:
//
//	eval      the definition, read from the source
//	list      the lowered rules, asked one by one
//	tables    the linked classifier
//	switch    dataplane.Run, on frames in memory
//	kernel    the ruleset that `policyc export nftables` writes, in Linux
//
// The same packets, byte for byte, go to the switch and to the kernel. A verdict
// is held against eval's, and so is the rule that is named for it: in the kernel
// by its counters, in the switch by the frame and by the counters.
//
// Worlds are drawn by seed (package worlds). A failure prints the seed and the
// least policy that still shows it; BULKHEAD_SEED=n draws that one world again,
// BULKHEAD_LONG=1 asks for a million questions (make differential).
//
// # What the kernel cannot be asked
//
//   - Who is dropped by which rule: the ruleset has accepts only, and a policy
//     that drops. The switch names both.
//   - Addresses that no host may have (0.0.0.0/8, 127.0.0.0/8, 240.0.0.0/4, ::,
//     multicast): neither forwards them, whatever the policy says.
//   - Protocols that are extension headers of IPv6 (0, 43, 44, 51, 60): for the
//     kernel the protocol is what comes behind them.
//   - The other direction of a connection without ports: it is a reply, there and
//     here, if the first was allowed.
//   - ICMP errors that are about nothing: the kernel lets one pass where a rule
//     allows its type, the switch never does.
//   - ICMP messages that open nothing, as an echo reply: likewise.
//
// These are asked of the others all the same.
package oracle
