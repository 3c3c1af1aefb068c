// Package servicemap draws who may connect to whom: a box an end, a line a pair,
// as an SVG picture or as a page with that picture in it.
//
// The layout is our own because the one module that has graphviz in it brings a
// WebAssembly machine, six megabytes and twenty milliseconds to every start of a
// command that mostly draws nothing.
//
// The same map makes the same bytes. Nothing here is for use by several
// goroutines at once.
package servicemap
