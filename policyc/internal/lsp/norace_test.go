//go:build !race

package lsp

const slower = 1
