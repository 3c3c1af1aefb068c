// Package world works out what a host is to do of what the store says: which
// segments, peers and endpoints there are, who owns an endpoint that several hosts
// claim, and what this host is to write itself.
//
// It is a function of records, memory and time: no store, no clock, no goroutine.
// Every host runs it on the same records and comes to the same.
//
// # Who owns an endpoint
//
// A host writes only under its own name, so nobody can take another's claim away;
// claims of several hosts for one endpoint are weighed. The incumbent is who owned
// it last, as far as this host remembers, else who claimed it first: the store's
// create revisions are one order for all. The incumbent keeps it against any other
// claim, whatever epoch that states, until
//
//	it cedes         its own record says to whom: that host's claim is then the one
//	it releases it   it takes its record back while it is alive
//	it is lost       its lease ran out: then a claim of a higher epoch takes over
//	it is placed     an administrator's placement names another host, and that host
//	                 claims it
//
// So a breached host cannot take a live endpoint of another by claiming it. The
// epoch counts moves, and each host remembers the highest that it has seen of each
// endpoint: a host that comes back after a partition states an old one, is refused,
// and cedes to who has it now. It cannot claim back.
//
// # Hosts that are lost
//
// A host whose record goes is lost: its machine, or only its agent. Nobody can tell
// from afar, and killing an agent must change no verdict. So what a lost host had is
// kept for a grace time, unless another host claims it. After the grace it is gone.
//
// # What is refused
//
// A record that does not hold (package schema); a host that claims our VTEP or
// another's; what exceeds a host's grant; an endpoint with the MAC or an address of
// one that was there before; a segment that is another in the configuration here.
// Each is refused by itself, with an alarm that says so.
package world
