// Package worlds draws policies, and who asks them, for tests: everything the
// language has (tiers and scopes, audits, rules without state, times, hosts and
// who is outside, ports by name, variables), in sizes of a handful of rules to a
// city's 70,000, and the questions where a mistake would show, at the ends of
// ranges and of prefixes and beside them.
//
// The same random numbers give the same world, so that a seed is all it takes to
// meet it again. A world is a list of statements: a test can leave some out,
// cut them, or put them in another order, and see what that changes.
package worlds
