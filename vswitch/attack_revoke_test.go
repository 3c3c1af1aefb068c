package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"bulkhead/dataplane/packet"
)

// A17, a rule is revoked and the connection lives on: mallory has ten thousand flows
// open to alice, answered, IPv4 and IPv6, half of them by a rule that goes. When the
// call that loads the policy has been answered, not one packet more of that half
// arrives, in either direction, and all of the other half does.
func TestAttackRevoked(t *testing.T) {
	root(t)
	t.Parallel()
	for _, driver := range []string{"tap", "xdp"} {
		s := stage(t, driver, "sessions = 65536\nsessions_per_port = 65536\nembryonic_per_port = 65536") // all are opened before one is answered
		s.revoked("A17", "half of the open flows revoked, "+driver)
	}
}

const keptPort, revokedPort = 5100, 5101

func (s *scene) revoked(id, what string) {
	s.t.Helper()
	wide := strings.Replace(scenePolicy, `ports = ["udp/5100", "tcp/5100", "icmp/echo"]`, `ports = ["udp/5100-5101", "tcp/5100", "icmp/echo"]`, 1)
	write(s.t, filepath.Join(filepath.Dir(s.config), "wide.bhp"), buildPolicy(s.t, wide))
	s.load("wide.bhp")
	n := times(2500, 250)
	there, back := s.arrivals(s.alice, alice), s.arrivals(s.mallory, mallory)
	guns := [2]*gun{gunIn(s.t, s.mallory), gunIn(s.t, s.alice)}
	s.round(guns, n, 1)
	for _, port := range []uint16{keptPort, revokedPort} {
		if to, from := there.count(port, 1), back.count(port, 1); to != 2*n || from != 2*n {
			s.t.Fatalf("of %d flows to port %d, %d arrive and %d are answered", 2*n, port, to, from)
		}
	}
	before, beforeAlice := s.drops("mallory"), s.drops("alice")
	s.load("policy.bhp")
	const rounds = 3
	for again := range byte(rounds) {
		s.round(guns, n, 2+again)
	}
	leaked, kept := 0, 0
	for again := range byte(rounds) {
		leaked += there.count(revokedPort, 2+again) + back.count(revokedPort, 2+again)
		kept += there.count(keptPort, 2+again) + back.count(keptPort, 2+again)
	}
	reasons := since(before, s.drops("mallory"))
	for reason, n := range since(beforeAlice, s.drops("alice")) {
		reasons[reason] += n
	}
	sent := 2 * 4 * n * rounds
	attackRow{id: id, what: what, sent: uint64(sent), delivered: uint64(leaked), reasons: reasons,
		figures: fmt.Sprintf("%d flows, answered; of the half that is kept %d of %d packets arrive", 4*n, kept, sent/2)}.report(s.t)
	if leaked != 0 || kept != sent/2 {
		s.t.Errorf("%s %s: %d leaked, %d of %d kept; dropped as %v", id, what, leaked, kept, sent/2, reasons)
	}
}

// round sends a packet of each flow there, and one back.
func (s *scene) round(guns [2]*gun, n int, mark byte) {
	s.t.Helper()
	for i := range n {
		for family := range 2 {
			for _, port := range []uint16{keptPort, revokedPort} {
				there := revocable(s.t, family, uint16(10_000+i), port, mark)
				guns[0].fire(there)
			}
		}
		if i%64 == 63 {
			s.quiet("mallory") // no more than the queue holds
		}
	}
	s.quiet("mallory")
	for i := range n {
		for family := range 2 {
			for _, port := range []uint16{keptPort, revokedPort} {
				guns[1].fire(answered(s.t, revocable(s.t, family, uint16(10_000+i), port, mark)))
			}
		}
		if i%64 == 63 {
			s.quiet("alice")
		}
	}
	s.quiet("alice")
}

func revocable(t *testing.T, family int, sport, dport uint16, mark byte) []byte {
	return made(t, family, func(p *packet.Spec) { p.SrcPort, p.DstPort, p.Payload = sport, dport, []byte{0xa1, 0x17, mark, 0} })
}

// answered is the packet that answers a datagram: all that is paired changes places,
// which leaves every checksum right.
func answered(t *testing.T, b []byte) []byte {
	t.Helper()
	f := packet.NewFrame(b, 0)
	if reason := packet.Parse(f); reason != 0 {
		t.Fatal(reason)
	}
	swap := func(at, n int) {
		for i := range n {
			b[at+i], b[at+n+i] = b[at+n+i], b[at+i]
		}
	}
	swap(0, 6)
	if f.Headers.V6 {
		swap(14+8, 16)
	} else {
		swap(14+12, 4)
	}
	swap(int(f.Headers.L4), 2)
	return b
}

// arrivals counts what comes to a workload, by the port that was called and mark.
type arrivals struct {
	mu   sync.Mutex
	seen map[[2]uint16]int
}

func (a *arrivals) count(port uint16, mark byte) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[[2]uint16{port, uint16(mark)}]
}

func (s *scene) arrivals(netns string, who int) *arrivals {
	a := &arrivals{seen: map[[2]uint16]int{}}
	s.t.Cleanup(capture(s.t, netns, func(b []byte) {
		f := packet.NewFrame(b, 0)
		if packet.Parse(f) != 0 || f.Headers.Kind != packet.KindIP || f.Headers.Key.Proto != packet.ProtoUDP || f.Headers.PacketEnd-uint32(f.Headers.Payload) != 4 {
			return
		}
		p := b[f.Headers.Payload:]
		if binary.BigEndian.Uint16(p) != 0xa117 {
			return
		}
		port := f.Headers.Key.DstPort
		if who == mallory {
			port = f.Headers.Key.SrcPort
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen[[2]uint16{port, uint16(p[2])}]++
	}))
	return a
}
