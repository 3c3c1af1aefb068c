// Package fuzz holds a fuzz target for each door that strangers' bytes come
// through. Each has an oracle that is not the code it watches: slower, plainer, with
// other data structures, and where there is an RFC written from that.
//
//	target              door                              oracle
//	FuzzParse           any frame                         a second reader of the RFCs (reader_test.go); gopacket for TCP
//	FuzzPadding         the end of a frame                what is behind it, or missing, changes nothing, or all
//	FuzzVLAN            tags, on ports of every kind      the list of tags, looked up
//	FuzzIdentify        what a workload says it is        the reader, for ARP, ND, DHCP and addresses
//	FuzzMembership      IGMP and MLD                      the reader, and the records it finds
//	FuzzDecap           the underlay                      the reader, and the list of peers
//	FuzzEncapDecap      a tunnel from end to end          what came in comes out; RFC 7348 between
//	FuzzFragments       parts of datagrams                two receivers that put together what leaves
//	FuzzTCP             sessions of TCP                   two honest ends; a list of all that has passed
//	FuzzICMPError       errors about what was said        a list of what was said
//	FuzzNAT             translations                      mappings as RFC 4787 means them, in a list
//	FuzzFDB             learned MACs                      a map of where each was seen last
//	FuzzClassify        policies and headers              the rules read in order
//	FuzzPipeline        the whole walk, with reloads      policy, accounts, and Explain beforehand
//	FuzzEdge            the walk at the edge of a VRF     names inside and outside, checksums, answers
//	FuzzReload          a switch that reloads             what was in force when each frame was sent
//	FuzzArtifact        policy artifacts                  what was read writes the same file
//	FuzzSeal            signatures                        the one artifact that was signed
//	FuzzKept            what a build has kept             the whole build
//	FuzzPolicySource    policy sources                    compiled twice; errors counted
//	FuzzConfig          configurations                    mistakes with places
//	FuzzAPI             the control API                   its description; a refusal changes nothing
//	FuzzAgentRecord     what a store holds                bounds, and the record's own key
//	FuzzFlows           records of flows                  each read takes something
//
// The rings of AF_XDP are fuzzed beside their fake kernel, in package xdp, and so
// are a few others that need what their package keeps to itself: `make fuzz-all D=1m`
// finds all. Seeds are named real frames and files; `make fuzz T=FuzzParse D=1m` runs
// one. Inputs that have failed once are kept in testdata/fuzz, named for what they show.
package fuzz
