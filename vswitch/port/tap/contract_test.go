package tap

import (
	"net"
	"net/netip"
	"testing"

	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/porttest"
)

// workload is a port in a namespace of its own and a socket on its device. The
// address keeps IPv6 silent, so that every frame is the test's.
func workload(t testing.TB, c Config) porttest.Rig {
	c.Name, c.Port, c.Netns = "web", 9, newNetns(t)
	c.Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}
	p := mustOpen(t, c)
	s, err := porttest.OpenSocket(c.Netns, "eth0")
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
			mustIn(t, c.Netns, "ip", "link", "set", "eth0", state)
			return nil
		},
		Destroy: func() error {
			mustIn(t, c.Netns, "ip", "link", "del", "eth0")
			return nil
		},
		Gone: func(t *testing.T) {
			within(t, c.Netns, func() error {
				if links, err := net.Interfaces(); err != nil || len(links) != 1 {
					t.Errorf("the namespace still has %v, %v", links, err)
				}
				return nil
			})
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

func TestNamespaceGoesUnderThePort(t *testing.T) {
	root(t)
	rig := workload(t, Config{})
	if err := rig.Port.Up(); err != nil {
		t.Fatal(err)
	}
	// The socket holds the namespace as a process in it would.
	rig.End.(*porttest.Socket).Close()
	if err := sys.RemoveNetns(rig.Port.Info().Netns); err != nil {
		t.Fatal(err)
	}
	waitGone(t, rig.Port)
}
