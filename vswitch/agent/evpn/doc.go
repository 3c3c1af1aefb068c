// Package evpn joins a switch to fabrics that speak BGP EVPN (RFC 7432, with VXLAN
// RFC 8365): it tells neighbours which workloads are on this host's ports, and the
// switch which are behind the fabric's VTEPs. It is a source of the control API, named
// evpn, beside the agent that speaks to the store.
//
// # What it may not do
//
// Change a verdict by failing. It is another process than the switch: killed or hung,
// what it stated last is in force. A session that is lost takes nothing along at once:
// what its neighbour said is kept for a time (Config.Keep), and counts less than what
// another says now.
//
// # What is believed
//
// Nothing for being said. A route counts if its VTEP is one of the configured peers and
// may speak of the segment; if its VNI and route target are the segment's; and if
// neither its MAC nor its address is a gateway's, an endpoint's of this host, or what
// another source states; and where an operator has placed an endpoint at a peer, no other
// peer may have it. The rest is left out, with an alarm where somebody may wish to
// know. Neighbours are bounded in routes, segments in endpoints, endpoints in addresses.
//
// # How it goes
//
//	neighbours ─▶ speaker ── routes ──▶ World.Step ──▶ peers, endpoints ─▶ switch
//	           ◀──────────── adverts ◀──┘   ▲
//	                  switch's local layer ─┘
//
// One goroutine, the turn, does all of it. World is a function of the routes, what the
// switch states, and what was elected before (moves.go): no clock, no network. Package
// speaker has BGP itself.
package evpn
