package dataplane_test

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// sent is a frame that a script sends: its bytes, and what its port says of it.
type sent struct {
	bytes    []byte
	headroom uint32
	offload  packet.Offload
	veth     bool // it came by a port that cannot say that a checksum is partial
	wrong    bool // a checksum of it is wrong, on purpose
}

// frame makes a new Frame of it, as its port would.
func (s *sent) frame(f *packet.Frame, ingress packet.PortID) {
	buf := make([]byte, int(s.headroom)+len(s.bytes)+packet.Headroom)
	copy(buf[s.headroom:], s.bytes)
	f.Begin(buf, s.headroom, s.headroom+uint32(len(s.bytes)), ingress)
	f.Offload, f.MaybePartial = s.offload, s.veth
}

// writing is what a frame is written from: the words of its line, and where it
// comes in, which says which MACs are usual there.
type writing struct {
	*line
	w       *world
	ingress string
	vni     uint32 // of the tunnel it is in; 0: none
}

// frameOf writes the frame that a line tells of: a named seed, a packet, a
// packet about another (ICMP errors), or a packet in a tunnel.
//
//	seed NAME
//	PACKET
//	icmp|icmp6 SRC > DST type=N ... about PACKET
//	vxlan SRC > DST vni=N ... : PACKET
func (w *world) frameOf(ingress, text string) (sent, error) {
	return w.frameIn(ingress, 0, text)
}

func (w *world) frameIn(ingress string, vni uint32, text string) (sent, error) {
	if outer, inner, found := strings.Cut(text, " : "); found {
		return w.tunnelled(ingress, vni, outer, inner)
	}
	if outer, inner, found := strings.Cut(text, " about "); found {
		return w.about(ingress, vni, outer, inner)
	}
	if isQuestion(text) {
		return w.question(ingress, vni, text)
	}
	x := writing{newLine(text), w, ingress, vni}
	if x.flag("seed") {
		return x.seed(x.word())
	}
	spec := x.spec()
	return x.build(spec)
}

// seed is one of the named frames of the parser's tests.
func (x *writing) seed(name string) (sent, error) {
	seeds := packettest.Seeds()
	i := slices.IndexFunc(seeds, func(s packettest.Seed) bool { return s.Name == name })
	if i < 0 {
		x.fail("there is no seed %q", name)
		i = 0
	}
	s := sent{bytes: seeds[i].Bytes, headroom: uint32(x.number("headroom", packet.Headroom)), wrong: true}
	return s, x.done()
}

// about writes an ICMP error: the quote is the inner packet's header and 8
// bytes of its transport, or as many as quote= says.
func (w *world) about(ingress string, vni uint32, outer, inner string) (sent, error) {
	quoted, err := w.frameIn(ingress, vni, inner)
	if err != nil {
		return quoted, err
	}
	x := writing{newLine(outer), w, ingress, vni}
	least := uint64(28)
	if strings.HasPrefix(outer, "icmp6") {
		least = 48
	}
	ip := quoted.bytes[14:]
	spec := x.spec()
	spec.Payload = ip[:min(int(x.number("quote", least)), len(ip))]
	return x.build(spec)
}

// tunnelled writes a VXLAN packet around the inner frame.
func (w *world) tunnelled(ingress string, vni uint32, outer, inner string) (sent, error) {
	x := writing{newLine(outer), w, ingress, vni}
	number := x.number("vni", 0)
	in, err := w.frameIn(ingress, uint32(number), inner)
	if err != nil {
		return in, err
	}
	header := make([]byte, 8)
	binary.BigEndian.PutUint32(header[4:], uint32(number)<<8|uint32(x.number("reserved", 0)))
	binary.BigEndian.PutUint32(header, uint32(x.number("flags", 0x08))<<24|uint32(x.number("reserved", 0)))
	if g := x.number("group", 0); g != 0 {
		header[0] |= 0x80
		binary.BigEndian.PutUint16(header[2:], uint16(g))
	}
	if x.flag("mute") {
		header[0], header[1] = header[0]|0x80, header[1]|0x40
	}
	x.words[0] = "udp"
	sum := x.opt("sum")
	spec := x.spec()
	spec.Payload = append(header, in.bytes...)
	if n := x.number("cut", 0); n != 0 {
		spec.Payload = spec.Payload[:n]
	}
	if spec.SrcPort == 0 {
		spec.SrcPort = 50000
	}
	if spec.DstPort == 0 {
		spec.DstPort = 4789
	}
	s, err := x.build(spec)
	if err == nil {
		s.outerSum(sum)
		s.around(&in)
	}
	s.wrong = s.wrong || in.wrong
	return s, err
}

// around says of the tunnel what is left to do of the superframe in it.
func (s *sent) around(in *sent) {
	if in.offload.GSO == packet.GSONone {
		return
	}
	head := uint16(len(s.bytes) - len(in.bytes))
	s.offload = in.offload
	s.offload.CsumStart += head
	s.offload.HeaderLen += head
}

// outerSum makes the outer UDP checksum what the script says: none, unless it
// asks for one.
func (s *sent) outerSum(sum string) {
	f := packet.NewFrame(s.bytes, 0)
	packet.Parse(f)
	field := s.bytes[f.Headers.L4+6:]
	switch sum {
	case "":
		field[0], field[1] = 0, 0
	case "bad":
		field[0] ^= 1
	case "partial":
		packettest.Partial(f)
		s.bytes, s.offload = f.Bytes(), f.Offload
	}
}

// spec reads "KIND SRC > DST" and what goes with it.
func (x *writing) spec() packet.Spec {
	var s packet.Spec
	switch kind := x.word(); kind {
	case "arp":
		x.arp(&s)
	case "nd":
		x.nd(&s)
	case "group":
		x.group(&s)
	default:
		x.ip(&s, kind)
	}
	s.SrcMAC, s.DstMAC = x.macs(&s)
	s.TTL, s.TOS = uint8(x.number("ttl", 0)), uint8(x.number("tos", 0))
	for _, v := range x.list("vlan") {
		n := line{opts: map[string]string{"vlan": v}}
		s.VLANs = append(s.VLANs, uint16(n.number("vlan", 0)))
	}
	return s
}

// arp reads "who-has TARGET tell SENDER", or "reply SENDER > TARGET".
func (x *writing) arp(s *packet.Spec) {
	if s.ARP = packet.ARPReply; x.flag("who-has") {
		s.ARP = packet.ARPRequest
		s.Dst, _ = x.socket(x.word())
		x.expect("tell")
		s.Src, _ = x.socket(x.word())
		return
	}
	x.expect("reply")
	x.ends(s)
}

var ndTypes = map[string]uint8{
	"router-solicitation": packet.NDRouterSolicitation, "router-advertisement": packet.NDRouterAdvertisement,
	"solicitation": packet.NDNeighbourSolicitation, "advertisement": packet.NDNeighbourAdvertisement, "redirect": packet.NDRedirect,
}

// nd reads "solicitation SRC > DST target=ADDR", and the like.
func (x *writing) nd(s *packet.Spec) {
	s.Proto = packet.ProtoICMPv6
	kind := x.word()
	var known bool
	if s.ICMPType, known = ndTypes[kind]; !known {
		x.fail("%q is no message of neighbour discovery", kind)
	}
	x.ends(s)
	s.Target = s.Dst
	if t := x.opt("target"); t != "" {
		s.Target, _ = x.socket(t)
	}
}

func (x *writing) ends(s *packet.Spec) {
	s.Src, s.SrcPort = x.socket(x.word())
	x.expect(">")
	s.Dst, s.DstPort = x.socket(x.word())
}

func (x *writing) ip(s *packet.Spec, kind string) {
	if s.Proto = protocols[kind]; s.Proto == 0 {
		n, err := strconv.ParseUint(kind, 10, 8)
		if err != nil {
			x.fail("%q is no kind of packet", kind)
		}
		s.Proto = uint8(n)
	}
	x.ends(s)
	s.Payload = packettest.Payload(int(x.number("data", 0)))
	switch s.Proto {
	case 51: // an authentication header of 16 bytes around the data (RFC 4302 2)
		s.Payload = append([]byte{59, 2, 7: 1, 11: 1, 15: 0}, s.Payload...)
	case packet.ProtoTCP:
		for _, name := range strings.Split(x.word(), ",") {
			s.TCPFlags |= x.tcpFlag(name)
		}
		s.Seq, s.Ack = uint32(x.number("seq", 0)), uint32(x.number("ack", 0))
		if mss := uint16(x.number("mss", 0)); mss != 0 {
			s.TCPOptions = []byte{2, 4, byte(mss >> 8), byte(mss)}
		}
	case packet.ProtoICMP, packet.ProtoICMPv6:
		x.icmp(s)
	}
}

func (x *writing) tcpFlag(name string) uint8 {
	i := slices.Index([]string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}, name)
	if i < 0 {
		x.fail("%q is no TCP flag", name)
		return 0
	}
	return 1 << i
}

func (x *writing) icmp(s *packet.Spec) {
	request, reply := uint64(packet.ICMPEchoRequest), uint64(packet.ICMPEchoReply)
	if s.Proto == packet.ProtoICMPv6 {
		request, reply = packet.ICMPv6EchoRequest, packet.ICMPv6EchoReply
	}
	kind := uint64(0)
	switch {
	case x.flag("echo"):
		kind = request
	case x.flag("echo-reply"):
		kind = reply
	}
	s.ICMPType, s.ICMPCode = uint8(x.number("type", kind)), uint8(x.number("code", 0))
	s.ICMPID, s.ICMPSeq = uint16(x.number("id", 0)), uint16(x.number("seq", 0))
}

// macs are the addresses that are usual, unless from= and to= say others.
func (x *writing) macs(s *packet.Spec) (src, dst packet.MAC) {
	src, dst = x.usualSource(&s.Src), x.usualDest(s)
	if m := x.opt("from"); m != "" {
		src = x.named(m)
	}
	if m := x.opt("to"); m != "" {
		dst = x.named(m)
	}
	return src, dst
}

// named is the MAC of a thing of the world, or as it is written.
func (x *writing) named(name string) packet.MAC {
	for m, known := range x.w.macNames() {
		if known == name {
			return m
		}
	}
	return x.mac(name)
}

// macNames names the MACs of the world.
func (w *world) macNames() map[packet.MAC]string {
	names := map[packet.MAC]string{gatewayMAC: "gateway", broadcast: "all", uplinkMAC: "uplink"}
	for _, e := range w.endpoints {
		names[e.mac] = e.name
	}
	for _, p := range w.peers {
		names[p.mac] = p.name
	}
	return names
}

// usualSource is the MAC of who holds the source address, or of who is on the
// port.
func (x *writing) usualSource(a *packet.Addr) packet.MAC {
	if m, found := x.holder(a); found {
		return m
	}
	for _, e := range x.w.endpoints {
		if e.place == x.ingress {
			return e.mac
		}
	}
	return packet.MAC{2, 0, 0, 0, 0, 0x99}
}

func (x *writing) holder(a *packet.Addr) (packet.MAC, bool) {
	if x.vni == 0 {
		for _, p := range x.w.peers {
			if p.addr == *a {
				return p.mac, true
			}
		}
	}
	for _, e := range x.w.endpoints {
		if slices.Contains(e.addrs, *a) {
			return e.mac, true
		}
	}
	return packet.MAC{}, false
}

// usualDest is the MAC of the destination where that is a group or in the same
// segment, and else the gateway's.
func (x *writing) usualDest(s *packet.Spec) packet.MAC {
	if s.ARP == packet.ARPRequest {
		return broadcast
	}
	if m, group := groupMAC(&s.Dst); group {
		return m
	}
	here := x.segmentHere(&s.Src)
	if here == nil {
		return uplinkMAC
	}
	for _, e := range x.w.endpoints {
		if slices.Contains(e.addrs, s.Dst) && x.w.segmentOf(e) == here {
			return e.mac
		}
	}
	return gatewayMAC
}

// groupMAC is the MAC of a group's address (RFC 1112 6.4, RFC 2464 7).
func groupMAC(a *packet.Addr) (packet.MAC, bool) {
	switch {
	case a.Is4() && [4]byte(a[12:]) == [4]byte{255, 255, 255, 255}:
		return broadcast, true
	case a.Is4() && a[12]>>4 == 14:
		return packet.MAC{1, 0, 0x5e, a[13] & 0x7f, a[14], a[15]}, true
	case !a.Is4() && a[0] == 0xff:
		return packet.MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}, true
	}
	return packet.MAC{}, false
}

// segmentHere is the segment of the port, or of the tunnel, on a trunk that of
// who holds the source address; nil on the underlay.
func (x *writing) segmentHere(from *packet.Addr) *segment {
	for i := range x.w.segments {
		if s := &x.w.segments[i]; x.vni != 0 && s.VNI == x.vni {
			return s
		}
	}
	for _, e := range x.w.endpoints {
		if x.vni == 0 && e.place == x.ingress && e.segment != "" && slices.Contains(e.addrs, *from) {
			return x.w.segmentOf(e)
		}
	}
	if p := x.w.port(new(line), x.ingress); int(p.Segment) < len(x.w.segments) && p.name != "" {
		return &x.w.segments[p.Segment]
	}
	return nil
}

func (w *world) segmentOf(e endpoint) *segment {
	at, err := w.place(e)
	if err != nil {
		return nil
	}
	return &w.segments[at.Segment]
}

// build makes the bytes, and then spoils or leaves unfinished what the script
// says: sum=bad (wrong), sum=none (UDP without one), sum=known-bad and
// sum=vouched (what the port says of it), sum=partial; gso=SIZE a superframe;
// veth: the port does not say that the checksum is partial.
func (x *writing) build(spec packet.Spec) (sent, error) {
	var s sent
	tags := 4 * len(spec.VLANs)
	b, err := packet.Build(spec)
	if err != nil {
		x.fail("%v", err)
		return s, x.err
	}
	s.headroom = uint32(x.number("headroom", packet.Headroom))
	if part := x.opt("part"); part != "" {
		plain := x.cut(slices.Delete(slices.Clone(b), 12, 12+tags), part)
		b = slices.Insert(plain, 12, b[12:12+tags]...)
	}
	s.bytes = append(b, make([]byte, x.number("padding", 0))...)
	f := packet.NewFrame(s.bytes, 0)
	packet.Parse(f)
	s.veth = x.flag("veth")
	if m := x.opt("claims"); m != "" {
		x.claim(f, x.named(m))
	}
	size := uint16(x.number("gso", 0))
	sum := x.opt("sum")
	if size != 0 {
		sum = "partial"
	}
	x.spoil(f, sum)
	if size != 0 {
		f.Offload.GSO, f.Offload.Size = superframeKind(&f.Headers), size
	}
	s.bytes, s.offload, s.wrong = f.Bytes(), f.Offload, sum != "" && sum != "vouched" && sum != "partial"
	if s.veth {
		s.offload = packet.Offload{}
	}
	return s, x.done()
}

// cut makes a fragment of a packet: part=FROM-TO are the bytes behind its IP
// header that it has, of=N the packet's number.
func (x *writing) cut(b []byte, part string) []byte {
	from, to, _ := strings.Cut(part, "-")
	n := line{opts: map[string]string{"from": from, "to": to}}
	begin, end := int(n.number("from", 0)), int(n.number("to", 0))
	if n.err != nil || begin >= end || end > len(b) {
		x.fail("part=%s: it is FROM-TO, bytes of the packet", part)
		return b
	}
	return packettest.Part(b, begin, end, uint32(x.number("of", 1)))
}

// claim writes another MAC into the sender field of ARP, or into the option of
// neighbour discovery, than the frame comes from.
func (x *writing) claim(f *packet.Frame, m packet.MAC) {
	h := &f.Headers
	b := f.Bytes()
	switch h.Kind {
	case packet.KindARP:
		copy(b[h.L3+8:], m[:])
	case packet.KindND:
		p := b[h.L4:h.PacketEnd]
		copy(p[len(p)-6:], m[:])
		p[2], p[3] = 0, 0
		binary.BigEndian.PutUint16(p[2:], checksum.Of(p, packet.PseudoSum(h, uint32(len(p)))))
	default:
		x.fail("claims= is for arp and nd")
	}
}

func (x *writing) spoil(f *packet.Frame, sum string) {
	h := &f.Headers
	at := h.L4 + map[uint8]uint16{packet.ProtoTCP: 16, packet.ProtoUDP: 6, packet.ProtoICMP: 2, packet.ProtoICMPv6: 2}[h.Key.Proto]
	field := f.Bytes()[at : at+2]
	switch sum {
	case "":
	case "bad":
		field[1] ^= 1
	case "none":
		field[0], field[1] = 0, 0
	case "known-bad":
		f.Offload.Checksum = packet.ChecksumBad
	case "vouched":
		f.Offload.Checksum = packet.ChecksumGood
	case "partial":
		packettest.Partial(f)
	default:
		x.fail("sum=%s: bad, none, known-bad, vouched or partial", sum)
	}
}

func superframeKind(h *packet.Headers) packet.GSO {
	switch {
	case h.Key.Proto == packet.ProtoTCP && h.V6:
		return packet.GSOTCP6
	case h.Key.Proto == packet.ProtoTCP:
		return packet.GSOTCP4
	case h.V6:
		return packet.GSOUDP6
	}
	return packet.GSOUDP4
}
