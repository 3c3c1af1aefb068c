package vswitch_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// A group's packets go to the namespace whose kernel has joined it, by IGMP or by
// MLD, and to no other; one that joined before the switch started is asked and
// says so; one that has left gets no more.
func TestSmokeMulticast(t *testing.T) {
	root(t)
	t.Parallel()
	bin, dir := build(t), t.TempDir()
	own, config, socket := namespace(t, "s"), filepath.Join(dir, "bulkhead.toml"), filepath.Join(dir, "s.sock")
	allowAll(t, filepath.Join(dir, "all.bhp"))
	text := "policy = \"all.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"tv\"\ngateways = [\"10.93.0.254/24\", \"fd93::fe/64\"]\nbroadcast = \"flood\"\nsnooping = true\n"
	var ends []string
	for i := range 4 { // sender and listener on TAPs, listener and bystander on veths
		ns, mac := namespace(t, fmt.Sprint("e", i)), fmt.Sprintf("02:93:00:00:00:0%d", i+1)
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"tv\"\nmac = %q\nips = [\"10.93.0.%d\", \"fd93::%d\"]\n", i, mac, i+1, i+1)
		if ends = append(ends, ns); i < 2 {
			text += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", ns)
			continue
		}
		host := fmt.Sprintf("g%d-%d", i, os.Getpid()%1000000)
		sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, own, ns, mac),
			fmt.Sprintf("ip -n %s addr add 10.93.0.%d/24 dev eth0", ns, i+1), fmt.Sprintf("ip -n %s addr add fd93::%d/64 dev eth0 nodad", ns, i+1), "ip -n "+ns+" link set eth0 up")
		text += fmt.Sprintf("driver = \"packet\"\ndevice = %q\n", host)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	early := join(t, ends[2], "udp4", "239.93.1.1") // on a veth, before there is a switch
	start(t, bin, config, own)
	groups := func(port, group string) func() bool {
		return func() bool {
			var all []api.Group
			if err := control.NewClient(socket).Get(context.Background(), "/v1/groups", &all); err != nil {
				t.Fatal(err)
			}
			for _, g := range all {
				if g.Port == port && g.Group == group && g.Kind == "listener" {
					return true
				}
			}
			return false
		}
	}
	four, six := join(t, ends[1], "udp4", "239.93.1.1"), join(t, ends[1], "udp6", "ff15::93:1")
	soon(t, "the switch knows who joined by IGMP", 15*time.Second, groups("p1", "239.93.1.1"))
	soon(t, "the switch knows who joined by MLD", 15*time.Second, groups("p1", "ff15::93:1"))
	soon(t, "the switch knows who joined before it was there", 25*time.Second, groups("p2", "239.93.1.1"))
	w, bystander := openWire(t, ends[0], "eth0"), openWire(t, ends[3], "eth0")
	send := func(src, dst string) {
		s := packet.Spec{SrcMAC: packet.MAC{2, 0x93, 0, 0, 0, 1}, Src: packet.AddrFrom(mustAddr(src)), Dst: packet.AddrFrom(mustAddr(dst)),
			Proto: packet.ProtoUDP, SrcPort: 5000, DstPort: 5093, Payload: []byte("a picture")}
		a := s.Dst
		if s.DstMAC = (packet.MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}); a.Is4() {
			s.DstMAC = packet.MAC{1, 0, 0x5e, a[13] & 0x7f, a[14], a[15]}
		}
		w.send(frameOf(t, s))
	}
	for range 10 {
		send("10.93.0.1", "239.93.1.1")
		send("fd93::1", "ff15::93:1")
		send("10.93.0.1", "239.93.1.2")
	}
	for name, c := range map[string]*net.UDPConn{"who joined by IGMP": four, "who joined by MLD": six, "who joined before": early} {
		if n := received(c, 10); n != 10 {
			t.Errorf("%s has %d of 10 packets", name, n)
		}
	}
	if got := bystander.drain("a picture", 200*time.Millisecond); len(got) != 0 {
		t.Errorf("who has not joined sees %d packets", len(got))
	}
	if n := dropsOf(t, socket, "p0")["no-listener"]; n != 10 {
		t.Errorf("%d packets for nobody were dropped as no-listener, not 10", n)
	}
	four.Close()
	soon(t, "who left is forgotten", 10*time.Second, func() bool { return !groups("p1", "239.93.1.1")() })
	wire := openWire(t, ends[1], "eth0")
	send("10.93.0.1", "239.93.1.1")
	if got := wire.drain("a picture", 200*time.Millisecond); len(got) != 0 {
		t.Error("who has left sees the group's packets")
	}
	if n := received(early, 1); n != 1 {
		t.Error("who stayed does not")
	}
	// A bystander that poses as a router hears nothing more for it.
	q := packet.Spec{SrcMAC: packet.MAC{2, 0x93, 0, 0, 0, 4}, DstMAC: packet.MAC{1, 0, 0x5e, 0, 0, 1}, Src: packet.AddrFrom(mustAddr("10.93.0.4")),
		Dst: packet.AddrFrom(mustAddr("224.0.0.1")), Proto: 2, TTL: 1, Payload: []byte{0x11, 100, 0xee, 0x9b, 0, 0, 0, 0}}
	bystander.send(frameOf(t, q))
	soon(t, "the query is dropped", 5*time.Second, func() bool { return dropsOf(t, socket, "p3")["rogue-query"] == 1 })
	send("10.93.0.1", "239.93.1.1")
	if got := bystander.drain("a picture", 200*time.Millisecond); len(got) != 0 {
		t.Error("who posed as a router hears the group")
	}
}

// join joins a group in a namespace, on its eth0.
func join(t *testing.T, netns, network, group string) (c *net.UDPConn) {
	t.Helper()
	inNetns(t, netns, func() error {
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		c, err = net.ListenMulticastUDP(network, dev, &net.UDPAddr{IP: net.ParseIP(group), Port: 5093})
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// received counts the packets that come, up to most.
func received(c *net.UDPConn, most int) (n int) {
	buf := make([]byte, 2048)
	for n < most {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		m, err := c.Read(buf)
		if err != nil {
			return n
		}
		if strings.HasPrefix(string(buf[:m]), "a picture") {
			n++
		}
	}
	return n
}

// soon waits until something holds.
func soon(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
