package walk

import (
	"fmt"

	"bulkhead/dataplane/packet"
)

// What a load's frames are long in memory: on the wire each has 4 bytes more.
// The simple IMIX is 64, 570 and 1518 B as 7:4:1.
var (
	short = []int{60}
	imix  = []int{60, 566, 60, 60, 566, 60, 1514, 60, 566, 60, 60, 566}
)

// load is frames that lie ready: as many as make the mix come out even in
// batches.
type load struct {
	bufs [][]byte
	at   int
}

// Load has the following batches carry frames of 64 B, or IMIX.
func (r *Rig) Load(mixed bool) {
	if r.load = r.short; mixed {
		r.load = r.mixed
	}
}

// newLoad is data of an established session.
func newLoad(sizes []int) (*load, error) {
	return newLoadOf(sizes, packet.Spec{TCPFlags: packet.TCPAckFlag, Seq: 1000, Ack: 2000})
}

// newLoadOf is TCP from A to B, with flags and numbers as data has them.
func newLoadOf(sizes []int, data packet.Spec) (*load, error) {
	data.SrcMAC, data.DstMAC, data.Src, data.Dst, data.Proto = macA, macB, ipA, ipB, packet.ProtoTCP
	l := new(load)
	for i := range packet.BatchSize * len(sizes) {
		data.Payload = make([]byte, sizes[i%len(sizes)]-headers)
		b, err := packet.Build(data)
		if err != nil {
			return nil, fmt.Errorf("a frame of the load: %w", err)
		}
		l.bufs = append(l.bufs, append(make([]byte, packet.Headroom), b...))
	}
	return l, nil
}

// Where the ports of a session stand, and how long its headers are: Ethernet,
// IPv4 and TCP without options.
const (
	portsAt = packet.Headroom + 14 + 20
	headers = 14 + 20 + 20
)

// next makes f the next frame of the load, as one of a session.
func (l *load) next(f *packet.Frame, k flow) {
	buf := l.bufs[l.at]
	if l.at++; l.at == len(l.bufs) {
		l.at = 0
	}
	buf[portsAt], buf[portsAt+1] = byte(k.sport>>8), byte(k.sport)
	buf[portsAt+2], buf[portsAt+3] = byte(k.dport>>8), byte(k.dport)
	f.Begin(buf, packet.Headroom, uint32(len(buf)), 0)
	f.Offload.Checksum = packet.ChecksumGood
}
