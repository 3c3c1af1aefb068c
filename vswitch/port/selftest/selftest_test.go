package selftest_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
	afpacket "bulkhead/vswitch/port/packet"
	"bulkhead/vswitch/port/selftest"
	"bulkhead/vswitch/port/xdp"
)

func root(t *testing.T) *port.Region {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	mem, err := sys.MapAnonymous(16384 * port.ChunkSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sys.Unmap(mem) })
	region, err := port.NewRegion(mem)
	if err != nil {
		t.Fatal(err)
	}
	return region
}

func openPacket(device string, id packet.PortID) (port.Port, error) {
	return afpacket.Open(afpacket.Config{Name: "t", Device: device, Port: id})
}

// The drivers that there are carry everything, and nothing is left of the test.
func TestDriversPass(t *testing.T) {
	region := root(t)
	for name, open := range map[string]selftest.Open{
		"packet": openPacket,
		"xdp": func(device string, id packet.PortID) (port.Port, error) {
			return xdp.Open(xdp.Config{Name: "t", Device: device, Mode: "native", MTU: 1500, Queues: 1, Port: id, Region: region})
		},
	} {
		if err := selftest.Run(open, region, 1500); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if region.Free() != region.Chunks() {
			t.Errorf("%s: %d of %d chunks came back", name, region.Free(), region.Chunks())
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Name, "bt") {
			t.Errorf("%s is left", l.Name)
		}
	}
}

// lossy is a port that does not do what it should.
type lossy struct {
	port.Port
	lost func(*packet.Frame) bool
}

func (p lossy) Queues() []port.Queue {
	out := p.Port.Queues()
	for i, q := range out {
		out[i] = lossyQueue{q, p.lost}
	}
	return out
}

type lossyQueue struct {
	port.Queue
	lost func(*packet.Frame) bool
}

func (q lossyQueue) Send(frames []*packet.Frame) {
	for _, f := range frames {
		if q.lost(f) {
			f.Reason = drop.TxError
			continue
		}
		q.Queue.Send([]*packet.Frame{f})
	}
}

// What a driver loses is found, and said.
func TestFaultsAreFound(t *testing.T) {
	region := root(t)
	for want, lost := range map[string]func(*packet.Frame) bool{
		"TCP over IPv4":          func(f *packet.Frame) bool { return f.Offload.GSO == packet.GSOTCP4 },
		"TCP over IPv6":          func(f *packet.Frame) bool { return f.Offload.GSO == packet.GSOTCP6 },
		"UDP over IPv4":          func(f *packet.Frame) bool { return udp(f) },
		"a packet of 1500 bytes": func(f *packet.Frame) bool { return udp(f) && f.Len() > 1400 },
	} {
		err := selftest.Run(func(device string, id packet.PortID) (port.Port, error) {
			p, err := openPacket(device, id)
			return lossy{p, lost}, err
		}, region, 1500)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, selftest.ErrBench) {
			t.Errorf("%s is lost: %v", want, err)
		}
	}
}

// udp tells whether a frame of the far ends is UDP over IPv4, without options.
func udp(f *packet.Frame) bool {
	b := f.Bytes()
	return len(b) > 23 && b[12] == 8 && b[13] == 0 && b[23] == packet.ProtoUDP
}
