package vswitch

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// Trace tells what would happen to a frame now. A worker carries it through
// the live tables and sessions by the walk that forwards, with a recorder:
// nothing is sent, opened or counted.
func (o *Operator) Trace(r *api.TraceRequest) (*api.Trace, error) {
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	id, err := portNamed(l, r.Port)
	if err != nil {
		return nil, err
	}
	raw, err := o.frameOf(l, id, r)
	if err != nil {
		return nil, err
	}
	var rec *dataplane.Recorder
	var end packet.Frame
	batch := new(packet.Batch)
	*batch.Next() = *packet.NewFrame(raw, id)
	if !o.sw.onWorker(0, func(w *worker) {
		rec = dataplane.Explain(w.lane, w.live.snapshot, o.sw.now(), batch)
		end = *batch.Frame(0)
	}) {
		return nil, errStopping
	}
	return traceOf(l, rec, &end), nil
}

func traceOf(l *live, rec *dataplane.Recorder, end *packet.Frame) *api.Trace {
	t := &api.Trace{Steps: []api.Step{}, Rule: rec.Rule, Audit: rec.Audit, Nearest: rec.Nearest, Allowed: end.Reason == drop.None}
	for _, s := range rec.Steps {
		if s.Stage == "parse" && t.Frame == "" {
			t.Frame = s.Text
		}
		t.Steps = append(t.Steps, api.Step{Stage: s.Stage, Text: s.Text})
	}
	if rs := l.snapshot.Rules; rs != nil && end.Rule > 0 && int(end.Rule) <= len(rs.Rules) {
		r := &rs.Rules[end.Rule-1] // also of a session that was known
		t.Rule, t.Owner, t.RuleReason, t.Stateless = r.Name, r.Owner, r.Reason, r.Stateless
	}
	if end.Reason != drop.None {
		t.Reason, t.Sentence = end.Reason.String(), end.Reason.Sentence()
	} else if !end.Consumed {
		t.Egress = portAt(l, end.Egress)
	}
	return t
}

// frameOf makes the frame that a request gives or describes. What it leaves
// out is what the port's endpoint would send.
func (o *Operator) frameOf(l *live, id packet.PortID, r *api.TraceRequest) ([]byte, error) {
	if r.Hex != "" {
		raw, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", ":", "").Replace(r.Hex))
		if err != nil {
			return nil, api.Invalid(fmt.Sprintf("the frame: %v", err), "hexadecimal digits, two a byte, from the Ethernet header on")
		}
		if len(raw) > packet.MaxFrame {
			return nil, api.Invalid(fmt.Sprintf("the frame has %d bytes", len(raw)), "hexadecimal digits of at most 64 KiB, from the Ethernet header on")
		}
		return raw, nil
	}
	s, err := o.specOf(l, id, r)
	if err != nil {
		return nil, err
	}
	raw, err := packet.Build(s)
	if err != nil {
		return nil, api.Invalid(err.Error(), "name addresses of one family with from and to")
	}
	return tagged(l, id, raw, segmentFrom(l, id, &s.Src)), nil
}

// segmentFrom is the segment that a sender on a port is in: its own, as a trunk
// has several, else the port's.
func segmentFrom(l *live, id packet.PortID, from *packet.Addr) uint16 {
	table := l.snapshot.Identity
	for i, e := range table.All() {
		if e.Port == id && table.Owns(i, e.Zone, from) {
			return e.Segment
		}
	}
	return l.snapshot.Ports[id].Segment
}

// tagged is the frame with the tags that its segment has on a trunk.
func tagged(l *live, id packet.PortID, raw []byte, segment uint16) []byte {
	l2 := l.snapshot.Ports[id].L2
	if l2 == nil || l2.VLANs == nil {
		return raw
	}
	f := packet.NewFrame(raw, id)
	if packet.Parse(f) != drop.None || !l2.VLANs.Leave(f, segment) {
		return raw
	}
	return f.Bytes()
}

// specOf describes the frame of a request.
func (o *Operator) specOf(l *live, id packet.PortID, r *api.TraceRequest) (packet.Spec, error) {
	s := packet.Spec{SrcPort: r.SrcPort, DstPort: r.DstPort, ICMPType: r.ICMP, ICMPCode: r.Code, TTL: r.TTL}
	to, err := netip.ParseAddr(r.To)
	if err != nil {
		return s, api.Invalid(fmt.Sprintf("to %q: %v", r.To, err), "name the destination's IP address")
	}
	s.Dst = packet.AddrFrom(to)
	if err := o.sourceOf(l, id, r, &s); err != nil {
		return s, err
	}
	if err := transportOf(r, &s, to.Is4()); err != nil {
		return s, err
	}
	if r.ToMAC != "" {
		if s.DstMAC, err = packet.ParseMAC(r.ToMAC); err != nil {
			return s, api.Invalid(err.Error(), "a MAC, as 02:00:00:00:00:01")
		}
		return s, nil
	}
	s.DstMAC = nextHop(l, segmentFrom(l, id, &s.Src), &s.Dst)
	return s, nil
}

// sourceOf fills in who sends: the endpoint on the port, by the address of the
// destination's family.
func (o *Operator) sourceOf(l *live, id packet.PortID, r *api.TraceRequest, s *packet.Spec) error {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	for _, e := range o.sw.roster.sorted() {
		if e.Port != l.ports[id].name {
			continue
		}
		s.SrcMAC = e.MAC
		for _, ip := range e.IPs {
			if a := packet.AddrFrom(ip); a.Is4() == s.Dst.Is4() {
				s.Src = a
				break
			}
		}
		break
	}
	if r.From != "" {
		from, err := netip.ParseAddr(r.From)
		if err != nil {
			return api.Invalid(fmt.Sprintf("from %q: %v", r.From, err), "name the source's IP address")
		}
		s.Src = packet.AddrFrom(from)
	}
	if r.FromMAC != "" {
		var err error
		if s.SrcMAC, err = packet.ParseMAC(r.FromMAC); err != nil {
			return api.Invalid(err.Error(), "a MAC, as 02:00:00:00:00:01")
		}
	}
	if s.Src == (packet.Addr{}) || s.SrcMAC == (packet.MAC{}) {
		return api.Invalid(fmt.Sprintf("nobody with an address of that family is bound to port %q", r.Port), "name from and from_mac")
	}
	if s.SrcPort == 0 {
		s.SrcPort = 49152
	}
	return nil
}

// transportOf fills in protocol and flags.
func transportOf(r *api.TraceRequest, s *packet.Spec, v4 bool) error {
	switch r.Proto {
	case "", "tcp":
		s.Proto = packet.ProtoTCP
	case "udp":
		s.Proto = packet.ProtoUDP
	case "sctp":
		s.Proto = packet.ProtoSCTP
	case "arp":
		s.ARP = packet.ARPRequest
	case "icmp":
		s.Proto = packet.ProtoICMP
		echo := uint8(packet.ICMPEchoRequest)
		if !v4 {
			s.Proto, echo = packet.ProtoICMPv6, packet.ICMPv6EchoRequest
		}
		if s.ICMPType == 0 {
			s.ICMPType = echo
		}
	default:
		n, err := strconv.ParseUint(r.Proto, 10, 8)
		if err != nil {
			return api.Invalid(fmt.Sprintf("protocol %q is not known", r.Proto), "tcp, udp, sctp, icmp, arp or a number below 256")
		}
		s.Proto = uint8(n)
	}
	bits := map[string]uint8{"fin": packet.TCPFin, "syn": packet.TCPSyn, "rst": packet.TCPRst, "psh": packet.TCPPsh, "ack": packet.TCPAckFlag, "urg": packet.TCPUrg}
	for _, name := range r.Flags {
		bit, known := bits[name]
		if !known {
			return api.Invalid(fmt.Sprintf("TCP flag %q is not known", name), "fin, syn, rst, psh, ack, urg")
		}
		s.TCPFlags |= bit
	}
	return nil
}

// nextHop is the MAC that a host in a segment would send to: the destination's
// in its own segment, else the gateway's.
func nextHop(l *live, segment uint16, dst *packet.Addr) packet.MAC {
	if int(segment) >= len(l.snapshot.Segments) {
		return packet.MAC{}
	}
	seg := &l.snapshot.Segments[segment]
	if ep, _, found := l.snapshot.Identity.ByAddr(seg.Zone, dst); found {
		if e := l.snapshot.Identity.Endpoint(ep); e.Segment == segment {
			return e.MAC
		}
	}
	return seg.GatewayMAC
}
