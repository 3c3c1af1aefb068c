// Package schema is what hosts share through the store: keys, records, and how
// they are believed.
//
// # Keys
//
// All records lie under [Prefix], which names the version of the schema; a later
// version lies beside it, and both may be there while hosts are upgraded.
//
//	cluster                  which cluster this is        administrator
//	hosts/HOST               a host's VTEPs               that host, under its lease
//	segments/NAME            a segment                    administrator
//	endpoints/HOST/NAME      a claim: NAME runs here      that host, under its lease
//	placements/NAME          where NAME is to be          administrator
//	grants/HOST              what a host may claim        administrator
//	policy                   which policy is in force     administrator
//
// The policy's bytes lie in parts under [BlobPrefix], by their hash.
//
// A host writes under its own name only, and the store sees to that by the host's
// credentials (RBAC by prefix). So who owns an endpoint is never one key that two
// hosts write: each claims, and what the claims come to is worked out by every host
// in the same way (package world).
//
// # Belief
//
// A store, or a host that writes to it, may be breached. A record is a JSON object
// of bounded size; what it says is held to its key (a host speaks for itself only),
// to bounds, and to the form that the switch would ask for. What does not hold is
// refused by itself, with a reason, and the rest goes on. Decode never panics, and
// what it accepts it accepts again when Encode has written it (FuzzAgentRecord).
//
// The package is pure; any goroutine may call it.
package schema
