// Package vswitch is the daemon: it opens ports, links what is declared into
// snapshots, runs the workers that carry frames through package dataplane, and
// answers its operator.
//
// # Who owns what
//
// A worker is a locked OS thread that owns its queues of the ports (queue i is
// worker i's, modulo the number of workers), its lane of the dataplane and its
// pool of frame memory; ports lend it frames in memory that all queues of its share
// (port.Loans), since it brings a batch to its end before it receives the next. What
// it goes by ([live]) is
// immutable and published by one atomic store; it loads it once a batch. What
// operators want of a worker's own they have the worker do, between two
// batches (worker.do), so nothing on the path is locked for them.
//
// The declared state (configuration, roster of endpoints, policy) is guarded by
// Switch.mu. A change is linked beside what is in force; if it cannot be linked
// nothing has happened. An endpoint that comes, goes or moves is linked by itself
// (relink.go says how, and when sessions are asked again): 0.2 to 0.3 ms from the
// call until every worker goes by it, with 100,000 rules and a million addresses
// (BenchmarkChange). All else is linked whole, and so is a policy in which one
// rule differs. A rule's number is its place in the order of decision, and the
// lists of the classifier, the sessions and the counters go by it; one rule more
// in the middle is another number for all that follow. To keep tables over that
// needs numbers that stay, which the artifact does not have.
//
// The whole is linked on all processors: what each address is to the policy is found
// out by stretches of endpoints (link_crowd.go), and then the tables of endpoints and
// of the policy are made at once. From the file until every worker goes by it a policy
// of 100,000 rules, 10,000 services and 1,000 networks takes 0.7 s on two processors
// for a million addresses of 100,000 endpoints, where it took 1.7 s on one; 1.5 s
// instead of 4.7 if each has an endpoint of its own (BenchmarkLoadAndLink).
//
// # Sessions of several workers
//
// One table in 64 shards, by the flow's symmetric hash, each under a mutex that
// a worker holds for one frame; one worker has one shard and takes no lock.
// The other choices were a table of each worker with frames handed over to the
// owner of their flow, which costs a copy, because a TAP's memory is only the
// worker's until the batch ends; and a table with lock-free readers, which has
// to make every field that a packet changes atomic. A mutex that nobody holds
// costs two atomic operations, and a frame takes it twice, to learn where its
// session is and to judge it: with 1,000 sessions 81 ns a frame where one worker
// alone takes 75, 100 with two at once; with a million 100 and 119 where one
// alone takes 89 (BenchmarkWorkers of bench/walk). A frame of a TAP is a
// superframe: eight TCP connections over two workers go at 1.35 of what one carries
// on two CPUs, one at 0.99 (vsbench run tap-tcp). The kernel puts a flow's frames
// into the queue by which its answers came (tun's own steering), so both ways of it
// meet at one worker.
//
// # No slow path
//
// What the switch says itself (ARP and ND answers, echo replies, ICMP errors,
// questions for the underlay's MACs) is made by the walk, in the memory of the
// batch, out of the frame that called for it, and bounded by a bucket a port.
// So there is no second goroutine that packets can fill with work.
//
// # Layers of what is stated
//
// The configuration and the API are the local layer; over it lies what sources,
// agents, state of other hosts (stated.go). Each is kept by itself, so that to take
// one back is to see the one below. The roster is their sum, and all that is linked.
//
// # Ports that come and go
//
// A port is closed only after every worker has adopted a state without it, so
// no queue is used by the number of a descriptor that is another file's. A port
// whose device goes is absent until it can be opened again, which the mender
// tries by itself; the other ports, and changes of the policy, do not wait for
// it.
//
// # Who opens them
//
// The process that parses strangers' frames has no privileges. It has ports opened by
// another (Apart; package vswitch/helper), by the configuration file that this one
// reads itself, and gets their descriptors. Frame memory is a memory file that both
// have mapped; it lies in small pages where the kernel gives shared memory no huge
// ones. In one process (New) all is as if there were no other.
//
// # Who comes after
//
// What packets make, sessions above all, lies in a memory file of which the other process
// has the descriptor, as it has those of the ports. So a switch that dies is followed by
// one that goes on (keep.go): it takes in what is whole, judges it anew, and receives from
// the queues what came in meanwhile.
//
// # Times, and what is logged
//
// Rules may have times. A goroutine of its own reads the clock of the wall, and
// publishes the policy's next view when other rules speak (clock.go); workers
// know no time but their own monotonic one. What rules want logged goes from the
// workers to one goroutine that writes it, through lists of fixed size
// (journal.go): a log that is slow loses events, and says how many, but holds up
// no frame.
//
// # Silence is no proof
//
// A goroutine has made frames carried through the live tables, and holds what becomes
// of them against the list of rules (canary.go). A switch of which that is not known
// is not ready.
//
// # Fail closed
//
// A port's link goes up only when the snapshot that guards it is live, and a
// snapshot without a policy denies everything. A frame to or from a port that
// the worker's snapshot does not know is dropped. If the process dies nobody reads its
// ports until the next one does, under its own policy; if both processes die TAP devices
// go with them, and what AF_XDP and packet ports leave behind drops (port/xdp).
package vswitch
