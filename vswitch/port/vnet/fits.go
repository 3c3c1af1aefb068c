package vnet

import (
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Fits says why a device could not take a frame of this length and kind, of at
// most limit bytes with its Ethernet header and without its tags. uso says that
// the device takes superframes of UDP.
func Fits(f *packet.Frame, limit int, uso bool) drop.Reason {
	n := f.Len()
	if n < EthernetLen {
		return drop.TxError
	}
	if o := &f.Offload; o.GSO != packet.GSONone {
		if f.Outer != 0 || o.Size == 0 || !uso && (o.GSO == packet.GSOUDP4 || o.GSO == packet.GSOUDP6) {
			return drop.TxError // to be cut before, see port.Caps
		}
		n = min(n, int(o.HeaderLen)+int(o.Size))
	}
	if n > limit && n > limit+tags(f.Bytes()) {
		return drop.TxOversize
	}
	return drop.None
}

// tags returns the bytes that VLAN tags take, which an MTU does not count.
func tags(b []byte) (n int) {
	for n < 8 && len(b) >= EthernetLen+n {
		tpid := uint16(b[12+n])<<8 | uint16(b[13+n])
		if tpid != packet.EtherTypeVLAN && tpid != packet.EtherTypeQinQ {
			break
		}
		n += 4
	}
	return n
}

// Failed says what an error of a write means for the frame. Nothing is tried
// again: the sender's TCP does that, and knows better when.
func Failed(errno unix.Errno) drop.Reason {
	switch errno {
	case 0:
		return drop.None
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		return drop.TxFull
	case unix.EIO, unix.ENETDOWN, unix.ENXIO, unix.EBADFD, unix.ENODEV, unix.EBADF:
		return drop.PortDown
	case unix.EMSGSIZE:
		return drop.TxOversize
	}
	return drop.TxError
}
