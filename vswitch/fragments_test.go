package vswitch_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

const fragmentPolicy = `version = 1
[services.web]
labels = { role = "web" }
[services.db]
labels = { role = "db" }
[[rules]]
name = "web-to-db"
allow = { from = ["web"], to = ["db"], ports = ["udp/5100", "icmp/echo"] }
`

// fragmented is a switch with one sender and a receiver by each driver.
type fragmented struct {
	web    string // a namespace
	db     map[string]string
	ip     map[string][2]string
	client *control.Client
}

func newFragmented(t *testing.T) *fragmented {
	t.Helper()
	bin, dir, own := build(t), t.TempDir(), namespace(t, "s")
	config := filepath.Join(dir, "bulkhead.toml")
	f := &fragmented{web: namespace(t, "w"), db: map[string]string{}, ip: map[string][2]string{}, client: control.NewClient(filepath.Join(dir, "s.sock"))}
	write(t, filepath.Join(dir, "policy.bhp"), buildPolicy(t, fragmentPolicy))
	text := "policy = \"policy.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\ngateways = [\"10.94.0.254/24\", \"fd94::fe/64\"]\n"
	at := func(i int, driver, role, netns string) {
		f.ip[driver] = [2]string{fmt.Sprintf("10.94.0.%d", i), fmt.Sprintf("fd94::%d", i)}
		mac, host := fmt.Sprintf("02:94:00:00:00:0%d", i), fmt.Sprintf("f%d-%d", i, namespaces.Load())
		text += fmt.Sprintf("[[ports]]\nname = %q\ndriver = %q\nsegment = \"s\"\nmac = %q\nips = [%q, %q]\nlabels = { role = %q }\n", fmt.Sprint("p", i), driver, mac, f.ip[driver][0], f.ip[driver][1], role)
		if driver == "tap" {
			text += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", netns)
			return
		}
		sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, own, netns, mac),
			fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", netns, f.ip[driver][0]), fmt.Sprintf("ip -n %s addr add %s/64 dev eth0 nodad", netns, f.ip[driver][1]),
			"ip -n "+netns+" link set eth0 up")
		text += fmt.Sprintf("device = %q\n", host)
	}
	at(1, "tap", "web", f.web)
	for i, driver := range []string{"tap", "xdp", "packet"} {
		f.db[driver] = namespace(t, fmt.Sprint("d", i))
		at(i+2, driver, "db", f.db[driver])
	}
	write(t, config, text)
	start(t, bin, config, own)
	return f
}

// Large datagrams and pings, which the kernel sends as fragments, pass whole
// between ports of all drivers where the policy names them, in both families, and
// not at all where it does not; and so do fragments in any order, but not ones
// that overlap.
func TestSmokeFragments(t *testing.T) {
	root(t)
	t.Parallel()
	f := newFragmented(t)
	for driver := range f.db {
		for family := range 2 {
			f.whole(t, driver, family)
		}
	}
	f.inAnyOrder(t)
	f.balanced(t)
}

// whole sends what is larger than a frame to the workload of a driver.
func (f *fragmented) whole(t *testing.T, driver string, family int) {
	ip, netns := f.ip[driver][family], f.db[driver]
	pings(t, f.web, ip)
	what := fmt.Sprintf("to %s, %s", driver, []string{"IPv4", "IPv6"}[family])
	sh(t, fmt.Sprintf("ip netns exec %s ping -c 3 -i 0.2 -W 2 -s 20000 %s", f.web, ip))
	heard, unheard := listenUDP(t, netns, 5100), listenUDP(t, netns, 5101)
	defer heard.Close()
	defer unheard.Close()
	sent, unsent := dialUDP(t, f.web, ip, 5100), dialUDP(t, f.web, ip, 5101)
	defer sent.Close()
	defer unsent.Close()
	for _, n := range []int{1473, 3000, 20000, 60000} {
		text := make([]byte, n)
		_, _ = rand.Read(text)
		_, _ = unsent.Write(text)
		if _, err := sent.Write(text); err != nil {
			t.Fatal(err)
		}
		if got := read(heard, 2*time.Second); !bytes.Equal(got, text) {
			t.Errorf("%s: %d of %d bytes arrived, or others", what, len(got), n)
		}
	}
	if got := read(unheard, 200*time.Millisecond); got != nil {
		t.Errorf("%s: a datagram of %d bytes that no rule allows", what, len(got))
	}
}

// inAnyOrder sends fragments by hand.
func (f *fragmented) inAnyOrder(t *testing.T) {
	heard := listenUDP(t, f.db["tap"], 5100)
	defer heard.Close()
	for family := range 2 {
		src, dst := netip.MustParseAddr([]string{"10.94.0.1", "fd94::1"}[family]), netip.MustParseAddr([]string{"10.94.0.2", "fd94::2"}[family])
		whole, err := packet.Build(packet.Spec{
			SrcMAC: packet.MAC{2, 0x94, 0, 0, 0, 1}, DstMAC: packet.MAC{2, 0x94, 0, 0, 0, 2}, Src: packet.AddrFrom(src), Dst: packet.AddrFrom(dst),
			Proto: packet.ProtoUDP, SrcPort: 4000, DstPort: 5100, Payload: packettest.Payload(4000),
		})
		if err != nil {
			t.Fatal(err)
		}
		for id, order := range [][]int{{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}} {
			parts := packettest.Parts(whole, 1000, uint32(100+id))
			var frames [][]byte
			for _, i := range order {
				frames = append(frames, parts[i])
			}
			rawFrom(t, f.web, frames)
			if got := read(heard, 2*time.Second); len(got) != 4000 {
				t.Errorf("in the order %v: %d of 4000 bytes", order, len(got))
			}
		}
		overlap := packettest.Part(whole, 992, 2000, 200)
		rawFrom(t, f.web, [][]byte{packettest.Part(whole, 0, 1000, 200), overlap, packettest.Part(whole, 1000, 2000, 200), packettest.Part(whole, 2000, 3000, 200), packettest.Part(whole, 3000, 4000, 200), packettest.Part(whole, 4000, 4008, 200)})
		if got := read(heard, 300*time.Millisecond); got != nil {
			t.Errorf("a datagram of %d bytes out of fragments that overlap", len(got))
		}
	}
}

func (f *fragmented) balanced(t *testing.T) {
	var ports []api.Port
	if err := f.client.Get(context.Background(), "/v1/ports", &ports); err != nil {
		t.Fatal(err)
	}
	for _, p := range ports {
		sum := p.Out + p.Consumed
		for _, n := range p.Drops {
			sum += n
		}
		if p.In+p.Copies != sum {
			t.Errorf("the accounts of %s do not balance: %+v", p.Name, p)
		}
		if p.Name == "p1" && (p.Drops["fragment-overlap"] != 2 || p.Drops["fragment-refused"] == 0) {
			t.Errorf("drops of fragments: %v", p.Drops)
		}
	}
	var s api.Status
	if err := f.client.Get(context.Background(), "/v1/status", &s); err != nil {
		t.Fatal(err)
	}
	if s.FragmentsMax == 0 || s.FragmentsHeld != 0 {
		t.Errorf("%d of %d packets in fragments, %d held", s.Fragments, s.FragmentsMax, s.FragmentsHeld)
	}
}

func listenUDP(t *testing.T, netns string, port int) (c *net.UDPConn) {
	t.Helper()
	within(t, netns, func() (err error) {
		c, err = net.ListenUDP("udp", &net.UDPAddr{Port: port})
		return err
	})
	return c
}

func dialUDP(t *testing.T, netns, ip string, port int) (c *net.UDPConn) {
	t.Helper()
	within(t, netns, func() (err error) {
		c, err = net.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(ip), Port: port})
		return err
	})
	return c
}

// read returns a datagram that comes in time, or nil.
func read(c *net.UDPConn, in time.Duration) []byte {
	buf := make([]byte, 1<<16)
	_ = c.SetReadDeadline(time.Now().Add(in))
	n, err := c.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// rawFrom sends frames by a namespace's device, as they are.
func rawFrom(t *testing.T, netns string, frames [][]byte) {
	t.Helper()
	within(t, netns, func() error {
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		device, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		for _, b := range frames {
			if err := syscall.Sendto(fd, b, 0, &syscall.SockaddrLinklayer{Ifindex: device.Index, Halen: 6}); err != nil {
				return err
			}
		}
		return nil
	})
}
