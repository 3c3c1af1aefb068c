package peers

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"bulkhead/bench/rig"
)

// testpmd is DPDK's test program: it moves what comes in at one port out at the
// other and looks at nothing. It is no switch but the ceiling of a path over
// AF_XDP sockets. Without huge pages and without what it shares with other
// processes, so that it leaves nothing but a directory, which is removed.
var testpmd = Peer{
	Name: "testpmd", OffloadsOff: true,
	Tools: []Tool{toolIP, toolEthtool, {"dpdk-testpmd", "dpdk-dev"}, {"stdbuf", "coreutils"}},
	Up: func(r *rig.Rig) (Link, error) {
		return Link{To: addressB.Addr(), Note: "DPDK testpmd, io forwarding over AF_XDP on veths, a polling thread, no policy; " + offloadsOff}, upTestpmd(r)
	},
}

func upTestpmd(r *rig.Rig) error {
	if err := plainVeths(r); err != nil {
		return err
	}
	// Its name for what it shares is the middle's, so that a sweep finds it.
	r.Undo(func() error { return os.RemoveAll(filepath.Join("/var/run/dpdk", r.Middle)) })
	words := []string{"stdbuf", "-oL", "dpdk-testpmd", "-l", "0,1", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--no-shconf", "--file-prefix=" + r.Middle}
	for i, port := range []string{"pa", "pb"} {
		words = append(words, fmt.Sprintf("--vdev=net_af_xdp%d,iface=%s,start_queue=0,queue_count=1", i, port))
	}
	return r.Service(rig.Service{
		Command: append(words, "--", "--forward-mode=io", "--auto-start", "--total-num-mbufs=8192"),
		Ready:   func(said string) bool { return strings.Contains(said, "Press enter to exit") },
		Stop:    func(stdin io.Writer) error { _, err := io.WriteString(stdin, "\n"); return err },
	})
}
