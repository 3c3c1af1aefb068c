package fuzz

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// FuzzIdentify has a host send any bytes, with its checksums made right or not: A, in
// a segment that floods nothing, or D, in one that floods. What leaves, is answered or
// taken in is from who the host is in every place that a receiver looks at: the
// Ethernet header, the IP header, the sender fields of ARP, the source, the target and
// the link-layer options of neighbour discovery; it is no tag, and no word of a
// router's or a DHCP server's. The second reader says what is where. And nobody is
// learned from it: no MAC, and no neighbour but the peers that a flood goes to.
func FuzzIdentify(f *testing.F) {
	for _, s := range packettest.Seeds() {
		f.Add(s.Bytes, uint16(0), byte(0), false, false)
	}
	for _, d := range []bool{false, true} {
		for _, s := range identifySeeds(f, identifyHost(d)) {
			f.Add(s.bytes, uint16(0), byte(0), false, d)
			for at := 0; at < min(len(s.bytes), 90); at += 5 {
				f.Add(s.bytes, uint16(at), byte(1), true, d)
			}
		}
	}
	m := newMachine(f)
	f.Fuzz(func(t *testing.T, b []byte, at uint16, change byte, right, d bool) {
		if len(b) > 2000 || len(b) == 0 {
			return
		}
		b = slices.Clone(b)
		b[int(at)%len(b)] ^= change
		if right {
			repair(b)
		}
		m.reset(t)
		m.batch.Reset()
		h := identifyHost(d)
		*m.batch.Next() = *packet.NewFrame(b, h.port)
		dataplane.Run(m.worker, m.snapshot, m.now, &m.batch)
		for i := range m.batch.Len() {
			if out := m.batch.Frame(i); out.Reason == drop.None {
				h.isSender(t, b, !out.Consumed && out.Egress != h.port)
			}
		}
		if macs := m.worker.State.FDB.Stats(); macs.Entries != 0 || m.worker.State.Neighbours.Len() > len(peers) {
			t.Fatalf("%x: %d MACs and %d neighbours are known by it", b, macs.Entries, m.worker.State.Neighbours.Len())
		}
	})
}

// identifyHost is who sends: A or D.
func identifyHost(d bool) *host {
	if d {
		return &everybody[3]
	}
	return &everybody[0]
}

// identifySeeds are words that hosts have for their neighbours.
func identifySeeds(tb testing.TB, h *host) (all []named) {
	add := func(name string, s packet.Spec) {
		s.SrcMAC = h.mac
		if s.DstMAC == (packet.MAC{}) {
			s.DstMAC = packettest.MACB
		}
		b, err := packet.Build(s)
		if err != nil {
			tb.Fatal(name, err)
		}
		all = append(all, named{name: name, bytes: b})
	}
	a4, a6, b4, b6 := h.addrs[0], h.addrs[1], everybody[1].addrs[0], everybody[1].addrs[1]
	broadcast := packet.MAC{255, 255, 255, 255, 255, 255}
	add("arp_gateway", packet.Spec{ARP: packet.ARPRequest, DstMAC: broadcast, Src: a4, Dst: address("10.0.0.254")})
	add("arp_reply", packet.Spec{ARP: packet.ARPReply, Src: a4, Dst: b4})
	add("arp_gratuitous", packet.Spec{ARP: packet.ARPRequest, DstMAC: broadcast, Src: a4, Dst: a4})
	nd := func(kind uint8, src, dst, target packet.Addr, payload ...byte) packet.Spec {
		return packet.Spec{Src: src, Dst: dst, Proto: packet.ProtoICMPv6, ICMPType: kind, Target: target, Payload: payload}
	}
	add("ns_gateway", nd(packet.NDNeighbourSolicitation, a6, address("ff02::1:ff00:fe"), address("2001:db8::fe")))
	add("ns_duplicate", nd(packet.NDNeighbourSolicitation, packet.Addr{}, address("ff02::1:ff00:1"), a6))
	add("na_self", nd(packet.NDNeighbourAdvertisement, a6, b6, a6))
	add("ra", nd(packet.NDRouterAdvertisement, packet.LinkLocal(h.mac), address("ff02::1"), packet.Addr{}, make([]byte, 16)...))
	add("rs", nd(packet.NDRouterSolicitation, packet.LinkLocal(h.mac), address("ff02::2"), packet.Addr{}))
	add("redirect", nd(packet.NDRedirect, a6, b6, b6, make([]byte, 40)...))
	question, err := packettest.DHCP(h.mac, packet.DHCPDiscover, 7, true, nil)
	if err != nil {
		tb.Fatal(err)
	}
	add("dhcp", packet.Spec{DstMAC: broadcast, Src: address("0.0.0.0"), Dst: address("255.255.255.255"), Proto: packet.ProtoUDP, SrcPort: 68, DstPort: 67, Payload: question})
	add("dhcp_offer", packet.Spec{Src: a4, Dst: b4, Proto: packet.ProtoUDP, SrcPort: 67, DstPort: 68, Payload: question})
	add("dhcp6", packet.Spec{Src: packet.LinkLocal(h.mac), Dst: packet.AllDHCP6, Proto: packet.ProtoUDP, SrcPort: 546, DstPort: 547, Payload: packettest.DHCP6(1, 7)})
	add("igmp", packet.Spec{DstMAC: packet.MAC{1, 0, 0x5e, 0, 0, 22}, Src: a4, Dst: address("224.0.0.22"), TTL: 1, Proto: packet.ProtoIGMP,
		Payload: []byte{0x22, 0, 0xe9, 0xfb, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 1, 1}})
	add("udp", packet.Spec{Src: a4, Dst: b4, Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 2049})
	add("udp6", packet.Spec{Src: a6, Dst: b6, Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 2049})
	return all
}

// owns tells whether an address is the host's.
func (h *host) owns(a packet.Addr) bool {
	return slices.Contains(h.addrs, a) || a == packet.LinkLocal(h.mac)
}

// isSender fails unless a frame is from the host, wherever one may look; leaves says
// that others get to see it.
func (h *host) isSender(t *testing.T, b []byte, leaves bool) {
	t.Helper()
	said := read(b)
	switch {
	case said.refused != "":
		t.Fatalf("%x: passes, and the reader refuses it: %s", b, said.refused)
	case said.src != h.mac:
		t.Fatalf("%x: is from %x", b, said.src)
	case len(said.tags) > 0:
		t.Fatalf("%x: has a tag", b)
	case said.arp != nil:
		sender, ip := said.arp[8:14], packet.AddrFrom4([4]byte(said.arp[14:18]))
		if !bytes.Equal(sender, h.mac[:]) || !h.owns(ip) && ip != packet.AddrFrom4([4]byte{}) {
			t.Fatalf("%x: ARP is from %x, %s", b, sender, ip)
		}
	case said.nd:
		h.isNeighbour(t, b, said, leaves)
	case h.owns(addrOf(said.from)):
		serves := said.proto == 17 && (said.sport == 67 || said.sport == 547 || said.dport == 68 || said.dport == 546) && said.partOffset == 0
		routes := said.proto == 1 && (said.kind == 5 || said.kind == 9) && said.partOffset == 0
		if serves || routes {
			t.Fatalf("%x: a server's or a router's word", b)
		}
	case said.from.IsUnspecified(): // who has no address asks for one
		if !(said.proto == 17 && said.sport == 68 && said.dport == 67) || leaves {
			t.Fatalf("%x: is from nobody", b)
		}
	default:
		t.Fatalf("%x: is from %s", b, said.from)
	}
}

// isNeighbour holds neighbour discovery to the host: who it is from, whom it makes
// known, and by which MAC. A question whether an address is free (RFC 4862 5.4.2)
// may name any, as long as nobody hears it: who has it would think it taken.
func (h *host) isNeighbour(t *testing.T, b []byte, said *facts, leaves bool) {
	t.Helper()
	if said.kind == 134 || said.kind == 137 {
		t.Fatalf("%x: a router's word", b)
	}
	nobody := said.from.IsUnspecified()
	if !h.owns(addrOf(said.from)) && !(nobody && !leaves) {
		t.Fatalf("%x: is from %s", b, said.from)
	}
	c := &cursor{b: said.transport}
	flags := binary.BigEndian.Uint32(c.take(8)[4:])
	if said.kind == 135 || said.kind == 136 {
		target := packet.Addr(c.take(16))
		if said.kind == 136 && (!h.owns(target) || leaves && flags>>31 != 0) {
			t.Fatalf("%x: speaks for %s, flags %x", b, target, flags)
		}
	}
	links, _ := linkOptions(c)
	for _, link := range links {
		if link != h.mac {
			t.Fatalf("%x: says that it is at %x", b, link)
		}
	}
}
