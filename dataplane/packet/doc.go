// Package packet knows frames: where their bytes are, what their headers say,
// and how a header is changed or an answer made in place.
//
// [Parse] is the one door for bytes from strangers. It checks every length
// once; what it leaves in [Frame.Headers] may be used freely after that, and
// every other function here asks for a frame that it has passed. It refuses
// what cannot be judged or could be read in two ways: LLC framing, fragments,
// source routes and routing headers, extension headers that hide a transport,
// IPv4 addresses inside IPv6 ones, lengths that disagree, and offload requests
// that contradict the headers.
//
// There is a file a header, which reads it; offload.go has checksums and
// superframes, segment.go the cutting of them. A file whose name begins with
// answer turns a frame, in its own memory, into what the switch says to it:
// answer_arp.go, answer_ndp.go, answer_echo.go and, for errors, icmperror.go.
// Each keeps Frame.Offload and Frame.Headers in step with the bytes.
//
// # What it does not do
//
// It does not verify transport checksums (see [VerifyChecksum]), judge
// addresses beyond the two families' mixing, reassemble, or follow streams.
// Multicast listener reports (RFC 3810) are IP like any other; of neighbour
// discovery only what RFC 4861 has a receiver check first is checked.
//
// # Goroutines
//
// A Frame is used by one goroutine at a time, the worker that has its batch.
// Nothing here allocates, but for Describe, Build and what parses or prints
// text, which are for people.
package packet
