package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"bulkhead/dataplane/packet"
)

// TestAttackSpoof sends as somebody else: A04, A06 and A12 of the attack table.
func TestAttackSpoof(t *testing.T) {
	root(t)
	t.Parallel()
	for _, driver := range []string{"tap", "xdp"} {
		s := stage(t, driver, "sessions = 4096")
		s.fire("A04", "a million source MACs, "+driver, macShots(t))
		if n := len(s.learned()); n != 0 {
			t.Errorf("%d MACs were learned on a workload's port", n)
		}
		s.fire("A06", "source addresses of others, "+driver, sourceShots(t))
		s.forgedErrors("A12", "ICMP errors with forged quotes, "+driver)
	}
}

// macShots has another source MAC each.
func macShots(t *testing.T) (shots []shot) {
	b := made(t, 0, func(*packet.Spec) {})
	for i := range times(1_000_000, 3_000) {
		c := append([]byte(nil), b...)
		binary.BigEndian.PutUint32(c[8:], uint32(i)*2654435761)
		c[6], c[7] = 2, byte(i>>24)
		shots = append(shots, shot{"mac", c, "spoofed-mac"})
	}
	return shots
}

// learned is the MACs that the switch has learned.
func (s *scene) learned() (macs []string) {
	s.t.Helper()
	var entries []struct {
		MAC  string `json:"mac"`
		Kind string `json:"kind"`
	}
	s.get("/v1/fdb", &entries)
	for _, e := range entries {
		if e.Kind == "learned" {
			macs = append(macs, e.MAC)
		}
	}
	return macs
}

// sourceShots has source addresses that mallory does not hold: those of its
// neighbours and the gateway, special ones, and any.
func sourceShots(t *testing.T) (shots []shot) {
	random := rand.New(rand.NewPCG(3, 4))
	add := func(src, reason string, family int, edit func(*packet.Spec)) {
		b := made(t, family, func(s *packet.Spec) { s.Src = addr(src); edit(s) })
		shots = append(shots, shot{"from " + src, b, reason})
	}
	kinds := []func(*packet.Spec){
		func(*packet.Spec) {},
		func(s *packet.Spec) { s.Proto = packet.ProtoTCP },
		func(s *packet.Spec) {
			s.DstMAC, s.DstPort = sceneMACs[bob], 5101
			s.Dst = addr(sceneIP(bob, familyOf(s)))
		},
	}
	for _, edit := range kinds {
		for family, all := range [][]string{
			{sceneIP(alice, 0), sceneIP(bob, 0), sceneGateway4, "10.93.0.0", "10.93.0.77", "192.0.2.1", "169.254.1.1", "0.0.0.1", "0.255.255.255"},
			{sceneIP(bob, 1), sceneGateway6, "fd93::77", "2001:db8::1", "fe80::1", "fe80::93:ff:fe00:3"},
		} {
			for _, src := range all {
				add(src, map[bool]string{true: "martian", false: "spoofed-ip"}[src[:2] == "0."], family, edit)
			}
		}
		for family, all := range [][]string{{"127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"}, {"::1", "ff02::1"}} {
			for _, src := range all {
				add(src, "martian", family, edit)
			}
		}
	}
	for range times(1_000_000, 2_000) {
		src := fmt.Sprintf("%d.%d.%d.%d", 11+random.IntN(100), random.IntN(256), random.IntN(256), random.IntN(256))
		add(src, "spoofed-ip", 0, kinds[random.IntN(3)])
	}
	return shots
}

func familyOf(s *packet.Spec) int {
	if s.Src.Is4() {
		return 0
	}
	return 1
}

// forgedErrors sends ICMP errors about packets that mallory has not been sent.
func (s *scene) forgedErrors(id, what string) {
	s.t.Helper()
	var shots []shot
	sessions := s.status().Sessions
	for family := range 2 {
		bobs := func(edit func(*packet.Spec)) []byte { // what bob sends alice: not mallory's to speak of
			return made(s.t, family, func(p *packet.Spec) {
				p.SrcMAC, p.Src = sceneMACs[bob], addr(sceneIP(bob, family))
				edit(p)
			})
		}
		own := func(edit func(*packet.Spec)) []byte { return made(s.t, family, edit) }
		back := func(edit func(*packet.Spec)) []byte { // as if alice had sent mallory something
			return made(s.t, family, func(p *packet.Spec) {
				p.Src, p.Dst = addr(sceneIP(alice, family)), addr(sceneIP(mallory, family))
				edit(p)
			})
		}
		tcp := func(p *packet.Spec) { p.Proto, p.Payload = packet.ProtoTCP, nil }
		udp := func(*packet.Spec) {}
		for _, quoted := range [][]byte{bobs(udp), bobs(tcp), own(udp), own(tcp), back(udp), back(tcp)} {
			for _, kind := range errorKinds[family] {
				shots = append(shots, shot{"error", s.errorAbout(family, kind, quoted), "icmp-unmatched"})
			}
		}
	}
	s.fire(id, what, shots)
	if n := s.status().Sessions; n != sessions {
		s.t.Errorf("%s %s: there were %d sessions, and there are %d", id, what, sessions, n)
	}
}

// errorKinds are types and codes: unreachable, too big, time exceeded,
// parameter problem.
var errorKinds = [2][][2]uint8{{{3, 1}, {3, 3}, {3, 4}, {11, 0}, {12, 0}}, {{1, 0}, {1, 4}, {2, 0}, {3, 0}, {4, 0}}}

// errorAbout is an ICMP error from mallory to alice.
func (s *scene) errorAbout(family int, kind [2]uint8, quoted []byte) []byte {
	return made(s.t, family, func(p *packet.Spec) {
		p.Proto = []uint8{packet.ProtoICMP, packet.ProtoICMPv6}[family]
		p.ICMPType, p.ICMPCode = kind[0], kind[1]
		p.Payload = quoted[14:]
	})
}
