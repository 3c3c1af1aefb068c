// Package analyze answers questions about a whole policy, or about two.
//
// The space that a policy speaks about is identity x identity x protocol x
// (port, or ICMP type and code). It is infinite only at first sight: a policy
// names finitely many labels, prefixes and ports, and what it does not name
// apart it cannot tell apart.
//
//   - An atom is a class of subjects that no service and no network of the
//     policies in hand tells apart. It is symbolic: a label has one of the
//     values that selectors name, another value, or is absent. So an analysis
//     holds for endpoints that are not born yet. Each atom has a witness: the
//     labels and an address of each family that it can have. labels.go,
//     addresses.go.
//   - A class is the atoms that the same rules can meet. class.go.
//   - A piece is a stretch of one protocol's ports, and of its source ports, that
//     no rule cuts. Protocols that no rule names are one, [rest]. pieces.go,
//     grid.go.
//
// Class x class x piece is a cell. Each cell is decided by package eval, asked
// about its witness: nothing here knows what beats what. Which rules a pair of
// classes can meet is all that eval is told, so that the cost of a question is
// the rules that matter to it, and pairs that meet the same rules are asked
// once: the table of a policy of 1,000 services has a million pairs and a few
// thousand cells that differ.
//
// Every analysis is algebra on cells: diff compares them, lint looks who
// decides them, query and matrix select from them, and cover.go turns sets of
// pairs back into the names that people know.
//
// The number of atoms is bounded by [MaxAtoms]: selectors on independent labels
// multiply. Beyond it [New] refuses and names the labels that do.
//
// A Space belongs to one goroutine.
package analyze
