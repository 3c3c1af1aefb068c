// Package dataplane is the switch as a function: frames and a time in,
// verdicts out.
//
// [Run] carries a batch of frames through the walk
//
//	parse ▸ decap ▸ identify ▸ known? ▸ decide ▸ forward ▸ encap
//
// and ends each frame once: at a port, taken in by the switch itself, or at a
// named [drop.Reason]. The files stand in that order: parse is in package
// packet, then decap.go, identify.go (recent.go: not for each frame of a train),
// resolve.go (ARP and ND, which end there), fragment.go (what a part is of),
// judge.go (known? and decide; stateless.go, journal.go), translate.go (outside
// addresses: first and last), autoconf.go (DHCP and router solicitations, which
// end there), forward.go (bridge and route), flood.go,
// encap.go; answer.go makes the frames that the switch says itself. mirror.go
// shows frames that have ended to who looks on.
//
// The package does no I/O: no goroutine, lock held across a call, system call,
// log or clock. So the tests, the fuzzers, the operator's trace, the replay of
// a capture and the benchmark run the very code that forwards.
//
// # State
//
// What rarely changes is in a [Snapshot]: immutable, built off the path,
// published by one pointer store. A batch is judged by one snapshot, whole.
// What packets change is in [State]: sessions, translations, fragments, learned
// MACs, neighbours and what waits for them, all of fixed size. What one worker owns is in [Worker]: counters, memory for
// copies, rate limits, the queue to the slow path.
//
// # Accounts
//
// in + copies = out + drops + consumed, exactly, after every Run. A copy is a
// frame that the switch made: one of a flood, or an answer of its own. Every
// script of the tests checks it.
//
// # What the first attachment point promises
//
// A frame of a workload goes on only if its source is bound to the port it
// came in by, and the policy, or an open session of this policy generation,
// allows the connection; a frame from the overlay only if its source is
// registered at the peer it came from, and the policy allows it here, too.
// Without a policy nothing is allowed. Doubt is a drop.
//
// Three things pass without a rule because they are no connection between
// workloads: address resolution (ARP, ND), answered here from known bindings,
// to workloads and to peers, and never passed on where the segment neither
// floods nor learns; what a workload asks about itself (DHCP, router
// solicitations), answered here and never passed on; and ICMP echo to the
// workload's own gateway, answered here.
//
// # How a feature is added
//
// Most frames are of a port without features, in a switch that uses few, and they
// must not pay for what others have. So a feature stands at one of three places,
// and where it is not on, one test there is all that it costs:
//
//	of a port       a field of [L2], which is nil for a port that has none of them;
//	                seen by admit, when a frame has come in and been parsed, by
//	                discharge, when it leaves, and by find, before it is flooded (l2.go)
//	of the switch   a field of [Snapshot], nil or empty where it is not on; tested once a
//	                batch by [Run], as probes and questions of our own are, or once a
//	                stretch by stretch (ahead.go), as what wants to see frames as they
//	                came in and as they ended does
//	of a session    a mark of its rule, or a bit of the session: seen by judge when it
//	                opens one, and not again
//
// What such a feature keeps is in [State] if workers share it, by port in [Links],
// else in [Worker]; it has a bound. Nothing may be added to what every frame does
// without the figure before and after (go test ./bench/walk -bench Workers).
//
// # Between hosts
//
// Each host's gateway routes what its own workloads send, once: a packet for an
// endpoint of another segment goes into the tunnel with that segment's VNI and
// its gateway's MAC as the source, and is bridged on the other side (what EVPN
// calls asymmetric: every host has the segments of its VRF). So a packet from a
// peer for a gateway is refused, and what comes from a peer never goes to one.
package dataplane
