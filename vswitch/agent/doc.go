// Package agent joins a switch to those of other hosts: it speaks to the store on
// one side and to the switch's control API on the other.
//
// # What it may not do
//
// Change a verdict by failing. It is another process than the switch; killed or
// hung, what it stated last is in force, and the switch says how long it has been
// silent. Nor by the store's failing: what was read last stays, and the status says
// how old it is. Nor by believing too much: see trust.go and packages schema and
// world.
//
// # How it goes
//
//	follower ── view ──▶ trust ──▶ world.Step ──▶ what is to be ──▶ hold ──▶ switch
//	                                   ▲   └─────▶ own keys ──▶ publisher ──▶ store
//	switch's local layer ──────────────┘
//
// One goroutine, the turn, does all of it but for the store's two (package store)
// and the fetching of a policy. It wakes when the view changes and four times a
// second, and calls the switch each time, so that a change of the local layer is
// seen. A turn waits for the switch only, and for no longer than a call takes.
//
// What is to be is compared with what the switch says that this source has stated,
// and the difference is sent: so it does not matter who was restarted, and in which
// order.
//
// # Beside etcd
//
// The switch knows an agent by its source's name only, and takes several. What
// speaks another protocol to other hosts, as BGP EVPN to a fabric, is a source of its
// own beside this one: it has its own records, and states segments, peers and
// endpoints by the same call, bounded and layered in the same way.
package agent
