package packet

import "encoding/binary"

// vlanLen is the length of a tag (IEEE 802.1Q 9.3): its type, 8100 or 88a8,
// and the TCI: 3 bits priority, 1 bit drop eligible, 12 bits VLAN identifier.
const vlanLen = 4

// VID returns the VLAN identifier of a TCI.
func VID(tci uint16) uint16 { return tci & 0x0fff }

// PushVLAN puts a tag, of type EtherTypeVLAN or EtherTypeQinQ, before those of
// a parsed frame. It returns false, and changes nothing, if the frame has two
// already or no headroom.
func PushVLAN(f *Frame, etherType, tci uint16) bool {
	h := &f.Headers
	if h.VLANs == 2 || !f.Push(vlanLen) {
		return false
	}
	b := f.Bytes()
	copy(b[0:12], b[vlanLen:vlanLen+12])
	binary.BigEndian.PutUint16(b[12:], etherType)
	binary.BigEndian.PutUint16(b[14:], tci)
	h.VLAN[1] = h.VLAN[0]
	h.VLAN[0] = tci
	h.VLANs++
	h.shift(vlanLen)
	return true
}

// PopVLAN takes the outermost tag off a parsed frame and returns its TCI;
// found is false if there is none.
func PopVLAN(f *Frame) (tci uint16, found bool) {
	h := &f.Headers
	if h.VLANs == 0 {
		return 0, false
	}
	b := f.Bytes()
	copy(b[vlanLen:vlanLen+12], b[0:12])
	if !f.Pull(vlanLen) {
		return 0, false // a parsed frame has more than a tag
	}
	tci = h.VLAN[0]
	h.VLAN[0], h.VLAN[1] = h.VLAN[1], 0
	h.VLANs--
	h.shift(-vlanLen)
	return tci, true
}

// shift moves every offset by n bytes, the bytes that were put before the
// headers. Those of headers that the frame does not have stay zero.
func (h *Headers) shift(n int) {
	h.L3 = uint16(int(h.L3) + n)
	h.PacketEnd = uint32(int(h.PacketEnd) + n)
	if h.Kind == KindARP {
		return
	}
	h.L4 = uint16(int(h.L4) + n)
	h.Payload = uint16(int(h.Payload) + n)
	if h.ICMPError {
		h.InnerL4 = uint16(int(h.InnerL4) + n)
	}
}
