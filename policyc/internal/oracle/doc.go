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
// by its counters, in the switch by the frame and by the counters. So is the rule
// under audit that would have denied, and whether there is a session: in the switch
// by how many there are, and by the answer to each packet that has passed, which
// is part of a session or is asked about as what it is.
//
// Each question is asked at two times, of one switch: what is open at the first
// meets the policy of the second, as after a change.
//
// Worlds are drawn by seed (package worlds). A failure prints the seed and the
// least policy that still shows it; BULKHEAD_SEED=n draws that one world again,
// BULKHEAD_LONG=1 asks for a million questions (make differential).
//
// # What the kernel cannot be asked
//
//   - A policy with a rule that is stateless: the export refuses it, and must. The
//     word is taken out, and what is left is asked. That is no packet less.
//   - Who is dropped by which rule: the ruleset has accepts only, and a policy
//     that drops. The switch names both.
//   - Addresses that no host may have (0.0.0.0/8, 127.0.0.0/8, 240.0.0.0/4, ::,
//     multicast): neither forwards them, whatever the policy says.
//   - Protocols that are extension headers of IPv6 (0, 43, 44, 60; not AH): for the
//     kernel the protocol is what comes behind them.
//   - The other direction of a connection without ports: it is a reply, there and
//     here, if the first was allowed.
//   - ICMP errors that are about nothing: the kernel lets one pass where a rule
//     allows its type, the switch never does.
//   - ICMP messages that open nothing, as an echo reply: likewise.
//
// These are asked of the others all the same.
//
// # How much nft takes
//
// A line of the ruleset is for the endpoints that there are, not for a rule: of
// 70,000 rules, 40 endpoints leave 115 lines and 133 endpoints 184, which nft 1.0
// loads in 0.05 and 0.4 s. The export is what takes time: 47 and 108 s; of 10,000
// rules 1 and 4 s. nft's own limit is near 10,000 lines: what it takes grows as
// their square. With a named set to ten lines 1,000 load in 1 s and 10,000 in 81 s;
// 30,000, and so 70,000, do not load in 170 s. (Measured on 2 busy cores.)
package oracle
