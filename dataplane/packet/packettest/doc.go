// Package packettest makes real frames for tests and checks what comes out.
//
// Frames are serialized, and read again, by gopacket, so that neither shares a
// mistake with package packet. [Make] stacks layers and links each to the next;
// [Seeds] are named frames with what Parse must say of each, for tables and
// fuzzers; [Check] holds a frame against a list of expectations, [Checksums]
// among them, which sums anew, slowly, every checksum in a frame, tunnels
// included.
//
// It is for tests only and allocates freely. Functions may be called from any
// goroutine.
package packettest
