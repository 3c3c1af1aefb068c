package packet

import (
	"fmt"
	"net/netip"
	"strings"
)

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
// "10.0.0.1:51844 > 10.0.0.2:5432 tcp syn". It allocates: it is for people.
func Describe(f *Frame) string {
	h := &f.Headers
	var text string
	switch h.Kind {
	case KindARP:
		text = describeARP(f)
	case KindND:
		text = describeND(f)
	case KindFragment:
		text = describeFragment(h)
	default:
		text = describeIP(h)
	}
	switch h.VLANs {
	case 1:
		text += fmt.Sprintf(" vlan %d", VID(h.VLAN[0]))
	case 2:
		text += fmt.Sprintf(" vlan %d.%d", VID(h.VLAN[0]), VID(h.VLAN[1]))
	}
	if f.Offload.GSO != GSONone {
		text += fmt.Sprintf(" superframe of %d x %d", Segments(f), f.Offload.Size)
	}
	return text
}

func describeARP(f *Frame) string {
	a := ARPOf(f)
	if a.Op == ARPRequest {
		return fmt.Sprintf("arp who-has %s tell %s (%s)", a.TargetIP, a.SenderIP, a.SenderMAC)
	}
	return fmt.Sprintf("arp %s is-at %s", a.SenderIP, a.SenderMAC)
}

// ndNames are the messages of neighbour discovery, from NDRouterSolicitation.
var ndNames = [...]string{
	"router solicitation", "router advertisement", "neighbour solicitation", "neighbour advertisement", "redirect",
}

func describeND(f *Frame) string {
	h := &f.Headers
	text := fmt.Sprintf("%s > %s nd %s", h.Key.Src, h.Key.Dst, ndNames[h.ICMPType-NDRouterSolicitation])
	if h.ICMPType >= NDNeighbourSolicitation {
		text += " " + NDOf(f).Target.String()
	}
	return text
}

// describeFragment writes a part of a packet: what it is, if it says so, and
// which of its bytes it has.
func describeFragment(h *Headers) string {
	text := fmt.Sprintf("%s > %s %s", h.Key.Src, h.Key.Dst, ProtoName(h.Key.Proto))
	if h.Fragment.First() || h.Key.SrcPort != 0 {
		text = describeIP(h)
	}
	more := ""
	if h.Fragment.More {
		more = "+"
	}
	return text + fmt.Sprintf(" fragment %d-%d%s of %d", h.Fragment.Offset, h.FragmentEnd()-1, more, h.Fragment.ID)
}

func describeIP(h *Headers) string {
	text := describeKey(&h.Key)
	switch h.Key.Proto {
	case ProtoTCP:
		text += " " + flagNames(h.TCPFlags)
	case ProtoICMP, ProtoICMPv6:
		text += describeICMP(h)
	}
	return text
}

// describeKey writes a flow; ports only where the protocol has them.
func describeKey(k *Key) string {
	switch k.Proto {
	case ProtoTCP, ProtoUDP, ProtoSCTP:
		return fmt.Sprintf("%s > %s %s", endpoint(k.Src, k.SrcPort), endpoint(k.Dst, k.DstPort), ProtoName(k.Proto))
	}
	return fmt.Sprintf("%s > %s %s", k.Src, k.Dst, ProtoName(k.Proto))
}

func describeICMP(h *Headers) string {
	switch {
	case h.ICMPError:
		return fmt.Sprintf(" type %d code %d about %s", h.ICMPType, h.ICMPCode, describeKey(&h.Inner))
	case !h.V6 && h.ICMPType == ICMPEchoRequest || h.V6 && h.ICMPType == ICMPv6EchoRequest:
		return fmt.Sprintf(" echo request id %d", h.Key.SrcPort)
	case !h.V6 && h.ICMPType == ICMPEchoReply || h.V6 && h.ICMPType == ICMPv6EchoReply:
		return fmt.Sprintf(" echo reply id %d", h.Key.SrcPort)
	}
	return fmt.Sprintf(" type %d code %d", h.ICMPType, h.ICMPCode)
}

func endpoint(a Addr, port uint16) string { return netip.AddrPortFrom(a.Netip(), port).String() }

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
