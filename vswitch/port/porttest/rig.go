package porttest

import (
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// End is the outside of a port: what a workload or the wire would do.
type End interface {
	// Inject gives the port a frame to receive.
	Inject(frame []byte, o packet.Offload) error
	// Take returns the next frame that the port sent, or false when none has
	// come in time.
	Take(timeout time.Duration) (frame []byte, o packet.Offload, ok bool)
}

// Rig is a port on the bench. Its link is down; Run closes the port.
type Rig struct {
	Port port.Port
	ID   packet.PortID // what the port was opened with
	Pool *port.Pool    // frames to send come from here, and received chunks go back
	End  End           // must work once the link is up
	// Replay says that what is received was fixed at opening: the port has no
	// outside that could inject. Cases that inject are left to the driver.
	Replay bool
	// Offloads says that the End passes frames' offload state in both
	// directions, so that the port's own can be seen.
	Offloads bool
	// Link sets the link from outside; nil if nobody can.
	Link func(up bool) error
	// Destroy removes the device under the port; nil if there is none.
	Destroy func() error
	// TxBound is how many frames the port takes while nobody outside takes
	// them; 0 if the device has no such bound.
	TxBound int
	// Gone fails the test if anything of the closed port is left; may be nil.
	Gone func(t *testing.T)
}

// patience bounds how long a frame may take through the kernel.
const patience = 2 * time.Second
