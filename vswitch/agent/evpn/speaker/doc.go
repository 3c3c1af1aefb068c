// Package speaker speaks BGP EVPN for package evpn: gobgp's server, in this process.
//
// It says what the host has and nothing else: what one neighbour says no other hears,
// since nothing that is heard enters the server's own table. It stays in what the
// server keeps of each neighbour (Adj-RIB-In), bounded by its max_routes; a neighbour
// that says more is cut off, and is called again after a while.
//
// The switch and the agent hear of routes as evpn.Route only: read.go makes them of
// what came, write.go makes what goes of them.
package speaker
