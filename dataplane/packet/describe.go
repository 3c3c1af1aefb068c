package packet

import (
	"fmt"
	"net/netip"
	"strings"
)

// String writes the address as people write it.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// ParseMAC reads an address as aa:bb:cc:dd:ee:ff.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	if len(s) != 17 {
		return m, fmt.Errorf("%q is no MAC address; write it as 02:00:00:00:00:01", s)
	}
	n, err := fmt.Sscanf(s, "%02x:%02x:%02x:%02x:%02x:%02x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5])
	if err != nil || n != 6 {
		return MAC{}, fmt.Errorf("%q is no MAC address; write it as 02:00:00:00:00:01", s)
	}
	return m, nil
}

// AddrFrom returns the Addr of an address; its zone is left out.
func AddrFrom(a netip.Addr) Addr { return Addr(a.As16()) }

// Netip returns the address as a netip.Addr, of IPv4 where it is one.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// String writes the address as people write it.
func (a Addr) String() string { return a.Netip().String() }

// ProtoName returns a protocol's name, or its number.
func ProtoName(proto uint8) string {
	switch proto {
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoSCTP:
		return "sctp"
	case ProtoICMP:
		return "icmp"
	case ProtoICMPv6:
		return "icmpv6"
	}
	return fmt.Sprintf("proto %d", proto)
}

// Describe says in a line what a parsed frame is, as
// "10.0.0.1:51844 > 10.0.0.2:5432 tcp syn".
func Describe(f *Frame) string {
	h := &f.Headers
	switch h.Kind {
	case KindARP:
		a := ARPOf(f)
		if a.Op == ARPRequest {
			return fmt.Sprintf("arp who-has %s tell %s (%s)", a.TargetIP, a.SenderIP, a.SenderMAC)
		}
		return fmt.Sprintf("arp %s is-at %s", a.SenderIP, a.SenderMAC)
	case KindND:
		n := NDOf(f)
		return fmt.Sprintf("%s > %s nd type %d target %s", h.Key.Src, h.Key.Dst, h.ICMPType, n.Target)
	}
	text := describeFlow(&h.Key, h)
	if f.Offload.GSO != GSONone {
		text += fmt.Sprintf(" superframe of %d", f.Offload.Size)
	}
	return text
}

func describeFlow(k *Key, h *Headers) string {
	switch k.Proto {
	case ProtoTCP:
		return fmt.Sprintf("%s > %s tcp %s", HostPort(k.Src, k.SrcPort), HostPort(k.Dst, k.DstPort), flagNames(h.TCPFlags))
	case ProtoUDP, ProtoSCTP:
		return fmt.Sprintf("%s > %s %s", HostPort(k.Src, k.SrcPort), HostPort(k.Dst, k.DstPort), ProtoName(k.Proto))
	case ProtoICMP, ProtoICMPv6:
		return fmt.Sprintf("%s > %s %s type %d code %d", k.Src, k.Dst, ProtoName(k.Proto), h.ICMPType, h.ICMPCode)
	}
	return fmt.Sprintf("%s > %s %s", k.Src, k.Dst, ProtoName(k.Proto))
}

// HostPort writes an address and a port as people write them.
func HostPort(a Addr, port uint16) string { return netip.AddrPortFrom(a.Netip(), port).String() }

// flagNames writes TCP flags, as "syn,ack"; "none" for none.
func flagNames(flags uint8) string {
	names := [...]string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}
	var set []string
	for i, name := range names {
		if flags&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	if set == nil {
		return "none"
	}
	return strings.Join(set, ",")
}
