package xdp

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf/asm"
)

// Filter is what an uplink takes from a device that it shares with the host:
// the tunnel's packets for our VTEP, and the address resolution of its
// address. Everything else is the host's, and passes.
//
// The VTEP's address is the switch's own: the switch answers for it, and the
// answers to its questions go to it. So the host must not have it (Open refuses
// that), and of ARP and ND the host keeps what is about its own addresses.
//
//	                                         switch   host
//	UDP to the VTEP and the VXLAN port         x
//	UDP to the VTEP, a fragment                x            (1)
//	anything else to the VTEP                          x    (2)
//	ARP whose target is the VTEP               x
//	ND solicitation whose target is the VTEP   x
//	ND advertisement to the VTEP               x
//	ICMP "too big" to the VTEP                 x
//	a frame with a VLAN tag                            x    (3)
//	the rest                                           x
//
// (1) A VTEP must not fragment (RFC 7348 4.3), and of a later fragment nobody
// can say whether it belongs to a tunnel. The host must not put together what
// the switch would not: the walk drops it by name, and counts it.
// (2) IPv6 extension headers among them: no VTEP sends any.
// (3) Another network than the underlay's.
type Filter struct {
	Addrs   []netip.Addr // the VTEP's, at most one of each family; none: nothing is taken
	UDPPort uint16
}

// Where things are in a frame without a tag, and what they are.
const (
	etherTypeAt = 12
	ipAt        = ethernetLen

	ip4Len, ip4FragmentAt, ip4ProtoAt, ip4DstAt = 20, ipAt + 6, ipAt + 9, ipAt + 16
	ip6Len, ip6NextAt, ip6DstAt                 = 40, ipAt + 6, ipAt + 24
	arpLen, arpTargetAt                         = 28, ipAt + 24
	icmp6At                                     = ipAt + ip6Len
	ndLen, ndTargetAt                           = 24, icmp6At + 8

	udpLen, udpPortAt = 8, 2

	etherTypeIPv4, etherTypeARP, etherTypeIPv6 = 0x0800, 0x0806, 0x86dd
	protoICMP, protoUDP                        = 1, 17
	protoFragment, protoICMPv6                 = 44, 58
	ndSolicitation, ndAdvertisement            = 135, 136

	icmpLen             = 8
	fragmentationNeeded = 0x0304 // type and code (RFC 1191 4)
	packetTooBig        = 2      // type (RFC 4443 3.2)
)

// The program's registers, but for R0-R5, which are anybody's.
const (
	ctx     = asm.R6
	data    = asm.R7
	dataEnd = asm.R8
)

// instructions is the filter as a program over a map of sockets.
func (f *Filter) instructions(sockets int) asm.Instructions {
	four, six := f.family(true), f.family(false)
	if !four.IsValid() && !six.IsValid() {
		return asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()}
	}
	program := asm.Instructions{
		asm.Mov.Reg(ctx, asm.R1),
		asm.LoadMem(data, ctx, 0, asm.Word),    // xdp_md.data
		asm.LoadMem(dataEnd, ctx, 4, asm.Word), // xdp_md.data_end
	}
	program = append(program, within(etherTypeAt+2)...)
	program = append(program, asm.LoadMem(asm.R2, data, etherTypeAt, asm.Half))
	if four.IsValid() {
		program = append(program,
			asm.JEq.Imm(asm.R2, onWire(etherTypeIPv4), "ipv4"),
			asm.JEq.Imm(asm.R2, onWire(etherTypeARP), "arp"))
	}
	if six.IsValid() {
		program = append(program, asm.JEq.Imm(asm.R2, onWire(etherTypeIPv6), "ipv6"))
	}
	program = append(program,
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return())
	if four.IsValid() {
		program = append(program, f.arp(four.As4())...)
		program = append(program, f.ipv4(four.As4())...)
	}
	if six.IsValid() {
		program = append(program, f.ipv6(six.As16())...)
	}
	return append(program, redirect(sockets)...)
}

// family returns the VTEP's address of a family; the zero Addr if it has none.
func (f *Filter) family(is4 bool) netip.Addr {
	for _, a := range f.Addrs {
		if a.Is4() == is4 {
			return a
		}
	}
	return netip.Addr{}
}

// redirect gives the frame to the socket of its queue, and drops it where there
// is none: fail closed.
func redirect(sockets int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, ctx, 16, asm.Word).WithSymbol("redirect"), // xdp_md.rx_queue_index
		asm.LoadMapPtr(asm.R1, sockets),
		asm.Mov.Imm(asm.R3, xdpDrop),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}
}

// within passes a frame that is shorter than n bytes.
func within(n int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R2, data),
		asm.Add.Imm(asm.R2, n),
		asm.JGT.Reg(asm.R2, dataEnd, "pass"),
	}
}

// named makes the first instruction of a part the target of jumps.
func named(name string, part ...asm.Instructions) asm.Instructions {
	var all asm.Instructions
	for _, p := range part {
		all = append(all, p...)
	}
	all[0] = all[0].WithSymbol(name)
	return all
}

func (f *Filter) arp(vtep [4]byte) asm.Instructions {
	return named("arp", within(ipAt+arpLen), asm.Instructions{
		asm.LoadMem(asm.R2, data, arpTargetAt, asm.Word),
		asm.LoadImm(asm.R3, word(vtep[:]), asm.DWord),
		asm.JEq.Reg(asm.R2, asm.R3, "redirect"),
		asm.Ja.Label("pass"),
	})
}

func (f *Filter) ipv4(vtep [4]byte) asm.Instructions {
	return named("ipv4", within(ipAt+ip4Len), asm.Instructions{
		asm.LoadMem(asm.R2, data, ip4DstAt, asm.Word),
		asm.LoadImm(asm.R3, word(vtep[:]), asm.DWord),
		asm.JNE.Reg(asm.R2, asm.R3, "pass"),
		asm.LoadMem(asm.R2, data, ip4ProtoAt, asm.Byte),
		asm.JEq.Imm(asm.R2, protoICMP, "icmp"),
		asm.JNE.Imm(asm.R2, protoUDP, "pass"),
		asm.LoadMem(asm.R2, data, ip4FragmentAt, asm.Half),
		asm.JSet.Imm(asm.R2, onWire(0x3fff), "redirect"), // more fragments, or an offset
		// The header's length is in words of 4 bytes, at least 5.
		asm.LoadMem(asm.R4, data, ipAt, asm.Byte),
		asm.And.Imm(asm.R4, 0xf),
		asm.LSh.Imm(asm.R4, 2),
		asm.JLT.Imm(asm.R4, ip4Len, "pass"),
		asm.Add.Reg(asm.R4, data),
		asm.Mov.Reg(asm.R2, asm.R4),
		asm.Add.Imm(asm.R2, ipAt+udpLen),
		asm.JGT.Reg(asm.R2, dataEnd, "pass"),
		asm.LoadMem(asm.R2, asm.R4, ipAt+udpPortAt, asm.Half),
		asm.JEq.Imm(asm.R2, onWire(f.UDPPort), "redirect"),
		asm.Ja.Label("pass"),
	}, named("icmp", within(ipAt+ip4Len+icmpLen)), asm.Instructions{
		asm.LoadMem(asm.R2, data, ipAt, asm.Byte),
		asm.JNE.Imm(asm.R2, 0x45, "pass"), // no router puts options before an error
		asm.LoadMem(asm.R2, data, ipAt+ip4Len, asm.Half),
		asm.JEq.Imm(asm.R2, onWire(fragmentationNeeded), "redirect"),
		asm.Ja.Label("pass"),
	})
}

func (f *Filter) ipv6(vtep [16]byte) asm.Instructions {
	return named("ipv6", within(ipAt+ip6Len), asm.Instructions{
		asm.LoadMem(asm.R4, data, ip6NextAt, asm.Byte),
		asm.JEq.Imm(asm.R4, protoICMPv6, "icmpv6"),
	}, isAddr(ip6DstAt, vtep), asm.Instructions{
		asm.JEq.Imm(asm.R4, protoFragment, "fragment"),
		asm.JNE.Imm(asm.R4, protoUDP, "pass"),
	}, within(ipAt+ip6Len+udpLen), asm.Instructions{
		asm.LoadMem(asm.R2, data, ipAt+ip6Len+udpPortAt, asm.Half),
		asm.JEq.Imm(asm.R2, onWire(f.UDPPort), "redirect"),
		asm.Ja.Label("pass"),
	}, named("fragment", within(ipAt+ip6Len+8)), asm.Instructions{
		asm.LoadMem(asm.R2, data, ipAt+ip6Len, asm.Byte), // its own next header
		asm.JEq.Imm(asm.R2, protoUDP, "redirect"),
		asm.Ja.Label("pass"),
	}, named("icmpv6", within(icmp6At+ndLen)), asm.Instructions{
		asm.LoadMem(asm.R4, data, icmp6At, asm.Byte),
		asm.JEq.Imm(asm.R4, packetTooBig, "error"),
		asm.JEq.Imm(asm.R4, ndSolicitation, "solicitation"),
		asm.JNE.Imm(asm.R4, ndAdvertisement, "pass"),
	}, named("error", isAddr(ip6DstAt, vtep)), asm.Instructions{
		asm.Ja.Label("redirect"),
	}, named("solicitation", isAddr(ndTargetAt, vtep)), asm.Instructions{
		asm.Ja.Label("redirect"),
	})
}

// isAddr passes a frame that does not have the address there.
func isAddr(at int16, a [16]byte) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, data, at, asm.DWord),
		asm.LoadImm(asm.R3, int64(binary.NativeEndian.Uint64(a[:8])), asm.DWord),
		asm.JNE.Reg(asm.R2, asm.R3, "pass"),
		asm.LoadMem(asm.R2, data, at+8, asm.DWord),
		asm.LoadImm(asm.R3, int64(binary.NativeEndian.Uint64(a[8:])), asm.DWord),
		asm.JNE.Reg(asm.R2, asm.R3, "pass"),
	}
}

// onWire is a number of 16 bits as the program, which loads in the machine's
// order, sees it.
func onWire(n uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n)))
}

// word is 4 bytes of a frame as the program sees them.
func word(b []byte) int64 { return int64(binary.NativeEndian.Uint32(b)) }
