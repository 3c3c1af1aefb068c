// Package lsp is the language server: what an editor asks about policies, over
// a pair of pipes, by the Language Server Protocol 3.17.
//
// It publishes the findings of check for every document, completes names,
// protocols and keys, shows what a name means, finds and renames services and
// networks, and formats. A document that is among the policy's files is checked
// together with the others of them, the open ones as they stand in the editor;
// any other document is checked by itself.
//
// Everything happens in the order in which it comes, on one goroutine; a second
// one only reads. While changes wait to be read no findings are made, so that
// typing does not queue behind them.
//
// The framing and the few types of the protocol are ours: the modules there are
// bring a logger, a websocket or a second JSON along, the freshest protocol
// package is of 2022, and none bounds the size of a message.
package lsp
