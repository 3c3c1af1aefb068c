// Package policy is where the compiler and the switch meet: a policy with its
// names resolved and its order decided ([Ruleset]), and the file it travels in.
//
// The file is
//
//	 0  magic      "BHPOLICY"
//	 8  version    uint32, 4
//	12  sections   uint32
//	16  length     uint64, of the whole file
//	24  generation uint64
//	32  source     32 bytes, SHA-256 of the checked source
//	64  checksum   32 bytes, SHA-256 of the file with these 32 bytes zero
//	96  sections: kind uint32, count uint32, offset uint64, length uint64
//	    ... their bytes, in the order of the table, each at a multiple of 8,
//	    zeros between
//
// all little-endian. Decode trusts nothing: every length is held against the
// bytes that are there before anything is allocated, every number against what
// it numbers, and bytes that no section owns are an error, even under a right
// checksum. The same Ruleset gives the same bytes on any machine.
//
// Signatures stand behind the artifact in the same file and are no part of it
// ([Unseal], [Trust]); seal.go has their form.
//
// Everything here is pure and may be called from any goroutine.
package policy
