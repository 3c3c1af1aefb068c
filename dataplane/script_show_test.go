package dataplane_test

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// show says how a frame ended, and what left by a port, from its bytes.
func (r *scriptRun) show(f *packet.Frame, wrong bool) string {
	var text string
	switch {
	case f.Reason != drop.None:
		text = "drop " + f.Reason.String()
	case f.Consumed:
		text = "taken in"
	default:
		text = "to " + r.w.portName(f.Egress) + ": " + r.describe(f, wrong)
	}
	if f.Copy {
		text = "copy " + text
	}
	if f.Rule != 0 {
		text += ", rule " + r.ruleName(f.Rule)
	}
	return text
}

// reported takes the events from the journal, as whoever owns a worker does.
func (r *scriptRun) reported() (lines []string) {
	for _, e := range r.worker.Journal.Events {
		k := &e.Key
		lines = append(lines, fmt.Sprintf("report %s by rule %s: %s %s:%d > %s:%d proto %d icmp %d/%d", e.Kind, r.ruleName(uint32(e.Rule)+1),
			r.w.portName(e.Ingress), k.Src, k.SrcPort, k.Dst, k.DstPort, k.Proto, e.ICMPType, e.ICMPCode))
	}
	r.worker.Journal.Events = r.worker.Journal.Events[:0]
	return lines
}

func (r *scriptRun) ruleName(rule uint32) string {
	if r.snapshot.Rules == nil || int(rule) > len(r.snapshot.Rules.Rules) {
		return fmt.Sprint(rule)
	}
	return r.snapshot.Rules.Rules[rule-1].Name
}

// describe reads a frame that leaves anew, as its receiver will.
func (r *scriptRun) describe(f *packet.Frame, wrong bool) string {
	if text, is := r.probe(f); is {
		return text
	}
	out := packet.NewFrame(f.Bytes(), f.Ingress)
	if f.Outer != 0 {
		return r.describeTunnel(f, out, wrong)
	}
	out.Offload = f.Offload
	return r.describeFrame(out, wrong)
}

// describeFrame writes MACs, TTL, what is unusual, and the packet. A frame
// whose checksums should be right is summed by gopacket.
func (r *scriptRun) describeFrame(f *packet.Frame, wrong bool) string {
	if reason := packet.Parse(f); reason != drop.None {
		r.t.Errorf("a frame that leaves does not parse: %s: %x", reason, f.Bytes())
		return reason.String()
	}
	h := &f.Headers
	if !wrong && f.Offload.Checksum != packet.ChecksumPartial {
		packettest.Check(r.t, f.Bytes(), packettest.Checksums)
	}
	text := r.macName(h.Src) + " > " + r.macName(h.Dst)
	if h.Kind == packet.KindIP || h.Kind == packet.KindFragment {
		text += fmt.Sprintf(", ttl %d", h.TTL)
		if tos := f.TOS(); tos != 0 {
			text += fmt.Sprintf(", tos %#02x", tos)
		}
	}
	text += ": " + packet.Describe(f) + tooBig(f) + mss(f) + told(f)
	if f.Offload.Checksum == packet.ChecksumPartial && f.Offload.GSO == packet.GSONone {
		text += " partial checksum"
	}
	return text
}

// tooBig writes the MTU that an ICMP error tells.
func tooBig(f *packet.Frame) string {
	h := &f.Headers
	switch {
	case !h.ICMPError:
	case h.V6 && h.ICMPType == packet.ICMPv6TooBig, !h.V6 && h.ICMPType == packet.ICMPUnreachable && h.ICMPCode == 4:
		return fmt.Sprintf(" mtu %d", binary.BigEndian.Uint32(f.Bytes()[h.L4+4:]))
	}
	return ""
}

// mss writes the maximum segment size that a SYN announces as its first option.
func mss(f *packet.Frame) string {
	h := &f.Headers
	if h.TCPFlags&packet.TCPSyn == 0 || h.Payload < h.L4+24 || f.Bytes()[h.L4+20] != 2 {
		return ""
	}
	return fmt.Sprintf(" mss %d", binary.BigEndian.Uint16(f.Bytes()[h.L4+22:]))
}

// describeTunnel writes the outer packet and, in brackets, the inner frame.
// The source port is a hash's: only its range is checked.
func (r *scriptRun) describeTunnel(f, outer *packet.Frame, wrong bool) string {
	if reason := packet.Parse(outer); reason != drop.None && f.Offload.GSO == packet.GSONone {
		r.t.Errorf("a tunnel that leaves does not parse: %s: %x", reason, outer.Bytes())
	}
	h := &outer.Headers
	v := outer.Bytes()[h.Payload:]
	group := binary.BigEndian.Uint16(v[2:])
	flags := uint32(0x08000000)
	if group != 0 {
		flags = 0x88000000 | uint32(group)
	}
	if h.Key.SrcPort < 49152 || binary.BigEndian.Uint32(v) != flags || v[7] != 0 {
		r.t.Errorf("outer source port %d, VXLAN header %x", h.Key.SrcPort, v[:8])
	}
	inner := packet.NewFrame(v[8:], f.Ingress)
	inner.Offload = f.Offload
	inner.Offload.CsumStart -= f.Outer
	inner.Offload.HeaderLen -= f.Outer
	text := r.describeFrame(inner, wrong)
	if !wrong && f.Offload.Checksum != packet.ChecksumPartial {
		packettest.Check(r.t, outer.Bytes(), packettest.Checksums)
	}
	tos := ""
	if t := outer.TOS(); t != 0 {
		tos = fmt.Sprintf(", tos %#02x", t)
	}
	of := ""
	if group != 0 {
		of = fmt.Sprintf(" group %d", group)
	}
	return fmt.Sprintf("%s > %s%s: %s > %s vxlan vni %d%s [%s]", r.macName(h.Src), r.macName(h.Dst), tos,
		h.Key.Src, h.Key.Dst, binary.BigEndian.Uint32(v[4:])>>8, of, text)
}

func (r *scriptRun) macName(m packet.MAC) string {
	if name, known := r.w.macNames()[m]; known {
		return name
	}
	return m.String()
}

// counters are all the accounts there are, by name: what moved between two
// looks is what a step must name.
type counters map[string]uint64

// look reads every counter. Fields are found by reflection: one that is added
// to an account shows in every script that moves it.
func (r *scriptRun) look() counters {
	c := counters{}
	for i := range r.worker.Counters.Ports {
		p := &r.worker.Counters.Ports[i]
		if *p == (dataplane.PortCounters{}) {
			continue
		}
		name := r.w.portName(packet.PortID(i))
		c.fields(name, reflect.ValueOf(*p))
		for reason, n := range p.Drops {
			c[name+" drop "+drop.Reason(reason).String()] = n
		}
	}
	for i, n := range r.worker.Counters.Rules {
		c["rules "+r.ruleCounter(i)] = n
	}
	for i, n := range r.worker.Counters.Audits {
		c["audits "+r.ruleName(uint32(i+1))] = n
	}
	r.mirrorCounters(c)
	c["journal lost"] = r.worker.Journal.Lost
	r.worker.State.Sessions.Each(func(t *conntrack.Table) { c.fields("sessions", reflect.ValueOf(t.Stats())) })
	c.fields("waiting", reflect.ValueOf(r.worker.State.Waiting.Stats()))
	c.fields("nat", reflect.ValueOf(r.worker.State.NAT.Stats()))
	c.fields("macs", reflect.ValueOf(r.worker.State.FDB.Stats()))
	c.fields("groups", reflect.ValueOf(r.worker.State.Groups.Stats()))
	delete(c, "groups max")
	c["neighbours known-or-asked"] = uint64(r.worker.State.Neighbours.Len())
	return c
}

func (r *scriptRun) ruleCounter(i int) string {
	if i == len(r.worker.Counters.Rules)-1 {
		return "default-deny"
	}
	return r.ruleName(uint32(i + 1))
}

// fields reads the numbers of a struct.
func (c counters) fields(of string, v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.CanUint():
			c[of+" "+kebab(v.Type().Field(i).Name)] = f.Uint()
		case f.CanInt() && v.Type().Field(i).Name != "Bytes":
			c[of+" "+kebab(v.Type().Field(i).Name)] = uint64(f.Int())
		}
	}
}

func kebab(name string) string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(c)
	}
	return strings.ToLower(b.String())
}

// moved says what moved since an earlier look: a line for each account, its
// counters in a fixed order.
func (r *scriptRun) moved(before, after counters) []string {
	var lines []string
	accounts := []string{}
	for _, p := range r.w.ports[1:] {
		accounts = append(accounts, p.name)
	}
	for i := len(r.w.ports); i < 16; i++ {
		accounts = append(accounts, r.w.portName(packet.PortID(i)))
	}
	left := counters{}
	for name, n := range after {
		if n != before[name] {
			left[name] = n - before[name]
		}
	}
	for _, m := range r.w.mirrors {
		accounts = append(accounts, "mirror "+m.Name)
	}
	for _, account := range append(accounts, "rules", "audits", "journal", "sessions", "waiting", "nat", "macs", "groups", "neighbours") {
		if text := left.take(account); text != "" {
			lines = append(lines, "count "+account+text)
		}
	}
	for name := range left {
		r.t.Errorf("counter %q moved, and has no account", name)
	}
	return lines
}

// take writes what moved of one account, and takes it off the list.
func (c counters) take(account string) string {
	var moved []string
	for name := range c {
		if strings.HasPrefix(name, account+" ") {
			moved = append(moved, name)
		}
	}
	sortCounters(moved)
	text := ""
	for i, name := range moved {
		text += map[bool]string{true: ": ", false: ", "}[i == 0]
		text += fmt.Sprintf("%s %+d", strings.TrimPrefix(name, account+" "), int64(c[name]))
		delete(c, name)
	}
	return text
}
