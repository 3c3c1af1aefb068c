package flows

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// source is a capture, of either form.
type source interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// capture makes connections of packets. Who opened one is told by a SYN, or by
// an answer to one; of the others the first packet is the question, but for a
// TCP connection that was open before the capture began: it goes to the lower
// port. Each connection is one flow, however many packets it has.
type capture struct {
	from    source
	link    func(gopacket.CaptureInfo) layers.LinkType
	known   seen
	skipped map[string]uint64
	packets int
}

func newPcap(r io.Reader) (Reader, error) {
	p, err := pcapgo.NewReader(wholePcap(r))
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return &capture{from: p, link: func(gopacket.CaptureInfo) layers.LinkType { return p.LinkType() }, skipped: map[string]uint64{}}, nil
}

func newNg(r io.Reader) (Reader, error) {
	p, err := pcapgo.NewNgReader(wholeNg(r), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	link := func(ci gopacket.CaptureInfo) layers.LinkType {
		if len(ci.AncillaryData) > 0 {
			if l, ok := ci.AncillaryData[0].(layers.LinkType); ok {
				return l
			}
		}
		return p.LinkType()
	}
	return &capture{from: p, link: link, skipped: map[string]uint64{}}, nil
}

// Skipped counts packets that opened nothing.
func (c *capture) Skipped() map[string]uint64 { return c.skipped }

// Next reads on to the first packet of a connection.
func (c *capture) Next() (*Flow, error) {
	for {
		data, info, err := c.from.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, fmt.Errorf("packet %d: %w", c.packets+1, err)
		}
		c.packets++
		p := gopacket.NewPacket(data, c.link(info), gopacket.DecodeOptions{Lazy: true, NoCopy: true})
		f, why := flowOf(p)
		if why != "" {
			c.skipped[why]++
			continue
		}
		if c.known.first(f) {
			return f, nil
		}
	}
}

// flowOf returns the connection that a packet is of, or why it is of none.
func flowOf(p gopacket.Packet) (*Flow, string) {
	f := &Flow{Count: 1}
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		f.Src, f.Dst, f.Proto = addr(ip.SrcIP), addr(ip.DstIP), uint8(ip.Protocol)
		if ip.FragOffset != 0 {
			return nil, "later fragments"
		}
	case *layers.IPv6:
		f.Src, f.Dst, f.Proto = addr(ip.SrcIP), addr(ip.DstIP), uint8(ip.NextHeader)
		if l := p.Layer(layers.LayerTypeIPv6Fragment); l != nil {
			frag := l.(*layers.IPv6Fragment)
			if frag.FragmentOffset != 0 {
				return nil, "later fragments"
			}
			f.Proto = uint8(frag.NextHeader)
		}
	default:
		return nil, "no IP"
	}
	if f.Dst.IsMulticast() || f.Dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return nil, "to many"
	}
	return transport(p, f)
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

// transport fills in ports, and turns an answer round.
func transport(p gopacket.Packet, f *Flow) (*Flow, string) {
	switch l := last(p).(type) {
	case *layers.TCP:
		f.Proto, f.Sport, f.Dport = tcp, uint16(l.SrcPort), uint16(l.DstPort)
		if l.SYN && l.ACK || !l.SYN && f.Sport < f.Dport {
			turn(f)
		}
	case *layers.UDP:
		f.Proto, f.Sport, f.Dport = udp, uint16(l.SrcPort), uint16(l.DstPort)
	case *layers.SCTP:
		f.Proto, f.Sport, f.Dport = sctp, uint16(l.SrcPort), uint16(l.DstPort)
	case *layers.ICMPv4:
		f.Proto = icmp
		return control(f, uint16(l.TypeCode), map[uint8]bool{3: true, 4: true, 5: true, 11: true, 12: true}, 0, 8, 0)
	case *layers.ICMPv6:
		f.Proto = icmpv6
		return control(f, uint16(l.TypeCode), map[uint8]bool{1: true, 2: true, 3: true, 4: true, 133: true, 134: true, 135: true, 136: true, 137: true}, 129, 128, 0)
	default:
		if f.Proto == tcp || f.Proto == udp || f.Proto == sctp || f.Proto == icmp || f.Proto == icmpv6 {
			return nil, "cut or damaged"
		}
	}
	return f, ""
}

// last is the layer that says what a packet is.
func last(p gopacket.Packet) gopacket.Layer {
	if l := p.TransportLayer(); l != nil && len(l.LayerContents()) > 0 { // none of a header that is cut
		return l
	}
	for _, t := range []gopacket.LayerType{layers.LayerTypeICMPv4, layers.LayerTypeICMPv6} {
		if l := p.Layer(t); l != nil && len(l.LayerContents()) > 0 {
			return l
		}
	}
	return nil
}

// control makes a flow of an ICMP message: an answer to an echo is of the
// question, and an error is of another connection.
func control(f *Flow, typeCode uint16, others map[uint8]bool, reply, request, code uint8) (*Flow, string) {
	kind := uint8(typeCode >> 8)
	if others[kind] {
		return nil, "ICMP about others"
	}
	f.Dport = typeCode
	if kind == reply {
		turn(f)
		f.Sport, f.Dport = 0, uint16(request)<<8|uint16(code)
	}
	return f, ""
}

func turn(f *Flow) {
	f.Src, f.Dst, f.Sport, f.Dport = f.Dst, f.Src, f.Dport, f.Sport
}
