package porttest

import (
	"os/exec"
	"strings"
	"time"

	"bulkhead/dataplane/packet"
)

// Peer is a Socket on the far end of a veth. Once a veth has a carrier the
// kernel gives its device a queue a moment later, and drops what is sent before:
// so the first frame waits until the device is operational.
type Peer struct {
	*Socket
	netns, device string
	ready         bool
}

// OpenPeer opens the far end of a veth, in a network namespace.
func OpenPeer(netns, device string) (*Peer, error) {
	s, err := OpenSocket(netns, device)
	if err != nil {
		return nil, err
	}
	return &Peer{Socket: s, netns: netns, device: device}, nil
}

// Inject implements End.
func (p *Peer) Inject(frame []byte, o packet.Offload) error {
	for end := time.Now().Add(patience); !p.ready && time.Now().Before(end); {
		out, err := exec.Command("ip", "-n", p.netns, "link", "show", p.device).Output()
		if err != nil {
			return err
		}
		if p.ready = strings.Contains(string(out), "state UP"); !p.ready {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return p.Socket.Inject(frame, o)
}
