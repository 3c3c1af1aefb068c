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
//	source identity      -> source class       (identities named by the same rules)
//	destination identity -> destination class
//	protocol, two ports  -> port class         (headers named by the same ports)
//	source class x destination class -> program: shape, base
//	rules[base + shape[port class]]  -> the rule
//
// What a pair of classes is left with is a short list of rules. Its shape says,
// for each port class, which position of the list matches first; its base, where
// the list's rules stand. Shapes and lists repeat, and are kept once.
//
// # Cost
//
// A lookup is eleven loads, whatever the number of rules, and no packet changes
// any table. The price is memory for the pair matrix, which is budgeted: a
// policy over it is refused, never run slowly.
//
// [Linear] is the meaning: the list, searched. It is the oracle of the tests.
//
// An Engine is immutable; any number of workers use it at once.
package classify
