package vswitch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
)

// l2Lab is a switch with a TAP and a veth for each way to treat tags:
//
//	web, db   TAPs in front (10.97.0.0/24) and back (10.97.1.0/24)
//	vm        a TAP that is a trunk: VLAN 10 is front, 20 back
//	metal     a veth on a packet port, native: untagged is front, VLAN 20 back
//	carrier   a TAP with 802.1ad: VLAN 100.30 is front
type l2Lab struct {
	netns  map[string]string
	socket string
}

func newL2Lab(t *testing.T) *l2Lab {
	bin, dir := build(t), t.TempDir()
	l := &l2Lab{netns: map[string]string{}, socket: filepath.Join(dir, "s.sock")}
	own := namespace(t, "s")
	for _, name := range []string{"web", "db", "vm", "metal", "carrier"} {
		l.netns[name] = namespace(t, name)
	}
	host := fmt.Sprintf("m%d", os.Getpid()%1000000)
	sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address 02:97:00:00:00:31", host, own, l.netns["metal"]))
	writePolicy(t, filepath.Join(dir, "web.bhp"), "tcp/5100")
	text := "policy = \"web.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n" +
		"[[segments]]\nname = \"front\"\ngateways = [\"10.97.0.254/24\"]\nbroadcast = \"flood\"\n" +
		"[[segments]]\nname = \"back\"\ngateways = [\"10.97.1.254/24\"]\n"
	port := func(name, more string) {
		text += fmt.Sprintf("[[ports]]\nname = %q\nnetns = %q\ndevice = \"eth0\"\n%s\n", name, l.netns[name], more)
	}
	endpoint := func(name, port, segment, mac, ip string) {
		text += fmt.Sprintf("[[endpoints]]\nname = %q\nport = %q\nsegment = %q\nmac = %q\nips = [%q]\n", name, port, segment, mac, ip)
	}
	port("web", "segment = \"front\"\nmac = \"02:97:00:00:00:01\"\nips = [\"10.97.0.1\"]")
	port("db", "segment = \"back\"\nmac = \"02:97:00:00:00:02\"\nips = [\"10.97.1.2\"]")
	port("vm", "vlans = { \"10\" = \"front\", \"20\" = \"back\" }")
	port("carrier", "vlans = { \"100.30\" = \"front\" }\nvlan_type = \"802.1ad\"")
	text += fmt.Sprintf("[[ports]]\nname = \"metal\"\ndriver = \"packet\"\ndevice = %q\nsegment = \"front\"\nvlans = { \"20\" = \"back\" }\n", host)
	endpoint("vm-front", "vm", "front", "02:97:00:00:00:21", "10.97.0.21")
	endpoint("vm-back", "vm", "back", "02:97:00:00:00:21", "10.97.1.21")
	endpoint("metal-front", "metal", "front", "02:97:00:00:00:31", "10.97.0.31")
	endpoint("metal-back", "metal", "back", "02:97:00:00:00:31", "10.97.1.31")
	endpoint("carrier-front", "carrier", "front", "02:97:00:00:00:41", "10.97.0.41")
	config := filepath.Join(dir, "bulkhead.toml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, bin, config, own)
	l.tagDevices(t)
	return l
}

// tagDevices makes the VLAN devices in the namespaces.
func (l *l2Lab) tagDevices(t *testing.T) {
	for _, name := range []string{"vm", "metal", "carrier"} {
		sh(t, "ip -n "+l.netns[name]+" link set eth0 up")
	}
	sh(t, "ip -n "+l.netns["metal"]+" addr add 10.97.0.31/24 dev eth0")
	tagDevice(t, l.netns["vm"], "eth0", "front", "02:97:00:00:00:21", "10.97.0.21/24", 0x8100, 10)
	tagDevice(t, l.netns["vm"], "eth0", "back", "02:97:00:00:00:21", "10.97.1.21/24", 0x8100, 20)
	tagDevice(t, l.netns["metal"], "eth0", "back", "02:97:00:00:00:31", "10.97.1.31/24", 0x8100, 20)
	tagDevice(t, l.netns["carrier"], "eth0", "front", "02:97:00:00:00:41", "10.97.0.41/24", 0x88a8, 100, 0x8100, 30)
}

// TCP at full size, with its offloads, between every two kinds of port: through
// one tag, two tags, and none, bridged and routed.
func TestSmokeVLANs(t *testing.T) {
	root(t)
	t.Parallel()
	l := newL2Lab(t)
	for _, c := range []struct{ from, to, ip string }{
		{"web", "vm", "10.97.0.21"}, {"vm", "web", "10.97.0.1"}, {"db", "vm", "10.97.1.21"}, {"vm", "db", "10.97.1.2"},
		{"web", "metal", "10.97.0.31"}, {"metal", "web", "10.97.0.1"}, {"db", "metal", "10.97.1.31"}, {"metal", "db", "10.97.1.2"},
		{"vm", "metal", "10.97.1.31"}, {"metal", "vm", "10.97.0.21"},
		{"carrier", "vm", "10.97.0.21"}, {"web", "carrier", "10.97.0.41"}, {"metal", "carrier", "10.97.0.41"},
		{"db", "web", "10.97.0.1"}, // routed: the gateway is behind the default route of a TAP
	} {
		transfer(t, l.netns[c.from], l.netns[c.to], c.ip, fmt.Sprintf("%s to %s at %s", c.from, c.to, c.ip))
	}
}

// A13, VLAN hopping: every kind of port is sent every tag type, identifier and
// depth, as IPv4 and as IPv6. Nobody gets a frame that the truth table does not
// let in, and every other one has its named reason.
func TestAttackVLANHopping(t *testing.T) {
	root(t)
	t.Parallel()
	l := newL2Lab(t)
	victims := map[string]*wire{"web": openWire(t, l.netns["web"], "eth0"), "db": openWire(t, l.netns["db"], "eth0")}
	const word = "vlan hopping"
	types, vids := []uint16{0x8100, 0x88a8, 0x9100, 0x9200}, []uint16{0, 10, 20, 100, 4095}
	kinds := [][]uint16{nil}
	for _, kind := range types {
		for _, vid := range vids {
			kinds = append(kinds, []uint16{kind, vid})
			for _, inner := range []uint16{0, 10, 20, 30} {
				kinds = append(kinds, []uint16{kind, vid, 0x8100, inner})
			}
		}
	}
	sent, why := 0, map[string]uint64{}
	for _, port := range []string{"web", "vm", "metal", "carrier"} {
		w := openWire(t, l.netns[port], "eth0")
		before := portOf(t, l.socket, port)
		n := uint64(0)
		for _, tags := range kinds {
			for _, to := range []string{"10.97.1.2", "fd97::2"} {
				// As an endpoint of front would write to db at its own MAC, in back: only a
				// tag could bring it there.
				s := packet.Spec{SrcMAC: packet.MAC{2, 0x97, 0, 0, 0, 0x77}, DstMAC: packet.MAC{2, 0x97, 0, 0, 0, 2},
					Src: packet.AddrFrom(mustAddr("10.97.0.77")), Dst: packet.AddrFrom(mustAddr(to)), Proto: packet.ProtoUDP, SrcPort: 1, DstPort: 5100, Payload: []byte(word)}
				if !s.Dst.Is4() {
					s.Src = packet.AddrFrom(mustAddr("fd97::77"))
				}
				w.send(frameOf(t, s, tags...))
				n++
			}
		}
		sent += int(n)
		waitIn(t, l.socket, port, before.In+n)
		after := portOf(t, l.socket, port)
		dropped := uint64(0)
		for reason, m := range after.Drops {
			d := m - before.Drops[reason]
			if d > 0 {
				why[reason] += d
			}
			if dropped += d; d > 0 && reason != "vlan-tag" && reason != "vlan-unknown" && reason != "vlan-untagged" && reason != "ether-type" && reason != "spoofed-mac" && reason != "flood-off" && reason != "spoofed-ip" && reason != "icmp-unmatched" && reason != "no-rule" {
				t.Errorf("%s: %d dropped as %s", port, d, reason)
			}
		}
		if dropped < n {
			t.Errorf("%s: %d frames were sent, %d dropped: %v", port, n, dropped, after.Drops)
		}
		if after.Drops["vlan-tag"] == before.Drops["vlan-tag"] || after.Drops["ether-type"] == before.Drops["ether-type"] {
			t.Errorf("%s: %v", port, after.Drops)
		}
	}
	delivered := 0
	for name, v := range victims {
		if got := v.drain(word, 200*time.Millisecond); len(got) != 0 {
			delivered += len(got)
			t.Errorf("%s got %d of %d frames: %x", name, len(got), sent, got[0])
		}
	}
	attackRow{id: "A13", what: "tags of every type, VLAN and depth, on every kind of port", sent: uint64(sent), delivered: uint64(delivered), reasons: why}.report(t)
	if sent < 200 {
		t.Errorf("only %d frames were tried", sent)
	}
}
