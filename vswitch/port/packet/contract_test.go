package packet

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
		t.Skip("needs root, for network namespaces and packet sockets")
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
	netns, device = fmt.Sprintf("bpp%dn%d", os.Getpid(), rigs), fmt.Sprintf("pp%dn%d", os.Getpid()%100000, rigs)
	ip(t, "netns", "add", netns)
	t.Cleanup(func() { _ = sys.RemoveNetns(netns) })
	ip(t, "link", "add", "name", device, "type", "veth", "peer", "name", "eth0", "netns", netns)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", device).Run() })
	ip(t, "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
	ip(t, "-n", netns, "link", "set", "eth0", "up")
	return netns, device
}

// workload is a port on a veth and a socket at its other end.
func workload(t testing.TB, c Config) porttest.Rig {
	netns, device := veth(t)
	c.Name, c.Device, c.Port = "web", device, 9
	if c.MTU != 0 {
		ip(t, "-n", netns, "link", "set", "eth0", "mtu", fmt.Sprint(c.MTU))
	}
	p, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	s, err := porttest.OpenPeer(netns, "eth0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	region, err := port.NewRegion(make([]byte, 256*port.ChunkSize))
	if err != nil {
		t.Fatal(err)
	}
	return porttest.Rig{
		Port: p, ID: 9, Pool: port.NewPool(region), End: s, Offloads: true,
		Link: func(up bool) error {
			state := "down"
			if up {
				state = "up"
			}
			return exec.Command("ip", "link", "set", device, state).Run()
		},
		Destroy: func() error { return exec.Command("ip", "link", "del", device).Run() },
		Gone: func(t *testing.T) {
			if out, err := exec.Command("tc", "qdisc", "show", "dev", device).Output(); err == nil && strings.Contains(string(out), "clsact") {
				t.Errorf("the guard is still there: %s", out)
			}
		},
	}
}

func TestContract(t *testing.T) {
	root(t)
	for name, c := range map[string]Config{
		"one queue": {},
		"jumbo":     {MTU: 9000},
		"queues":    {Queues: 2},
	} {
		t.Run(name, func(t *testing.T) {
			porttest.Run(t, func(t *testing.T) porttest.Rig { return workload(t, c) })
		})
	}
}

// speak has the host's stack send one packet to an address.
func speak(to string) error {
	c, err := net.Dial("udp", to+":9")
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("x"))
	return err
}
