package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
)

// A05 and A06, spoofing: everything that a workload can say in another's name,
// plain and hidden in five ways, in a segment that floods and under a policy that
// allows everything, so that nothing but the port's own guard is in the way. Two
// victims listen on their wires, on a TAP and on a veth.

// lie is a frame that its sender must not send, and why it is dropped.
type lie struct {
	name, reason string
	frame        []byte
}

var (
	victimMAC = packet.MAC{2, 0x94, 0, 0, 0, 2}
	everyMAC  = packet.MAC{255, 255, 255, 255, 255, 255}
)

// lies are those in IPv4 and IPv6, by the attacker who is number n. A MAC of the
// victim's in a header, with the attacker's on the frame, is made by writing the
// latter over.
func lies(t *testing.T, gateway packet.MAC, n byte) (all []lie) {
	attackerMAC := packet.MAC{2, 0x94, 0, 0, 0, n}
	ip := func(s string) packet.Addr { return packet.AddrFrom(mustAddr(s)) }
	me, victim, gate, me6, victim6, gate6 := ip(fmt.Sprint("10.94.0.", n)), ip("10.94.0.2"), ip("10.94.0.254"), ip(fmt.Sprint("fd94::", n)), ip("fd94::2"), ip("fd94::fe")
	add := func(name, reason string, s packet.Spec, overwrite bool) {
		if s.SrcMAC == (packet.MAC{}) {
			s.SrcMAC = attackerMAC
		}
		if s.DstMAC == (packet.MAC{}) {
			s.DstMAC = victimMAC
		}
		b := frameOf(t, s)
		if overwrite {
			copy(b[6:12], attackerMAC[:])
		}
		all = append(all, lie{name, reason, b})
	}
	arp := func(op uint16, src, dst packet.Addr, mac packet.MAC, to packet.MAC) packet.Spec {
		return packet.Spec{ARP: op, Src: src, Dst: dst, SrcMAC: mac, DstMAC: to}
	}
	add("arp_request_of_victim", "spoofed-arp", arp(packet.ARPRequest, victim, gate, attackerMAC, everyMAC), false)
	add("arp_reply_of_gateway", "spoofed-arp", arp(packet.ARPReply, gate, victim, attackerMAC, victimMAC), false)
	add("arp_gratuitous_victim", "spoofed-arp", arp(packet.ARPRequest, victim, victim, attackerMAC, everyMAC), false)
	add("arp_gratuitous_gateway", "spoofed-arp", arp(packet.ARPReply, gate, gate, attackerMAC, everyMAC), false)
	add("arp_sender_mac_of_victim", "spoofed-arp-mac", arp(packet.ARPReply, me, victim, victimMAC, everyMAC), true)
	add("arp_frame_mac_of_victim", "spoofed-mac", arp(packet.ARPReply, victim, gate, victimMAC, everyMAC), false)
	udp := func(src, dst packet.Addr, sport, dport uint16) packet.Spec {
		return packet.Spec{Src: src, Dst: dst, Proto: packet.ProtoUDP, SrcPort: sport, DstPort: dport, Payload: []byte("in another's name")}
	}
	for _, c := range []struct {
		name, reason string
		src, dst     packet.Addr
	}{
		{"source_of_victim", "spoofed-ip", victim, ip("10.94.0.3")}, {"source_of_gateway", "spoofed-ip", gate, victim}, {"source_of_nobody", "spoofed-ip", ip("10.94.0.77"), victim},
		{"source_elsewhere", "spoofed-ip", ip("192.0.2.1"), victim}, {"source_loopback", "martian", ip("127.0.0.1"), victim}, {"source_of_a_group", "martian", ip("224.0.0.1"), victim},
		{"source6_of_victim", "spoofed-ip", victim6, ip("fd94::3")}, {"source6_of_gateway", "spoofed-ip", gate6, victim6}, {"source6_of_nobody", "spoofed-ip", ip("fd94::77"), victim6},
		{"source6_loopback", "martian", ip("::1"), victim6}, {"source6_of_a_group", "martian", ip("ff02::1"), victim6}, {"source6_link_local_of_victim", "spoofed-ip", ip("fe80::94:ff:fe00:2"), victim6},
	} {
		add(c.name, c.reason, udp(c.src, c.dst, 1, 2), false)
	}
	for _, c := range []struct {
		name string
		mac  packet.MAC
		src  packet.Addr
		dst  packet.Addr
	}{{"mac_of_victim", victimMAC, me, victim}, {"mac_of_gateway", gateway, me, victim}, {"mac6_of_victim", victimMAC, me6, victim6}} {
		s := udp(c.src, c.dst, 1, 2)
		s.SrcMAC = c.mac
		add(c.name, "spoofed-mac", s, false)
	}
	broadcast := udp(me, ip("255.255.255.255"), 67, 68)
	broadcast.DstMAC = everyMAC
	add("dhcp_offer", "rogue-dhcp", broadcast, false)
	add("dhcp_offer_from_another_port", "rogue-dhcp", udp(me, victim, 6767, 68), false)
	add("dhcp6_reply", "rogue-dhcp", udp(me6, victim6, 547, 546), false)
	add("dhcp6_reply_from_another_port", "rogue-dhcp", udp(me6, victim6, 5470, 546), false)
	icmp := func(proto uint8, src, dst packet.Addr, kind uint8, target packet.Addr) packet.Spec {
		return packet.Spec{Src: src, Dst: dst, Proto: proto, ICMPType: kind, Target: target, TTL: 255}
	}
	add("redirect", "rogue-redirect", icmp(packet.ProtoICMP, me, victim, packet.ICMPRedirect, me), false)
	add("router_advertisement_icmp", "rogue-ra", icmp(packet.ProtoICMP, me, victim, packet.ICMPRouterAdvertisement, me), false)
	add("redirect6", "rogue-redirect", icmp(packet.ProtoICMPv6, me6, victim6, packet.NDRedirect, me6), false)
	add("router_advertisement", "rogue-ra", icmp(packet.ProtoICMPv6, ip(fmt.Sprint("fe80::94:ff:fe00:", n)), ip("ff02::1"), packet.NDRouterAdvertisement, packet.Addr{}), false)
	add("solicitation_of_victim", "spoofed-ndp", icmp(packet.ProtoICMPv6, victim6, gate6, packet.NDNeighbourSolicitation, gate6), false)
	add("advertisement_of_gateway", "spoofed-nd-target", icmp(packet.ProtoICMPv6, me6, victim6, packet.NDNeighbourAdvertisement, gate6), false)
	add("advertisement_of_victim", "spoofed-nd-target", icmp(packet.ProtoICMPv6, me6, ip("ff02::1"), packet.NDNeighbourAdvertisement, victim6), false)
	link := icmp(packet.ProtoICMPv6, me6, victim6, packet.NDNeighbourAdvertisement, me6)
	link.SrcMAC = victimMAC
	add("advertisement_link_of_victim", "spoofed-nd-link", link, true)
	link = icmp(packet.ProtoICMPv6, me6, victim6, packet.NDNeighbourSolicitation, victim6)
	link.SrcMAC = victimMAC
	add("solicitation_link_of_victim", "spoofed-nd-link", link, true)
	return all
}

// hidden are the five ways that have hidden packets from filters (VU#855201).
var hidden = []struct {
	name, reason string
	wrap         func(b []byte) []byte
}{
	{"priority tag", "vlan-tag", func(b []byte) []byte { return wrapped(b, 0x81, 0, 0, 0) }},
	{"two priority tags", "vlan-tag", func(b []byte) []byte { return wrapped(b, 0x81, 0, 0, 0, 0x81, 0, 0, 0) }},
	{"802.1ad", "vlan-tag", func(b []byte) []byte { return wrapped(b, 0x88, 0xa8, 0, 0, 0x81, 0, 0, 0) }},
	{"LLC and SNAP", "llc", func(b []byte) []byte {
		n := binary.BigEndian.AppendUint16(nil, uint16(len(b)-12+6))
		return wrapped(b, n[0], n[1], 0xaa, 0xaa, 3, 0, 0, 0)
	}},
	{"LLC and SNAP of a wrong length", "llc", func(b []byte) []byte { return wrapped(b, 5, 0xdc, 0xaa, 0xaa, 3, 0, 0, 0) }},
	{"LLC and SNAP behind a priority tag", "llc", func(b []byte) []byte { return wrapped(b, 0x81, 0, 0, 0, 0, 0x30, 0xaa, 0xaa, 3, 0, 0, 0) }},
}

func wrapped(b []byte, head ...byte) []byte {
	return append(append(append([]byte(nil), b[:12]...), head...), b[12:]...)
}

func TestAttackSpoofing(t *testing.T) {
	root(t)
	t.Parallel()
	bin, dir := build(t), t.TempDir()
	own, config, socket := namespace(t, "s"), filepath.Join(dir, "bulkhead.toml"), filepath.Join(dir, "s.sock")
	allowAll(t, filepath.Join(dir, "all.bhp"))
	text := "policy = \"all.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\ngateways = [\"10.94.0.254/24\", \"fd94::fe/64\"]\nunknown = \"flood\"\nbroadcast = \"flood\"\ngateway_mac = \"02:94:00:00:00:fe\"\n"
	var ends []string
	for i := range 4 { // attacker and victim on TAPs, victim and attacker on veths
		ns, mac := namespace(t, fmt.Sprint("e", i)), fmt.Sprintf("02:94:00:00:00:0%d", i+1)
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"s\"\nmac = %q\nips = [\"10.94.0.%d\", \"fd94::%d\"]\n", i, mac, i+1, i+1)
		if ends = append(ends, ns); i < 2 {
			text += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", ns)
			continue
		}
		host := fmt.Sprintf("a%d-%d", i, os.Getpid()%1000000)
		sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, own, ns, mac),
			fmt.Sprintf("ip -n %s addr add 10.94.0.%d/24 dev eth0", ns, i+1), "ip -n "+ns+" link set eth0 up")
		text += fmt.Sprintf("driver = \"packet\"\ndevice = %q\n", host)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, bin, config, own)
	gateway := packet.MAC{2, 0x94, 0, 0, 0, 0xfe}
	for _, ns := range ends[1:3] { // each victim knows its gateway's MAC, and keeps it
		sh(t, "ip netns exec "+ns+" ping -c 1 -W 2 10.94.0.254")
	}
	attackFrom(t, socket, ends, 0, lies(t, gateway, 1))
	attackFrom(t, socket, ends, 3, lies(t, gateway, 4))
	for _, ns := range ends[1:3] {
		out, err := exec.Command("ip", "-n", ns, "neigh", "show", "10.94.0.254").Output()
		if err != nil || !strings.Contains(string(out), gateway.String()) {
			t.Errorf("the victim's gateway is now %s %v", out, err)
		}
	}
}

// attackFrom sends every lie, plain and hidden, and looks at what the victims got
// and how each was dropped.
func attackFrom(t *testing.T, socket string, ends []string, from int, all []lie) {
	t.Helper()
	w, victims := openWire(t, ends[from], "eth0"), []*wire{openWire(t, ends[1], "eth0"), openWire(t, ends[2], "eth0")}
	port := fmt.Sprint("p", from)
	time.Sleep(300 * time.Millisecond) // what the namespace's own stack has to say
	before, want, sent := portOf(t, socket, port), map[string]uint64{}, uint64(0)
	for _, l := range all {
		w.send(l.frame)
		want[l.reason]++
		for _, h := range hidden {
			w.send(h.wrap(l.frame))
			want[h.reason]++
		}
		sent += 1 + uint64(len(hidden))
	}
	waitIn(t, socket, port, before.In+sent)
	after, got := portOf(t, socket, port), map[string]uint64{}
	for reason, n := range after.Drops {
		if n -= before.Drops[reason]; n > 0 && want[reason] > 0 {
			got[reason] = n
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("from %s: dropped %v, want %v", port, got, want)
	}
	delivered := uint64(0)
	for i, v := range victims {
		for _, f := range v.drain("", 200*time.Millisecond) {
			for _, l := range all {
				if contains(f, string(l.frame[14:])) {
					delivered++
					t.Errorf("from %s: victim %d got %s: %x", port, i, l.name, f)
				}
			}
		}
	}
	attackRow{id: "A05", what: fmt.Sprintf("ARP, ND, RA, DHCP and addresses of others, plain and hidden, from %s", port), sent: sent, delivered: delivered, reasons: got}.report(t)
}

// allowAll compiles a policy that allows everything to everybody.
func allowAll(t *testing.T, path string) {
	t.Helper()
	rules, findings := compile.Compile([]compile.Source{{Name: "p.toml", Text: []byte("version = 1\n[[rules]]\nname = \"all\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"any\"] }\n")}}, compile.Options{})
	if findings.Failed() {
		_ = findings.Render(os.Stderr)
		t.Fatal("the policy does not compile")
	}
	data, err := policy.Encode(rules)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
