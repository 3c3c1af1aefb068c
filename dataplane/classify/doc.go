// Package classify answers the policy question: may this identity connect that
// one, on this port, and by which rule?
//
// # Problem
//
// A policy is a list of rules, the first that matches decides. Searching the
// list costs what the list is long. Caching what the search found costs an
// attacker nothing to spoil: each made-up header is a new entry, and the more
// masks the cache has the slower it is (Csikor et al., CoNEXT 2019).
//
// # Idea
//
// Everything a lookup could ask is worked out when the policy is linked
// (cross-producting: Srinivasan et al., SIGCOMM 1998; Gupta and McKeown's RFC,
// SIGCOMM 1999), and kept small by giving one number to what no rule tells
// apart:
//
//	source identity      -> source classes      (identities named by the same rules)
//	destination identity -> destination classes
//	protocol, two ports  -> port class          (headers named by the same rules' ports)
//	source class x destination class -> program: shape, base
//	rules[base + shape[port class]]  -> the rule
//
// What a pair of classes is left with is a short list of rules. Its shape says,
// for each port class, which position of the list matches first; its base, where
// the list's rules stand. Shapes and lists repeat, and are kept once. A list of
// rules that follow one another, as one rule does, is its first rule and no list. A
// shape is a row of bytes, or, where that is larger, pages of port classes, which
// repeat even more: most are empty.
//
// # Broad and narrow
//
// Classes of all identities x classes of all identities is a product that a
// city of services does not survive, and one set that half the identities are
// in (any, an environment, a /8) makes nearly every pair a pair with rules. So
// sets are split by breadth, on either side. An identity has a broad class, by
// the broad sets it is in, and a narrow class, by the others; there are few
// broad classes, and few pairs of narrow ones have a rule:
//
//	              broad destination    narrow destination
//	broad source  few x few            few x many
//	narrow source many x few           many x many, nearly all empty
//
// Each of the four is a matrix or, where fewer pairs have a rule, a table of
// those that do. A lookup asks those of them in which both of its classes are in
// some pair, as their places say, and takes the least rule. Where to split
// is tried at each power of two, and the smallest tables win; a policy whose
// one matrix is small is not split at all. Rules between the same sets are one
// bundle while linking, so that a thousand rules between two services cost the
// pair tables what one does.
//
// # Tiers and ends
//
// A pass leaves its tier, and a connection needs the consent of both of its
// ends. So the rules of an end are cut into stages behind each tier that has a
// pass; each stage is tables as above, asked in order until a rule decides.
// Stages that both ends read alike are kept once, and a policy whose rules all
// speak for both ends is asked once. No pass and no direction: one stage; there
// are never more than policy.Tiers at either end.
//
// # Audit and time
//
// A deny under audit is not in the tables. Where there is one, the policy is
// linked a second time with all of them enforced, and a lookup there, at each
// decision, says which would have denied. It costs as much again, while there
// is an audit. A rule that is not valid now is in neither: who links says of
// which time, by policy.Ruleset.At.
//
// # One identity more
//
// A [Linker] goes on from a link: one identity of a set of services that nobody
// had yet makes a class, its pairs, and what programs they need, and the next
// engine shares all else with the one before. BenchmarkLinkUnseen has both: at
// 100,000 rules 0.12 ms, half a millisecond at worst, against seconds for the
// whole. While there is an audit, its tables are added to as well. What came later
// than the link is bounded by what was linked, and then linked anew. A
// policy in which a rule differs is linked whole, and so is another view of one:
// rules have numbers by their order, and one more in the middle renumbers every
// list and every session's.
//
// # Cost
//
// A lookup of a stage is at most 14 loads where nothing is split, at most 29
// where all is (17 and 41 for classes that came after the link), whatever the
// number of rules, and no packet changes any table; [Stats] has the number of an
// engine. The price is memory, which follows what rules really
// tell apart, and is bounded: a policy over a bound is refused by name, never
// run slowly.
//
//	port cells      2^22, 16 MiB    source x destination ranges x protocols
//	matrix cells    2^24, 64 MiB
//	pairs           2^24, 366 MiB   a cache line to look at or two, 70 % full
//	programs        2^24, 128 MiB
//	shapes          2^25 a page, and as many of directories: 192 MiB
//	lists of rules  2^26, 256 MiB
//
// BenchmarkDecide, BenchmarkLink and the tests of bench/classbench print what a
// policy takes: 70,000 rules between 10,000 services of 100,000 endpoints link
// in half a second to about 70 MiB. A third of that the rules alone say, and it can be
// done before it is known who there is ([Draft]).
//
// No number is narrower than 32 bits where rules or sets could overflow it, but
// for positions in a list, which are bytes as long as no list is longer; classes are
// below 2^27, and the axes of ports have 65,536 at the most.
//
// Many questions at once are asked in steps, see [Engine.DecideAll]. What is then
// left is mostly instructions: a jump that the processor cannot foretell costs as
// much as a miss, so lanes in which a step is due are counted, programs are compared
// with all slots of a bucket, and where an answer stands is chosen by masks.
//
// [Linear] is the meaning: the list, searched. It is the oracle of the tests.
//
// An Engine is immutable; any number of workers use it at once.
package classify
