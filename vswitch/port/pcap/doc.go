// Package pcap is captures as a port: what it receives is replayed from a pcap
// or pcapng file, what it is given to send is written to a pcapng file. A bug
// seen on a wire can so be walked through the switch again, byte for byte.
//
// The Writer stands alone, too: `vsctl capture` and the capture middleware
// write frames of many ports with it, each with a comment that says how it
// ended. It is our own because the one in gopacket writes no comments, and
// the reason a frame was dropped is what one captures for.
//
// Replay is as fast as the switch reads: the times in the file order the
// frames and do not pace them. Reading is gopacket's, which here sees files an
// operator names, never live traffic.
//
// A queue belongs to one worker for Recv; Send locks. A Writer may be used
// from any goroutine. The package starts none.
package pcap
