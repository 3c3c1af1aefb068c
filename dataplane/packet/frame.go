package packet

import "bulkhead/dataplane/drop"

// PortID numbers a switch port. It indexes Snapshot.Ports and every per-port
// counter; a number is not used again while a session may still name it.
type PortID uint16

// NoPort is the PortID of nothing: no way out has been chosen.
const NoPort PortID = 0xffff

// MaxPorts bounds the ports of one switch.
const MaxPorts = 4096

// Headroom is the room, in bytes, that every driver leaves before the
// Ethernet header: 70 for an IPv6 VXLAN tunnel, 48 for an ICMPv6 error around
// the packet, rounded up to two cache lines.
const Headroom = 128

// MaxFrame bounds a frame, in bytes: a superframe of 64 KiB of IP, its
// Ethernet header and two tags.
const MaxFrame = 65535 + 14 + 8

// Frame is one Ethernet frame on its way through the switch: where its bytes
// are, what its port said of it, what Parse found and how it ended.
//
// A frame belongs to the worker that received it until the end of the batch;
// nothing may keep Buf, or a slice of it, for longer.
type Frame struct {
	// Buf is the memory the frame lies in, headroom and tailroom included.
	// The frame's bytes are Buf[Start:End].
	Buf        []byte
	Start, End uint32

	// Chunk names the memory when it belongs to the shared frame region: the
	// chunk's number plus one; zero when the memory is the driver's own. A
	// driver that keeps a chunk beyond Send (an AF_XDP transmit ring does)
	// sets it to zero: who finds a chunk here at the end of a batch gives it
	// back to the pool.
	Chunk uint32

	// Ingress is the port the frame came in by.
	Ingress PortID

	// Offload is what the sender left for others to do. Offsets count from
	// Start, so Push and Pull adjust them.
	Offload Offload

	// MaybePartial says that the sender may have left a checksum to others and
	// the port could not say so: on a veth, AF_XDP brings frames without that
	// word. Parse then looks at the field, of the tunnel's packet and, when that
	// has been taken off, of the one inside.
	MaybePartial bool

	// Headers is valid after Parse returned drop.None.
	Headers Headers

	// The outcome, written once, by Run. Exactly one of the three holds:
	// Reason is not None; Egress is a port; Consumed is true.
	Reason   drop.Reason
	Egress   PortID
	Consumed bool // taken in by the switch itself, e.g. an ARP answer to it

	// Rule is the rule that decided, plus one; zero when none did.
	Rule uint32
	// Outer is the length in bytes of the tunnel headers before the inner
	// Ethernet header, when Encap has pushed them; a driver that segments the
	// frame repeats them before each segment.
	Outer uint16
	// Copy says that the frame is a copy made by flooding, so that the
	// accounts can tell it from one received.
	Copy bool
}

// Checksum is what is known of a frame's transport checksum. Four states, not
// a flag: a partial one must be finished by whoever sends the frame where
// nobody else will, and an edit of an address must update it too.
type Checksum uint8

const (
	// ChecksumUnknown: nobody looked.
	ChecksumUnknown Checksum = iota
	// ChecksumGood: verified, or vouched for by the sender.
	ChecksumGood
	// ChecksumBad: verified and wrong. Never repaired.
	ChecksumBad
	// ChecksumPartial: the field holds the folded pseudo-header sum, and the
	// sum over [Start+Offload.CsumStart, End) is still to be added.
	ChecksumPartial
)

// GSO says into what a superframe is to be cut where its way out cannot take
// it whole.
type GSO uint8

const (
	// GSONone: the frame is not a superframe.
	GSONone GSO = iota
	// GSOTCP4 is TCP over IPv4, cut into segments of Size payload bytes.
	GSOTCP4
	// GSOTCP6 is TCP over IPv6.
	GSOTCP6
	// GSOUDP4 is UDP over IPv4, cut into datagrams of Size payload bytes.
	GSOUDP4
	// GSOUDP6 is UDP over IPv6.
	GSOUDP6
)

// Offload is the work a sender left to others.
type Offload struct {
	Checksum   Checksum
	GSO        GSO
	ECN        bool   // the TCP superframe carries CWR in its first segment only
	CsumStart  uint16 // where summing begins, from Frame.Start; valid if partial
	CsumOffset uint16 // where the field is, from CsumStart; valid if partial
	Size       uint16 // payload bytes a segment; valid if GSO is not GSONone
	HeaderLen  uint16 // bytes repeated before each segment, from Frame.Start; 0 = unknown
}

// Bytes returns the frame from its Ethernet header to its end. The capacity
// is clipped, so an append cannot reach the tailroom.
func (f *Frame) Bytes() []byte { return f.Buf[f.Start:f.End:f.End] }

// Len returns the frame's length in bytes.
func (f *Frame) Len() int { return int(f.End - f.Start) }

// Push makes room for n bytes before the frame, which then begins there. It
// returns false, and changes nothing, if the headroom is too small.
func (f *Frame) Push(n uint32) bool {
	if f.Start < n {
		return false
	}
	f.Start -= n
	f.Offload.CsumStart += uint16(n)
	f.Offload.HeaderLen += uint16(n)
	return true
}

// Pull takes n bytes off the front. It returns false, and changes nothing, if
// the frame is shorter than that, or if work left by the sender begins there.
func (f *Frame) Pull(n uint32) bool {
	if f.End-f.Start < n || f.Offload.Checksum == ChecksumPartial && uint32(f.Offload.CsumStart) < n {
		return false
	}
	f.Start += n
	f.Offload.CsumStart -= min(f.Offload.CsumStart, uint16(n))
	f.Offload.HeaderLen -= min(f.Offload.HeaderLen, uint16(n))
	return true
}

// Drop ends the frame with a reason.
func (f *Frame) Drop(r drop.Reason) {
	f.Reason, f.Egress = r, NoPort
}

// Send ends the frame at a port.
func (f *Frame) Send(p PortID) {
	f.Egress = p
}

// Begin makes the frame new: the memory is buf, the bytes are buf[start:end],
// it came in by port, and everything else is forgotten. Every driver calls it
// for every frame it receives.
func (f *Frame) Begin(buf []byte, start, end uint32, port PortID) {
	f.Buf, f.Start, f.End = buf, start, end
	f.Chunk = 0
	f.Ingress = port
	f.Offload, f.MaybePartial = Offload{}, false
	f.Reason, f.Egress, f.Consumed = drop.None, NoPort, false
	f.Rule, f.Outer, f.Copy = 0, 0, false
}
