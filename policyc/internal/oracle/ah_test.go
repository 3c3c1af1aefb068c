package oracle

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"bulkhead/dataplane/packet"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/analyze"
)

const ahPolicy = `version = 1
[services.web]
labels = { tier = "web" }
[services.db]
labels = { tier = "db" }
[services.log]
labels = { tier = "log" }
[[rules]]
name = "ah"
allow = { from = ["web"], to = ["db"], ports = ["ip/51"] }
[[rules]]
name = "udp"
allow = { from = ["web"], to = ["log"], ports = ["udp/53"] }
`

// In IPv6 the kernel's tracking looks through AH at the connection inside. The
// exported ruleset judges AH as AH all the same: nothing in it is a reply to what
// came without, and nothing without to what came in it.
func TestTheKernelTellsAHOverIPv6Apart(t *testing.T) {
	needRoot(t)
	p, findings := compile.Read([]compile.Source{{Name: "ah.toml", Text: []byte(ahPolicy)}})
	if findings.Failed() {
		t.Fatal("it does not compile")
	}
	web, db, log := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::3")
	text, err := analyze.Nftables(p, []analyze.Endpoint{
		{Name: "web", Labels: map[string]string{"tier": "web"}, IPs: []netip.Addr{web}},
		{Name: "db", Labels: map[string]string{"tier": "db"}, IPs: []netip.Addr{db}},
		{Name: "log", Labels: map[string]string{"tier": "log"}, IPs: []netip.Addr{log}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	var want []bool
	send := func(passes bool, s packet.Spec) {
		s.SrcMAC, s.DstMAC = packet.MAC{2}, packet.MAC{2, 5: 1}
		s.Payload = binary.BigEndian.AppendUint32(append(slices.Clone(s.Payload), mark...), uint32(len(packets)))
		b, err := packet.Build(s)
		if err != nil {
			t.Fatal(err)
		}
		packets, want = append(packets, b), append(want, passes)
	}
	for _, inner := range []uint8{packet.ProtoUDP, packet.ProtoTCP, 59, 253} {
		send(false, ahOf(web, log, inner, 1024, 53))
		send(false, ahOf(db, web, inner, 53, 1024)) // before any AH that is allowed, so no reply
	}
	for _, inner := range []uint8{packet.ProtoUDP, packet.ProtoTCP, 59, 253} {
		send(true, ahOf(web, db, inner, 1024, 53))
	}
	send(true, packet.Spec{Src: packet.AddrFrom(web), Dst: packet.AddrFrom(log), Proto: packet.ProtoUDP, SrcPort: 1024, DstPort: 53})
	send(true, packet.Spec{Src: packet.AddrFrom(log), Dst: packet.AddrFrom(web), Proto: packet.ProtoUDP, SrcPort: 53, DstPort: 1024})
	send(false, ahOf(web, log, packet.ProtoUDP, 1024, 53)) // around a session that is open
	send(false, ahOf(log, web, packet.ProtoUDP, 53, 1024))
	send(true, ahOf(db, web, packet.ProtoUDP, 53, 1024)) // a reply
	send(false, packet.Spec{Src: packet.AddrFrom(db), Dst: packet.AddrFrom(web), Proto: packet.ProtoUDP, SrcPort: 53, DstPort: 1024})
	got := kernel(t, text, packets)
	for i := range packets {
		if got.passed[uint32(i)] != want[i] {
			t.Errorf("packet %d: passed %v, want %v", i, got.passed[uint32(i)], want[i])
		}
	}
	if got.counts["ah"] != 4 || got.counts["udp"] != 1 {
		t.Errorf("the rules have accepted %v", got.counts)
	}
}

// ahOf is an authentication header of 16 bytes (RFC 4302 2) around the beginning
// of a transport.
func ahOf(from, to netip.Addr, inner uint8, src, dst uint16) packet.Spec {
	ah := []byte{inner, 2, 7: 1, 11: 1, 15: 0}
	ah = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(ah, src), dst)
	ah = append(ah, 0, 20, 0, 0) // of UDP: its length; no checksum
	if inner == packet.ProtoTCP {
		ah = append(ah, 0, 0, 0, 0, 5<<4, packet.TCPSyn, 255, 255, 0, 0, 0, 0)
	}
	return packet.Spec{Src: packet.AddrFrom(from), Dst: packet.AddrFrom(to), Proto: 51, Payload: ah}
}
