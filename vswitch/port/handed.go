package port

import "encoding/json"

// Handed is an open port on its way from the process that opened it to one that
// runs it: what a driver needs to make queues of its descriptors, in a process
// without any privilege. Both processes hold the descriptors, which are of the same
// open files; the port ends when both have closed them.
type Handed struct {
	Info   Info
	Detail json.RawMessage // the driver's own
	FDs    []int           // not part of the message: they go beside it
}

// Giver is a port that another process may run. Its driver has a Take, which makes
// the port's running half there: it has queues, counts and says whether the device
// is there, but cannot set the link up, and its Close lets go of descriptors and
// memory only; and a Keep, which makes the privileged half anew, in a process that
// follows one that was killed: it sets the link up, watches and closes.
type Giver interface {
	Port
	// Hand describes the port. The descriptors stay the port's: who sends them
	// sends copies. The giver itself uses the queues no more.
	Hand() (Handed, error)
}
