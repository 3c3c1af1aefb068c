// Package packet knows frames: where their bytes are, what their headers say,
// and how a header is changed or an answer made in place.
//
// [Parse] is the one door for bytes from strangers. It checks every length
// once; what it leaves in [Frame.Headers] may be used freely after that. There
// is a file a header; what turns a frame into an answer to it is in the file of
// the header that asks. segment.go cuts superframes.
//
// A Frame is used by one goroutine at a time, the worker that has its batch.
// Nothing here allocates, but for Describe and Build, which are for people.
package packet
