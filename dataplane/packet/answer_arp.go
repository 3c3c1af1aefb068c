package packet

import "encoding/binary"

// AnswerARP turns a parsed request of KindARP into the reply that says that
// mac holds the address asked for, addressed to who asked (RFC 826). Padding
// goes. It returns false if the frame holds no whole request any more.
func AnswerARP(f *Frame, mac MAC) bool {
	h := &f.Headers
	if h.Kind != KindARP || !f.holdsPacket() {
		return false
	}
	f.End = f.Start + h.PacketEnd
	p := f.Bytes()[h.L3:]
	if binary.BigEndian.Uint16(p[6:]) != ARPRequest {
		return false
	}
	target := [4]byte(p[24:28])
	binary.BigEndian.PutUint16(p[6:], ARPReply)
	copy(p[18:28], p[8:18]) // who asked is whom it is for
	copy(p[8:14], mac[:])
	copy(p[14:18], target[:])
	SetMACs(f, h.Src, mac)
	return true
}

// holdsPacket tells whether a parsed frame still holds the whole packet: a
// copy to answer with may have been cut short.
func (f *Frame) holdsPacket() bool { return uint32(f.Len()) >= f.Headers.PacketEnd }
