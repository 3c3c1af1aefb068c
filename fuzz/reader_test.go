package fuzz

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// facts is what a slow second reader finds in a frame. It is written from the
// RFCs alone: a cursor that takes bytes off the front and remembers where it
// could not, no offsets, addresses as package netip has them. Nothing of package
// packet is called; what the two agree on, two people have read.
type facts struct {
	refused string // why, in a word; all else is then of no meaning

	dst, src [6]byte
	tags     []uint16 // TCIs, outermost first
	arp      []byte   // the 28 bytes of ARP; nil: it is IP
	v6       bool
	from, to netip.Addr
	hops     uint8
	proto    uint8
	end      int // where the packet ends in the frame

	part       bool // a fragment
	partID     uint32
	partOffset int
	partMore   bool

	sport, dport uint16 // of ICMP questions both are the identifier
	question     bool
	seq, ack     uint32
	flags        uint8
	window       uint16
	kind, code   uint8 // of ICMP
	nd           bool
	transport    []byte // from the transport's header to the packet's end
	about        *facts // the packet that an ICMP error quotes
}

// cursor takes fields off the front of bytes. What is not there makes it short,
// and reads as zeros.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.short = true
		return make([]byte, max(n, 0))
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) u8() uint8   { return c.take(1)[0] }
func (c *cursor) u16() uint16 { return binary.BigEndian.Uint16(c.take(2)) }
func (c *cursor) u32() uint32 { return binary.BigEndian.Uint32(c.take(4)) }

// ones is the Internet checksum's sum (RFC 1071 1), a word at a time.
func ones(sum uint32, b []byte) uint32 {
	for i, v := range b {
		if i%2 == 0 {
			sum += uint32(v) << 8
		} else {
			sum += uint32(v)
		}
		sum = sum&0xffff + sum>>16
	}
	return sum
}

// transportSum sums a transport's bytes with its pseudo-header (RFC 768, RFC
// 8200 8.1): ffff where the checksum is right.
func (f *facts) transportSum() uint32 {
	sum := ones(0, f.from.AsSlice())
	sum = ones(sum, f.to.AsSlice())
	sum = ones(sum, []byte{0, f.proto})
	return ones(ones(sum, binary.BigEndian.AppendUint32(nil, uint32(len(f.transport)))), f.transport)
}

// read reads a frame.
func read(frame []byte) *facts {
	f := &facts{}
	c := &cursor{b: frame}
	f.dst, f.src = [6]byte(c.take(6)), [6]byte(c.take(6))
	kind := c.u16()
	if c.short {
		return f.refuse("runt")
	}
	if f.src[0]%2 == 1 || f.src == [6]byte{} {
		return f.refuse("source MAC")
	}
	if [5]byte(f.dst[:5]) == [5]byte{0x01, 0x80, 0xc2} && f.dst[5] < 16 {
		return f.refuse("a bridge's own group") // IEEE 802.1D 7.12.6
	}
	for ; kind == 0x8100 || kind == 0x88a8; kind = c.u16() {
		if len(f.tags) == 2 {
			return f.refuse("three tags")
		}
		if f.tags = append(f.tags, c.u16()); c.short || len(c.b) < 2 {
			return f.refuse("runt")
		}
	}
	at := len(frame) - len(c.b)
	switch kind {
	case 0x0806:
		return f.readARP(c, at)
	case 0x0800:
		return f.read4(c, at)
	case 0x86dd:
		return f.read6(c, at)
	}
	return f.refuse("EtherType or length")
}

func (f *facts) refuse(why string) *facts {
	f.refused = why
	return f
}

// readARP reads RFC 826, of Ethernet and IPv4.
func (f *facts) readARP(c *cursor, at int) *facts {
	f.arp = c.take(28)
	h := &cursor{b: f.arp}
	hardware, protocol, hlen, plen, op := h.u16(), h.u16(), h.u8(), h.u8(), h.u16()
	if c.short || hardware != 1 || protocol != 0x0800 || hlen != 6 || plen != 4 || op < 1 || op > 2 {
		return f.refuse("ARP")
	}
	f.end = at + 28
	return f
}

// read4 reads RFC 791 3.1.
func (f *facts) read4(c *cursor, at int) *facts {
	whole := c.b
	first := c.u8()
	c.u8()
	total, id, where := int(c.u16()), c.u16(), c.u16()
	f.hops, f.proto = c.u8(), c.u8()
	c.u16()
	f.from, f.to = netip.AddrFrom4([4]byte(c.take(4))), netip.AddrFrom4([4]byte(c.take(4)))
	size := int(first%16) * 4
	if c.short || first/16 != 4 || size < 20 || total < size || total > len(whole) {
		return f.refuse("IPv4 header")
	}
	if ones(0, whole[:size]) != 0xffff {
		return f.refuse("IPv4 checksum")
	}
	if !harmless4(&cursor{b: whole[20:size]}) {
		return f.refuse("IPv4 options")
	}
	if f.proto == 58 {
		return f.refuse("ICMPv6 over IPv4")
	}
	f.end, f.transport = at+total, whole[size:total:total]
	f.partOffset, f.partMore = int(where%8192)*8, where&0x2000 != 0
	f.part, f.partID = f.partOffset != 0 || f.partMore, uint32(id)
	return f.readTransport()
}

// harmless4 reads options (RFC 791 3.1); source routes are not (RFC 7126 4.3).
func harmless4(c *cursor) bool {
	for len(c.b) > 0 && !c.short {
		switch kind := c.u8(); kind {
		case 0:
			return true
		case 1:
		case 131, 137:
			return false
		default:
			c.take(int(c.u8()) - 2)
		}
	}
	return !c.short
}

// read6 reads RFC 8200 3 and 4.
func (f *facts) read6(c *cursor, at int) *facts {
	first, size := c.u32(), int(c.u16())
	next := c.u8()
	f.v6, f.hops = true, c.u8()
	f.from, f.to = netip.AddrFrom16([16]byte(c.take(16))), netip.AddrFrom16([16]byte(c.take(16)))
	if c.short || first>>28 != 6 || size > len(c.b) {
		return f.refuse("IPv6 header")
	}
	if standsFor4(f.from) || standsFor4(f.to) {
		return f.refuse("an IPv4 address in IPv6")
	}
	f.end = at + 40 + size
	chain := &cursor{b: c.b[:size:size]}
	next, fine := walk6(chain, next, 256)
	if !fine {
		return f.refuse("extension header")
	}
	if f.proto = next; next == 44 { // a fragment header (RFC 8200 4.5)
		f.proto = chain.u8()
		chain.u8()
		where := chain.u16()
		f.partID = chain.u32()
		f.part, f.partOffset, f.partMore = true, int(where/8*8), where%2 == 1
		if chain.short {
			return f.refuse("fragment header")
		}
		if slices.Contains([]uint8{0, 43, 44, 59, 60, 135, 139, 140, 253, 254, 255}, f.proto) && f.partOffset == 0 {
			return f.refuse("headers behind the fragment header")
		}
	}
	if f.proto == 1 && f.partOffset == 0 {
		return f.refuse("ICMP over IPv6")
	}
	f.transport = chain.b
	return f.readTransport()
}

// standsFor4 tells of mapped and compatible addresses (RFC 4291 2.5.5).
func standsFor4(a netip.Addr) bool {
	b := a.As16()
	compatible := [12]byte(b[:12]) == [12]byte{}
	return a.Is4In6() || compatible && !a.IsUnspecified() && a != netip.IPv6Loopback()
}

// walk6 walks a chain up to a transport, or a fragment header: eight headers, so
// many bytes of them, options that parse and none that replaces the source or the
// length that are judged (RFC 6275 6.3, RFC 2675 2).
func walk6(c *cursor, next uint8, most int) (uint8, bool) {
	whole := len(c.b)
	for n := 0; next == 0 || next == 60; n++ {
		if n == 8 || next == 0 && n != 0 {
			return next, false
		}
		h := &cursor{b: c.b}
		then := h.u8()
		size := (int(h.u8()) + 1) * 8
		options := &cursor{b: c.take(size)}
		if options.take(2); c.short || whole-len(c.b) > most {
			return next, false
		}
		for len(options.b) > 0 && !options.short {
			if kind := options.u8(); kind == 0xc9 || kind == 0xc2 {
				return next, false
			} else if kind != 0 {
				options.take(int(options.u8()))
			}
		}
		if next = then; options.short {
			return next, false
		}
	}
	return next, !slices.Contains([]uint8{43, 59, 135, 139, 140, 253, 254, 255}, next)
}
