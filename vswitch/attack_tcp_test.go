package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/packet"
)

// The kernel's connection tracking, strict (tcp_loose=0, tcp_be_liberal=0), is
// the oracle of TCP: whatever it calls invalid, the switch must not pass. Every
// set of the nine flags, in five states of a connection, at three places of the
// sequence space, in both directions: each is a probe of a connection of its own,
// which is sent through the daemon and through a router.

// tcpCase is one probe.
type tcpCase struct {
	flags  uint16 // FIN is bit 0, AE bit 8
	state  int    // of tcpStates
	place  int    // of tcpPlaces
	server bool   // the server sends it
	port   uint16 // the client's, which tells the case
}

var (
	tcpStates = []string{"none", "syn-sent", "syn-received", "established", "fin-wait"}
	tcpPlaces = []string{"at the next byte", "100,000 below", "200,000 above"}
)

const (
	clientISN, serverISN = 1_000_000, 5_000_000
	probeTOS             = 0x28 // marks a probe; what makes the state has 0
)

func tcpCases() (all []tcpCase) {
	for flags := range uint16(512) {
		for state := range tcpStates {
			for place := range tcpPlaces {
				for _, server := range []bool{false, true} {
					all = append(all, tcpCase{flags, state, place, server, uint16(1024 + len(all))})
				}
			}
		}
	}
	return all
}

func (c *tcpCase) String() string {
	who := "client"
	if c.server {
		who = "server"
	}
	return fmt.Sprintf("flags %09b from the %s, %s, %s", c.flags, who, tcpStates[c.state], tcpPlaces[c.place])
}

// step is a segment that makes the state, or none.
func (c *tcpCase) step(n int) (flags uint16, server, is bool) {
	const syn, ack, fin = packet.TCPSyn, packet.TCPAckFlag, packet.TCPFin
	steps := []struct {
		flags  uint16
		server bool
	}{{syn, false}, {syn | ack, true}, {ack, false}, {fin | ack, false}}
	if n >= c.state {
		return 0, false, false
	}
	return steps[n].flags, steps[n].server, true
}

// numbers are what either end has sent when the state was reached.
func (c *tcpCase) numbers() (client, server uint32) {
	client, server = clientISN, serverISN
	if c.state >= 1 {
		client++
	}
	if c.state >= 2 {
		server++
	}
	if c.state >= 4 {
		client++
	}
	return client, server
}

// tcpWire is a place where segments are sent and seen: from the client's end to the
// server's, and back.
type tcpWire struct {
	name           string
	client, server *gun
	clientNS       string
	serverNS       string
	build          func(server bool) packet.Spec
}

// segment builds a segment with any flags.
func (w *tcpWire) segment(t *testing.T, c *tcpCase, server bool, flags uint16, seq, ack uint32, tos uint8) []byte {
	s := w.build(server)
	s.Proto, s.TOS, s.Seq, s.TCPFlags = packet.ProtoTCP, tos, seq, packet.TCPSyn
	s.SrcPort, s.DstPort = c.port, 5100
	if server {
		s.SrcPort, s.DstPort = 5100, c.port
	}
	if flags&packet.TCPAckFlag != 0 {
		s.Ack = ack
	}
	b, err := packet.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	tcp := b[34:]
	tcp[12] = tcp[12]&0xfe | byte(flags>>8)
	tcp[13] = byte(flags)
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	tcp[16], tcp[17] = 0, 0
	binary.BigEndian.PutUint16(tcp[16:], checksum.Of(tcp, checksum.Pseudo(b[26:30], b[30:34], packet.ProtoTCP, uint32(len(tcp)))))
	return b
}

// pass sends all cases and returns which probes have come out at the other end.
func (w *tcpWire) pass(t *testing.T, cases []tcpCase) map[uint16]bool {
	t.Helper()
	var mu sync.Mutex
	probes, arrived := map[uint16]bool{}, 0
	hear := func(server bool) func([]byte) {
		return func(b []byte) {
			if len(b) < 54 || b[12] != 8 || b[13] != 0 || b[23] != packet.ProtoTCP {
				return
			}
			port := binary.BigEndian.Uint16(b[36:])
			if server {
				port = binary.BigEndian.Uint16(b[34:])
			}
			mu.Lock()
			defer mu.Unlock()
			if b[15] == probeTOS {
				probes[port] = true
			} else {
				arrived++
			}
		}
	}
	ends := []func(){capture(t, w.clientNS, hear(false)), capture(t, w.serverNS, hear(true))}
	sent := 0
	settle := func() {
		for last, same := -1, 0; same < 10; {
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			now := arrived + len(probes)
			mu.Unlock()
			if now != last {
				last, same = now, 0
			}
			same++
		}
	}
	for n := range len(tcpStates) - 1 {
		for i := range cases {
			c := &cases[i]
			flags, server, is := c.step(n)
			if !is {
				continue
			}
			seq, ack := uint32(clientISN), uint32(serverISN)
			if n > 0 {
				seq, ack = seq+1, ack+1
			}
			gun := w.client
			if server {
				seq, ack, gun = serverISN, clientISN+1, w.server
			}
			gun.fire(w.segment(t, c, server, flags, seq, ack, 0))
			if sent++; sent%256 == 0 {
				settle()
			}
		}
		settle()
	}
	mu.Lock()
	if arrived != sent {
		t.Errorf("%s: %d of %d segments that make the states have arrived", w.name, arrived, sent)
	}
	mu.Unlock()
	for i := range cases {
		c := &cases[i]
		seq, ack, gun := uint32(0), uint32(0), w.client
		if seq, ack = c.numbers(); c.server {
			seq, ack, gun = ack, seq, w.server
		}
		gun.fire(w.segment(t, c, c.server, c.flags, seq+[]uint32{0, ^uint32(99_999), 200_000}[c.place], ack, probeTOS))
		if i%256 == 255 {
			settle()
		}
	}
	settle()
	for _, end := range ends {
		end()
	}
	return probes
}

// router is the kernel between two namespaces, which passes what its connection
// tracking calls established, and clean SYNs.
func router(t *testing.T) *tcpWire {
	t.Helper()
	a, r, b := namespace(t, "ka"), namespace(t, "kr"), namespace(t, "kb")
	for i, ns := range []string{a, b} {
		sh(t, fmt.Sprintf("ip link add e%d netns %s type veth peer name eth0 netns %s address 02:92:00:00:00:0%d", i, r, ns, i+1),
			fmt.Sprintf("ip -n %s link set e%d address 02:92:00:00:01:0%d up", r, i, i+1), fmt.Sprintf("ip -n %s addr add 10.92.%d.254/24 dev e%d", r, i, i),
			"ip -n "+ns+" link set eth0 up", fmt.Sprintf("ip -n %s neigh add 10.92.%d.1 lladdr 02:92:00:00:00:0%d dev e%d", r, i, i+1, i))
	}
	// /proc/sys shows the network settings of who opens it, so the tracker's own are
	// set within the namespace, once its module is there for it.
	in(t, r, "sysctl -qw net.ipv4.ip_forward=1", "nft add table ip f",
		"nft 'add chain ip f through { type filter hook forward priority 0; policy drop; }'",
		"nft add rule ip f through ct state established,related accept",
		"nft 'add rule ip f through ct state new tcp flags & (fin|syn|rst|ack) == syn accept'",
		"sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 net.netfilter.nf_conntrack_tcp_be_liberal=0 net.netfilter.nf_conntrack_checksum=1")
	return &tcpWire{
		name: "the kernel", client: gunIn(t, a), server: gunIn(t, b), clientNS: a, serverNS: b,
		build: func(server bool) packet.Spec {
			s := packet.Spec{SrcMAC: packet.MAC{2, 0x92, 0, 0, 0, 1}, DstMAC: packet.MAC{2, 0x92, 0, 0, 1, 1}, Src: addr("10.92.0.1"), Dst: addr("10.92.1.1")}
			if server {
				s = packet.Spec{SrcMAC: packet.MAC{2, 0x92, 0, 0, 0, 2}, DstMAC: packet.MAC{2, 0x92, 0, 0, 1, 2}, Src: addr("10.92.1.1"), Dst: addr("10.92.0.1")}
			}
			return s
		},
	}
}

// TestAttackTCP is A11 of the attack table: the switch passes no segment that
// the kernel's strict connection tracking calls invalid.
func TestAttackTCP(t *testing.T) {
	root(t)
	t.Parallel()
	if out, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil {
		t.Fatalf("nft is needed (apt-get install nftables): %v: %s", err, out)
	}
	cases := tcpCases()
	kernel := router(t).pass(t, cases)

	s := stage(t, "tap", "sessions = 131072\nsessions_per_port = 65536\nembryonic_per_port = 65536")
	in(t, s.alice, "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1", "ip addr flush dev eth0")
	before := s.port("mallory").Drops
	ours := (&tcpWire{
		name: "the switch", client: s.gun(), server: gunIn(t, s.alice), clientNS: s.mallory, serverNS: s.alice,
		build: func(server bool) packet.Spec {
			p := packet.Spec{SrcMAC: sceneMACs[mallory], DstMAC: sceneMACs[alice], Src: addr(sceneIP(mallory, 0)), Dst: addr(sceneIP(alice, 0))}
			if server {
				p.SrcMAC, p.DstMAC, p.Src, p.Dst = p.DstMAC, p.SrcMAC, p.Dst, p.Src
			}
			return p
		},
	}).pass(t, cases)

	looser, stricter, both := 0, map[string]int{}, 0
	for i := range cases {
		c := &cases[i]
		switch k, o := kernel[c.port], ours[c.port]; {
		case o && !k:
			if looser++; looser <= 20 {
				t.Errorf("looser than the kernel: %s", c)
			}
		case k && !o:
			stricter[tcpStates[c.state]]++
		case k:
			both++
		}
	}
	row := attackRow{id: "A11", what: "TCP: flags x states x places x directions, beside nf_conntrack", sent: uint64(len(cases)), delivered: uint64(looser), reasons: map[string]uint64{}}
	for reason, n := range s.port("mallory").Drops {
		if n -= before[reason]; n > 0 {
			row.reasons[reason] = n
		}
	}
	row.figures = fmt.Sprintf("both pass %d, the kernel alone %v", both, stricter)
	row.report(t)
	if looser > 0 {
		t.Errorf("%d of %d cases are looser", looser, len(cases))
	}
	if both < 100 {
		t.Errorf("only %d probes pass both: the test compares too little", both)
	}
}
