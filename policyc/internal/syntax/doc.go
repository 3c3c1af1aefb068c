// Package syntax knows where things stand in a TOML text: every key, value
// and comment, with its place.
//
// It is not a TOML parser of our own. What a text says (its values) and
// whether it is TOML at all is decided by github.com/BurntSushi/toml, in
// package source. That parser does not tell where a key stands nor what a
// comment says, which a diagnostic and a formatter cannot do without; so this
// package reads the same text a second time, only to find the tokens. Given
// valid TOML it finds each of them (source checks that both readings have the
// same shape, and the tests hold that over a corpus); given anything else it
// stops with an error, and never panics. Nesting is bounded by MaxDepth, which
// protects both readers from a text of a million brackets.
//
// Everything here is a plain value, made by Scan and not changed afterwards; what a
// Pool lends is good until the next is asked of it.
package syntax
