package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// Ethernet II (IEEE 802.3 clause 3) with up to two tags (IEEE 802.1Q clause 9):
//
//	+--------+--------+ [8100|88a8 TCI] [8100|88a8 TCI] +-----------+
//	| dst  6 | src  6 |                                 | EtherType |
//	+--------+--------+---------------------------------+-----------+
const (
	ethernetLen = 14
	// minEtherType separates EtherTypes from 802.3 lengths.
	minEtherType = 0x0600
)

// parseEthernet reads addresses, tags and EtherType. LLC framing is refused:
// whole families of filters have been passed by hiding a packet in it
// (CVE-2021-27853 and its kin).
func parseEthernet(b []byte, h *Headers) drop.Reason {
	if len(b) < ethernetLen {
		return drop.Runt
	}
	h.Dst, h.Src = MAC(b[0:6]), MAC(b[6:12])
	if h.Src.IsMulticast() || h.Src == (MAC{}) {
		return drop.BadMAC
	}
	if h.Dst[0] == 0x01 && h.Dst[1] == 0x80 && h.Dst[2] == 0xc2 && h.Dst[3] == 0 && h.Dst[4] == 0 && h.Dst[5] < 0x10 {
		return drop.LinkLocalMAC
	}
	at := 12
	h.EtherType = binary.BigEndian.Uint16(b[at:])
	for h.EtherType == EtherTypeVLAN || h.EtherType == EtherTypeQinQ {
		if h.VLANs == 2 {
			return drop.VLANDepth
		}
		if len(b) < at+2+vlanLen {
			return drop.Runt
		}
		h.VLAN[h.VLANs] = binary.BigEndian.Uint16(b[at+2:])
		h.VLANs++
		at += vlanLen
		h.EtherType = binary.BigEndian.Uint16(b[at:])
	}
	if h.EtherType < minEtherType {
		return drop.LLC
	}
	h.L3 = uint16(at + 2)
	return drop.None
}

// SetMACs writes both addresses of a parsed frame.
func SetMACs(f *Frame, dst, src MAC) {
	b := f.Bytes()
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	f.Headers.Dst, f.Headers.Src = dst, src
}
