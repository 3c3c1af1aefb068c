package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// TestAttackMalformed sends what does not parse, of both families, over TAP and
// AF_XDP: A08 to A10, A14 and A15 of the attack table.
func TestAttackMalformed(t *testing.T) {
	root(t)
	t.Parallel()
	for _, driver := range []string{"tap", "xdp"} {
		s := stage(t, driver, "sessions = 4096")
		s.fire("A10", "IPv6 extension headers before a denied port, "+driver, extensionShots(t))
		s.fire("A14", "truncated at every byte, "+driver, truncatedShots(t))
		s.damaged("A14", "bytes changed at random, "+driver)
		s.fire("A09", "fragments: no header, overlaps, of TCP, "+driver, fragmentShots(t))
		s.badChecksums("A15", "SYNs and datagrams with wrong checksums, "+driver)
	}
}

// parsed is the reason that the parser itself has for a frame, or otherwise.
func parsed(b []byte, otherwise string) string {
	if reason := packet.Parse(packet.NewFrame(b, 0)); reason != drop.None {
		return reason.String()
	}
	return otherwise
}

// bases are packets that mallory may send to alice.
func bases(t *testing.T) map[string][]byte {
	all := map[string][]byte{}
	for family, v := range []string{"4", "6"} {
		all["udp"+v] = made(t, family, func(*packet.Spec) {})
		all["tcp"+v] = made(t, family, func(s *packet.Spec) { s.Proto = packet.ProtoTCP })
		all["echo"+v] = made(t, family, func(s *packet.Spec) {
			s.Proto, s.ICMPType = []uint8{packet.ProtoICMP, packet.ProtoICMPv6}[family], []uint8{packet.ICMPEchoRequest, packet.ICMPv6EchoRequest}[family]
		})
		all["arp"+v] = made(t, 0, func(s *packet.Spec) { s.ARP, s.DstMAC = packet.ARPRequest, packet.MAC{255, 255, 255, 255, 255, 255} })
	}
	return all
}

// truncatedShots cuts each packet at each of its bytes: the lengths in it say
// that there is more. What is shorter than an Ethernet header no kernel sends.
func truncatedShots(t *testing.T) (shots []shot) {
	for name, whole := range bases(t) {
		for n := 14; n < len(whole); n++ {
			b := whole[:n:n]
			if n < 60 {
				// A device may pad it. With zeros behind it, it says the same.
				padded := append(append([]byte(nil), b...), make([]byte, 60-n)...)
				if parsed(padded, "") != parsed(b, "") || parsed(b, "") == "" {
					continue
				}
			}
			shots = append(shots, shot{fmt.Sprintf("%s cut at %d", name, n), b, parsed(b, "")})
		}
	}
	return shots
}

// extensionShots are chains of extension headers before a datagram to a port
// that is denied: whatever they are, it is not reached.
func extensionShots(t *testing.T) (shots []shot) {
	inner := made(t, 1, func(s *packet.Spec) { s.DstPort = 5101 })
	kinds := []byte{0, 60, 43, 44, 51, 59, 135, 139, 140, 253}
	add := func(chain ...byte) {
		b := append([]byte(nil), inner[:54]...)
		next := 14 + 6 // where the type of the next header is said
		for _, kind := range chain {
			b[next] = kind
			next = len(b)
			b = append(b, 17, 0, 1, 4, 0, 0, 0, 0) // 8 bytes, all of it padding
			if kind == 44 {
				b[len(b)-6], b[len(b)-5] = 0, 0
			}
		}
		b[next] = 17
		b = append(b, inner[54:]...)
		binary.BigEndian.PutUint16(b[14+4:], uint16(len(b)-54))
		shots = append(shots, shot{fmt.Sprint("chain ", chain), b, parsed(b, "no-rule")})
	}
	for _, x := range kinds {
		add(x)
		for _, y := range kinds {
			add(x, y)
			for _, z := range kinds {
				add(x, y, z)
			}
		}
	}
	for n := 4; n < 12; n++ {
		add(make60(n)...)
	}
	return shots
}

func make60(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 60
	}
	return b
}

// fragmentShots hide a denied port: in a second fragment, by an overlap, in a
// fragment too short for it, or in one of TCP.
func fragmentShots(t *testing.T) (shots []shot) {
	id := uint32(1000)
	for family, v := range []string{"4", "6"} {
		denied := made(t, family, func(s *packet.Spec) { s.DstPort, s.Payload = 5101, packettest.Payload(120) })
		hidden := made(t, family, func(s *packet.Spec) { s.DstPort, s.Payload = 5101, packettest.Payload(120) })
		syn := made(t, family, func(s *packet.Spec) { s.Proto, s.Payload = packet.ProtoTCP, packettest.Payload(120) })
		id++
		shots = append(shots, shot{"first of a denied one" + v, packettest.Part(denied, 0, 64, id), "no-rule"},
			shot{"later of a denied one" + v, packettest.Part(denied, 64, 128, id), "fragment-refused"})
		id++
		shots = append(shots, shot{"its header again, at once" + v, packettest.Part(denied, 0, 8, id), "no-rule"},
			shot{"over it" + v, packettest.Part(hidden, 0, 64, id), "fragment-refused"})
		for from := 8; from < 64; from += 8 { // held, then overlapped by the first
			id++
			shots = append(shots, shot{fmt.Sprint("later from ", from, v), packettest.Part(hidden, from, 64, id), ""},
				shot{fmt.Sprint("a first over it, up to ", from+8, v), packettest.Part(denied, 0, from+8, id), "fragment-overlap"},
				shot{fmt.Sprint("the rest", v), packettest.Part(denied, 64, 128, id), "fragment-refused"})
		}
		for _, to := range []int{8, 16, 24, 40} {
			id++
			shots = append(shots, shot{fmt.Sprint("a SYN cut at ", to, v), packettest.Part(syn, 0, to, id), "fragment"},
				shot{fmt.Sprint("the SYN from ", to, v), packettest.Part(syn, to, 140, id), "fragment"})
		}
	}
	return shots
}

// damaged sends packets with bytes changed, checksums mended or not. What comes
// to alice must be what mallory may send her; to bob comes nothing.
func (s *scene) damaged(id, what string) {
	s.t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var all [][]byte
	for _, b := range bases(s.t) {
		all = append(all, b)
	}
	seen := s.watch(func(b []byte) bool { return !mayReachAlice(b) })
	gun, n := s.gun(), times(1_000_000, 10_000)
	for i := range n {
		b := append([]byte(nil), all[random.IntN(len(all))]...)
		for range 1 + random.IntN(4) {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		if random.IntN(2) == 0 {
			mendIPv4(b)
		}
		gun.fire(b)
		if i%256 == 255 {
			s.quiet("mallory")
		}
	}
	s.quiet("mallory")
	row := attackRow{id: id, what: what, sent: uint64(n), delivered: seen(), reasons: s.drops("mallory")}
	row.report(s.t)
	if row.delivered != 0 {
		s.t.Errorf("%s %s: %d frames came through that no rule allows", id, what, row.delivered)
	}
}

// mendIPv4 makes the header checksum right again, so that what is behind it is
// looked at.
func mendIPv4(b []byte) {
	if b[12] == 8 && b[13] == 0 {
		b[24], b[25] = 0, 0
		binary.BigEndian.PutUint16(b[24:], checksum.Of(b[14:34], 0))
	}
}

// mayReachAlice tells whether the rules let mallory send a frame to alice, or it
// is the switch's own answer to what alice's kernel asks.
func mayReachAlice(b []byte) bool {
	f := packet.NewFrame(b, 0)
	if packet.Parse(f) != drop.None {
		return false
	}
	h := &f.Headers
	if h.Kind != packet.KindIP {
		return bySwitch(b)
	}
	family := 0
	if h.V6 {
		family = 1
	}
	if h.Key.Dst != addr(sceneIP(alice, family)) || h.Key.Src != addr(sceneIP(mallory, family)) || h.Src != sceneMACs[mallory] && h.Src != sceneGateway {
		return false
	}
	switch h.Key.Proto {
	case packet.ProtoUDP, packet.ProtoTCP:
		return h.Key.DstPort == 5100
	case packet.ProtoICMP:
		return h.ICMPType == packet.ICMPEchoRequest
	case packet.ProtoICMPv6:
		return h.ICMPType == packet.ICMPv6EchoRequest
	}
	return false
}

// holds tells whether a MAC and an address are one's, as the switch may answer.
func holds(mac packet.MAC, a packet.Addr) bool {
	for who, m := range sceneMACs {
		if mac == m && (a == addr(sceneIP(who, 0)) || a == addr(sceneIP(who, 1))) {
			return true
		}
	}
	return mac == sceneGateway && (a == addr(sceneGateway4) || a == addr(sceneGateway6))
}

// badChecksums opens nothing.
func (s *scene) badChecksums(id, what string) {
	s.t.Helper()
	before := s.status().Sessions
	var shots []shot
	for i := range times(100_000, 2_000) {
		b := made(s.t, i%2, func(p *packet.Spec) {
			p.SrcPort = uint16(10000 + i%50000)
			if i/2%2 == 0 {
				p.Proto, p.Payload = packet.ProtoTCP, nil
			}
		})
		b[len(b)-1-i%8] ^= 0x10 // in TCP's options or window, or in the payload
		shots = append(shots, shot{"bad sum", b, ""})
	}
	for i := range shots {
		f := packet.NewFrame(shots[i].bytes, 0)
		if packet.Parse(f) == drop.None && !packet.VerifyChecksum(f) {
			shots[i].reason = "bad-checksum"
		} else {
			shots[i].reason = parsed(shots[i].bytes, "")
		}
	}
	s.fire(id, what, shots)
	if n := s.status().Sessions; n > before {
		s.t.Errorf("%s %s: %d sessions were opened", id, what, n-before)
	}
}
