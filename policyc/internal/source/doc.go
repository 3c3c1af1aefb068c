// Package source reads policy files: text in, statements with places out.
//
// It is the only door for TOML (github.com/BurntSushi/toml decides what is
// TOML and what its values are) and joins that with the places that package
// syntax finds, so that each later finding can point at the very word. It
// knows the keys of the language and their types, and reports unknown keys
// and wrong types; it does not know what names mean: that is package check.
//
// A large file is read part by part, and of each part nothing is kept but its
// statements (decode.go): a tree of all of it would be the most that a build keeps.
//
// To grow the language, add a field to a statement in file.go and a line to
// its reader in read.go.
package source
