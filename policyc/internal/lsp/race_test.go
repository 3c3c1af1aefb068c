//go:build race

package lsp

// slower is what the race detector costs.
const slower = 20
