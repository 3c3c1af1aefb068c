// Package kept is what a build leaves for the next one of nearly the same sources.
//
// The user edits one rule of 100,000 and builds again. All the rest would be read,
// checked and lowered once more, to the same bytes. So a build can keep its table,
// and how much text each part of it was made of, by hash; and the next one takes
// from it the rules of all parts that are as they were.
//
//	file = head (services, networks, variables, ...) + parts of rules and tests
//
//	parts that are as they were ──────────────▶ their rules, from the kept table ─┐
//	head + parts that are not   ──compiled───▶ theirs ────────────────────────────┴▶ table
//
// What is not kept is compiled by the compiler itself, as a small policy of all the
// heads and the changed parts. A rule says what it says whatever rules stand around
// it, with these exceptions, each of which is looked at here; where one is met, and
// in any other doubt, everything is compiled anew:
//
//   - A head has changed, or a file was added or taken out: names may mean something
//     else.
//   - A rule has a name that a kept one has.
//   - A test may be among what changed, or asks about two ends that a changed rule holds.
//     Of the others none can be answered otherwise: a rule matters to those alone that
//     it holds (package relevant).
//   - There would be too many ranges of source ports.
//   - There is anything to say about the policy, mistake or warning. So nothing that a
//     whole build would print is missing, and a build that had to print keeps nothing.
//     A warning that nothing uses a name is none if a kept rule or a test does.
//
// The table is that of a whole build, to the byte; the tests of package compile edit
// drawn policies and compare. What is kept is of one policyc and no other, and has a
// checksum: what is damaged, or of another, is not used. It is no secret and no
// proof: who can write it decides what the next table says, as who can write the
// table does.
package kept
