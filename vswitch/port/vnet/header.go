package vnet

import (
	"encoding/binary"

	"bulkhead/dataplane/packet"
)

// What the kernel writes before each frame, and reads (struct virtio_net_hdr,
// include/uapi/linux/virtio_net.h; little-endian of a packet socket, and of a TAP
// by TUNSETVNETLE):
//
//	 0       1       2           4           6            8             10
//	+-------+-------+-----------+-----------+------------+-------------+
//	| flags | gso   | hdr_len   | gso_size  | csum_start | csum_offset |
//	+-------+-------+-----------+-----------+------------+-------------+
//
// HeaderLen is its length in bytes: ten, not twelve. The last two (num_buffers)
// mean nothing to a TAP or a packet socket.
const HeaderLen = 10

const (
	needsCsum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	dataValid = 2 // VIRTIO_NET_HDR_F_DATA_VALID

	gsoNone  = 0    // VIRTIO_NET_HDR_GSO_NONE
	gsoTCP4  = 1    // VIRTIO_NET_HDR_GSO_TCPV4
	gsoTCP6  = 4    // VIRTIO_NET_HDR_GSO_TCPV6
	gsoUDPL4 = 5    // VIRTIO_NET_HDR_GSO_UDP_L4
	gsoECN   = 0x80 // VIRTIO_NET_HDR_GSO_ECN
)

// EthernetLen is the length of an Ethernet header without tags.
const EthernetLen = 14

// Decode reads the header h of the frame b. It returns false where the two
// contradict each other or the header asks for what no one does: such a frame
// cannot be finished, so nothing may pass it on.
func Decode(h, b []byte) (o packet.Offload, ok bool) {
	_ = h[HeaderLen-1]
	switch h[0] &^ dataValid {
	case needsCsum:
		o.Checksum = packet.ChecksumPartial
		o.CsumStart = binary.LittleEndian.Uint16(h[6:])
		o.CsumOffset = binary.LittleEndian.Uint16(h[8:])
		if o.CsumStart < EthernetLen || int(o.CsumStart)+int(o.CsumOffset)+2 > len(b) {
			return o, false
		}
	case 0:
		if h[0] == dataValid {
			o.Checksum = packet.ChecksumGood
		}
	default:
		return o, false
	}
	if h[1] == gsoNone {
		return o, true
	}
	return o, decodeGSO(&o, h, b)
}

// decodeGSO reads what a superframe is to be cut into. hdr_len is only how
// much of the frame lay in one piece in the kernel, so the headers' length is
// read from the frame.
func decodeGSO(o *packet.Offload, h, b []byte) bool {
	o.Size = binary.LittleEndian.Uint16(h[4:])
	if o.Checksum != packet.ChecksumPartial || o.Size == 0 {
		return false
	}
	l4, l4Len := int(o.CsumStart), 8
	v6, isIP := version6(b)
	switch h[1] {
	case gsoTCP4, gsoTCP4 | gsoECN:
		o.GSO = packet.GSOTCP4
	case gsoTCP6, gsoTCP6 | gsoECN:
		o.GSO = packet.GSOTCP6
	case gsoUDPL4:
		o.GSO = packet.GSOUDP4
		if v6 {
			o.GSO = packet.GSOUDP6
		}
	default:
		return false
	}
	wants6 := o.GSO == packet.GSOTCP6 || o.GSO == packet.GSOUDP6
	if !isIP || wants6 != v6 {
		return false
	}
	o.ECN = h[1]&gsoECN != 0
	if h[1] != gsoUDPL4 {
		if l4+20 > len(b) {
			return false
		}
		l4Len = int(b[l4+12]>>4) * 4
	}
	if l4Len < 8 || l4+l4Len >= len(b) {
		return false // a superframe without payload
	}
	o.HeaderLen = uint16(l4 + l4Len)
	return true
}

// version6 tells whether the frame carries IPv6, behind at most two tags.
func version6(b []byte) (v6, isIP bool) {
	for at := 12; at+4 <= len(b) && at <= 20; at += 4 {
		switch binary.BigEndian.Uint16(b[at:]) {
		case packet.EtherTypeIPv4:
			return false, true
		case packet.EtherTypeIPv6:
			return true, true
		case packet.EtherTypeVLAN, packet.EtherTypeQinQ:
		default:
			return false, false
		}
	}
	return false, false
}

// Encode writes the header that says of o what the kernel needs to know.
func Encode(h []byte, o *packet.Offload) {
	_ = h[HeaderLen-1]
	clear(h[:HeaderLen])
	if o.Checksum == packet.ChecksumPartial {
		h[0] = needsCsum
		binary.LittleEndian.PutUint16(h[6:], o.CsumStart)
		binary.LittleEndian.PutUint16(h[8:], o.CsumOffset)
	}
	switch o.GSO {
	case packet.GSONone:
		return
	case packet.GSOTCP4:
		h[1] = gsoTCP4
	case packet.GSOTCP6:
		h[1] = gsoTCP6
	default:
		h[1] = gsoUDPL4
	}
	if o.ECN {
		h[1] |= gsoECN
	}
	binary.LittleEndian.PutUint16(h[2:], o.HeaderLen)
	binary.LittleEndian.PutUint16(h[4:], o.Size)
}
