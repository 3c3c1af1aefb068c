package vswitch_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
)

// More of what a stranger, a peer or a workload may try (beside attacks): a
// tunnel inside the tunnel, a tunnel that a workload makes, and a frame that is
// cut short at every byte. Each is counted, and nobody's own capture has it.
func (s *site) moreAttacks(t *testing.T) {
	if s.routed {
		return // one link is enough
	}
	h, k, _, _, _ := s.addresses()
	syn := tcpSYN(t, dbMAC, "10.66.0.2", webMAC, "10.66.0.1")
	s.injects(t, "nested", "up", "no-rule", func() {
		vxlanFrom(t, s.k, k, h, 100, tunnelInside(t, syn), 5)
	}, 5)
	s.injects(t, "from a workload, to our VTEP", "web", "no-route", func() { s.fromWorkload(t, h, syn) }, 1)
	s.injects(t, "from a workload, to the peer", "web", "no-route", func() { s.fromWorkload(t, k, syn) }, 1)
	s.cutShort(t, syn)
}

// injects does something, and wants it counted for a reason at a port, so often
// at least, and heard by nobody.
func (s *site) injects(t *testing.T, what, port, reason string, do func(), times uint64) {
	t.Helper()
	before, web, db := s.port(t, port).Drops[reason], s.capture(t, s.web, "eth0"), s.capture(t, s.db, "eth0")
	do()
	got := uint64(0)
	for end := time.Now().Add(2 * time.Second); got < times && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		got = s.port(t, port).Drops[reason] - before
	}
	if got < times {
		t.Errorf("%s: %d of %d counted as %s: %v", what, got, times, reason, s.port(t, port).Drops)
	}
	n := web(isInjected) + web(isTunnel) + db(isInjected)
	if n != 0 {
		t.Errorf("%s: %d frames were delivered", what, n)
	}
	s.tally("A07", int(times), n, reason)
}

// tally adds to what an attack has sent, and how much of it got through or was
// dropped for a reason.
func (s *site) tally(id string, sent, through int, reason string) {
	if s.tried == nil {
		s.tried = map[string]*attackRow{}
	}
	if s.tried[id] == nil {
		s.tried[id] = &attackRow{id: id, reasons: map[string]uint64{}}
	}
	row := s.tried[id]
	row.sent, row.delivered = row.sent+uint64(sent), row.delivered+uint64(through)
	row.reasons[reason] += uint64(sent)
}

func isTunnel(f *packet.Frame) bool { return f.Headers.Key.DstPort == 4789 }

// tunnelInside is a frame of db to web that is a tunnel to web, around another.
func tunnelInside(t *testing.T, inner []byte) []byte {
	t.Helper()
	from, _ := packet.ParseMAC(dbMAC)
	to, _ := packet.ParseMAC(webMAC)
	b, err := packet.Build(packet.Spec{SrcMAC: from, DstMAC: to, Src: packet.AddrFrom(netip.MustParseAddr("10.66.0.2")), Dst: packet.AddrFrom(netip.MustParseAddr("10.66.0.1")),
		Proto: packet.ProtoUDP, SrcPort: 50000, DstPort: 4789, Payload: append([]byte{8, 0, 0, 0, 0, 0, 100, 0}, inner...)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fromWorkload has web make a tunnel to a VTEP by itself.
func (s *site) fromWorkload(t *testing.T, vtep string, inner []byte) {
	t.Helper()
	within(t, s.web, func() error {
		c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(vtep), Port: 4789})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write(append([]byte{8, 0, 0, 0, 0, 0, 100, 0}, inner...))
		return err
	})
}

// cutShort sends a peer's tunnel cut at every byte: all are dropped.
func (s *site) cutShort(t *testing.T, inner []byte) {
	t.Helper()
	h, k, _, _, _ := s.addresses()
	whole := append([]byte{8, 0, 0, 0, 0, 0, 100, 0}, inner...)
	before, web := s.port(t, "up").Drops, s.capture(t, s.web, "eth0")
	dropped := func() (n uint64) {
		for _, d := range since(before, s.port(t, "up").Drops) {
			n += d
		}
		return n
	}
	within(t, s.k, func() error {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(k)}, &net.UDPAddr{IP: net.ParseIP(h), Port: 4789})
		if err != nil {
			return err
		}
		defer c.Close()
		for n := range whole {
			if _, err := c.Write(whole[:n]); err != nil {
				return err
			}
		}
		return nil
	})
	want, got := uint64(len(whole)), uint64(0)
	for end := time.Now().Add(2 * time.Second); got < want && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		got = dropped()
	}
	if got < want {
		t.Errorf("cut short at every byte: %d of %d were dropped", got, want)
	}
	n := web(isInjected)
	if n != 0 {
		t.Errorf("cut short: web's own capture has %d of the frames", n)
	}
	for reason, d := range since(before, s.port(t, "up").Drops) {
		s.tally("A08", int(d), n, reason)
	}
}
