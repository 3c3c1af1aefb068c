package xdp

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/porttest"
)

// root skips, and says so, where the test may not make devices.
func root(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces and XDP")
	}
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

var rigs int

// veth makes a namespace with one end of a veth; the other, the port's, stays
// here under the name returned.
func veth(t testing.TB) (netns, device string) {
	t.Helper()
	rigs++
	netns, device = fmt.Sprintf("bpt%dn%d", os.Getpid(), rigs), fmt.Sprintf("xt%dn%d", os.Getpid()%100000, rigs)
	ip(t, "netns", "add", netns)
	t.Cleanup(func() { _ = sys.RemoveNetns(netns) })
	ip(t, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", netns)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", device).Run() })
	ip(t, "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
	ip(t, "-n", netns, "link", "set", "eth0", "up")
	return netns, device
}

// workload is a port on a veth and a socket at its other end.
func workload(t testing.TB, mode string, mtu int) porttest.Rig {
	netns, device := veth(t)
	ip(t, "-n", netns, "link", "set", "eth0", "mtu", fmt.Sprint(mtu))
	region, err := port.NewRegion(mapped(t, 4096*port.ChunkSize))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(Config{Name: "web", Device: device, Mode: mode, MTU: mtu, Queues: 1, Port: 9, Region: region})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	s, err := porttest.OpenPeer(netns, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	pool := port.NewPool(region)
	return porttest.Rig{
		Port: &counted{Port: p, t: t, pool: pool}, ID: 9, Pool: pool, End: s, Offloads: true,
		Link: func(up bool) error {
			state := "down"
			if up {
				state = "up"
			}
			return exec.Command("ip", "link", "set", device, state).Run()
		},
		Destroy: func() error { return exec.Command("ip", "link", "del", device).Run() },
		Gone: func(t *testing.T) {
			if _, err := os.Stat(p.attach.path); err == nil {
				t.Error("the pin is still there")
			}
			if dev, err := net.InterfaceByName(device); err == nil {
				out, _ := exec.Command("ip", "link", "show", dev.Name).Output()
				if strings.Contains(string(out), "xdp") {
					t.Errorf("a program is still attached: %s", out)
				}
			}
		},
	}
}

// counted is a port that, before it closes, says where every chunk is.
type counted struct {
	*Port
	t      testing.TB
	pool   *port.Pool
	closed bool
}

func (p *counted) Close() error {
	if !p.closed {
		c, r := p.Counts(), p.pool.Region()
		if sum := c.Receiving + c.Sending + c.Pooled + p.pool.Len() + r.Free(); sum != r.Chunks() {
			p.t.Errorf("%d of %d chunks are accounted for: %+v, %d in the worker's pool, %d free", sum, r.Chunks(), c, p.pool.Len(), r.Free())
		}
	}
	p.closed = true
	return p.Port.Close()
}

func mapped(t testing.TB, n int) []byte {
	t.Helper()
	mem, err := sys.MapAnonymous(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sys.Unmap(mem) })
	return mem
}

func TestContract(t *testing.T) {
	root(t)
	for _, mode := range []string{"native", "generic"} {
		for _, mtu := range []int{1500, 9000} {
			t.Run(fmt.Sprint(mode, " ", mtu), func(t *testing.T) {
				porttest.Run(t, func(t *testing.T) porttest.Rig { return workload(t, mode, mtu) })
			})
		}
	}
}
