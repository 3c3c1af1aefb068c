package fuzz

import (
	"net/netip"
	"slices"
)

// readTransport reads what is in the packet, or in the part of one.
func (f *facts) readTransport() *facts {
	if f.part && !f.fitsPart() {
		return f.refuse("fragment")
	}
	if f.part && f.partOffset > 0 {
		return f
	}
	c := &cursor{b: f.transport}
	switch f.proto {
	case 6:
		return f.readTCP(c)
	case 17:
		return f.readUDP(c)
	case 132:
		f.sport, f.dport = c.u16(), c.u16()
		if c.take(8); c.short {
			return f.refuse("SCTP")
		}
	case 1, 58:
		return f.readICMP(c)
	}
	return f
}

// fitsPart: a part is of some bytes, eight at a time but for the last, within
// 64 KiB, and not the whole (RFC 791 3.2, RFC 8200 4.5, RFC 8021); TCP and SCTP
// are not cut.
func (f *facts) fitsPart() bool {
	n := len(f.transport)
	switch {
	case f.partOffset == 0 && !f.partMore, n == 0, f.partMore && n%8 != 0, f.partOffset+n > 65535:
		return false
	}
	return f.proto != 6 && f.proto != 132
}

// readTCP reads RFC 9293 3.1.
func (f *facts) readTCP(c *cursor) *facts {
	f.sport, f.dport, f.seq, f.ack = c.u16(), c.u16(), c.u32(), c.u32()
	size := int(c.u8()>>4) * 4
	f.flags, f.window = c.u8(), c.u16()
	c.take(4)
	if c.take(size - 20); c.short || size < 20 {
		return f.refuse("TCP")
	}
	return f
}

// readUDP reads RFC 768: its length is the packet's, or of a first part more than
// there is.
func (f *facts) readUDP(c *cursor) *facts {
	f.sport, f.dport = c.u16(), c.u16()
	length := int(c.u16())
	c.u16()
	if c.short || !f.part && length != len(f.transport) || f.part && length <= len(f.transport) {
		return f.refuse("UDP")
	}
	return f
}

// readICMP reads RFC 792 and RFC 4443 2.1.
func (f *facts) readICMP(c *cursor) *facts {
	f.kind, f.code = c.u8(), c.u8()
	c.u16()
	id := c.u16()
	if c.u16(); c.short {
		return f.refuse("ICMP")
	}
	if f.question = asks(f.proto, f.kind); f.question {
		f.sport, f.dport = id, id
	}
	f.nd = f.proto == 58 && f.kind >= 133 && f.kind <= 137
	if f.nd && !f.fitsND() {
		return f.refuse("neighbour discovery")
	}
	quotes := f.proto == 1 && slices.Contains([]uint8{3, 4, 11, 12}, f.kind) || f.proto == 58 && f.kind >= 1 && f.kind <= 4
	if quotes {
		if f.about = readQuote(c.b, f.v6); f.about == nil {
			return f.refuse("quote")
		}
	}
	if f.part && (f.nd || quotes) {
		return f.refuse("fragment of an error or of neighbour discovery") // RFC 6980
	}
	return f
}

// asks tells of the messages with an identifier that pairs them.
func asks(proto, kind uint8) bool {
	if proto == 1 {
		return kind == 0 || kind == 8 || kind == 13 || kind == 14
	}
	return kind == 128 || kind == 129
}

// fitsND is what RFC 4861 6.1 and 7.1 have a receiver check.
func (f *facts) fitsND() bool {
	c := &cursor{b: f.transport}
	head := c.take(8)
	switch f.kind {
	case 134:
		c.take(8)
	case 135, 136:
		target := c.take(16)
		if target[0] == 0xff || f.kind == 136 && f.to.IsMulticast() && head[4]&0x40 != 0 {
			return false
		}
	case 137:
		c.take(32)
	}
	if c.short || f.hops != 255 || f.code != 0 {
		return false
	}
	links, fine := linkOptions(c)
	if !fine || len(slices.Compact(slices.Clone(links))) > 1 {
		return false
	}
	if f.from.IsUnspecified() && (f.kind == 133 || f.kind == 135) && len(links) > 0 {
		return false
	}
	solicited := netip.MustParsePrefix("ff02::1:ff00:0/104")
	return !(f.kind == 135 && f.from.IsUnspecified() && !solicited.Contains(f.to))
}

// linkOptions reads the link-layer addresses among the options (RFC 4861 4.6), of
// which there are sixteen at most.
func linkOptions(c *cursor) (links [][6]byte, fine bool) {
	for n := 0; len(c.b) > 0; n++ {
		kind, units := c.u8(), int(c.u8())
		value := c.take(units*8 - 2)
		if c.short || units == 0 || n == 16 {
			return nil, false
		}
		if kind == 1 || kind == 2 {
			if units != 1 {
				return nil, false
			}
			links = append(links, [6]byte(value))
		}
	}
	return links, true
}

// readQuote reads the packet that an error is about, as far as it goes: eight
// bytes of transport, of no later part, and no error itself (RFC 1122 3.2.2, RFC
// 4443 2.4 e). nil: it cannot be.
func readQuote(b []byte, v6 bool) *facts {
	q, c := &facts{v6: v6}, &cursor{b: b}
	if v6 {
		first := c.u32()
		c.u16()
		next := c.u8()
		q.hops = c.u8()
		q.from, q.to = netip.AddrFrom16([16]byte(c.take(16))), netip.AddrFrom16([16]byte(c.take(16)))
		if c.short || first>>28 != 6 || standsFor4(q.from) || standsFor4(q.to) {
			return nil
		}
		var fine bool
		if q.proto, fine = walk6(c, next, 256); !fine || q.proto == 44 || q.proto == 1 {
			return nil
		}
	} else {
		first := c.u8()
		c.take(5)
		where := c.u16()
		q.hops, q.proto = c.u8(), c.u8()
		c.u16()
		q.from, q.to = netip.AddrFrom4([4]byte(c.take(4))), netip.AddrFrom4([4]byte(c.take(4)))
		c.take(int(first%16)*4 - 20)
		if c.short || first/16 != 4 || first%16 < 5 || where%8192 != 0 || q.proto == 58 {
			return nil
		}
	}
	q.transport = c.b
	head := c.take(8)
	if c.short {
		return nil
	}
	h := &cursor{b: head}
	switch q.proto {
	case 6, 17, 132:
		q.sport, q.dport, q.seq = h.u16(), h.u16(), h.u32()
	case 1, 58:
		q.kind = h.u8()
		if q.proto == 1 && slices.Contains([]uint8{3, 4, 11, 12}, q.kind) || q.proto == 58 && q.kind < 128 {
			return nil
		}
		if h.take(3); asks(q.proto, q.kind) {
			q.question, q.sport = true, h.u16()
			q.dport = q.sport
		}
	}
	return q
}
