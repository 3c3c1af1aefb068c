package porttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
)

// Socket is the End of a device in the kernel: an AF_PACKET socket on it, with
// struct virtio_net_hdr before each frame, so that offloads pass as they do
// between the kernel's own stack and the device.
type Socket struct {
	fd  int
	buf []byte
}

// Linux constants that package syscall lacks (include/uapi/linux/if_packet.h).
const (
	packetVnetHdr      = 15
	packetIgnoreOut    = 23
	solPacket          = 263
	vnetHdrLen         = 10
	socketBuffer       = 8 << 20
	soRcvbufForce      = 33
	ethPAll            = 3
	vnetNeedsCsum      = 1
	vnetDataValid      = 2
	vnetTCP4, vnetTCP6 = 1, 4
	vnetUDP            = 5
)

// OpenSocket opens the outside of a device that lives in a network namespace.
func OpenSocket(netns, device string) (*Socket, error) {
	ns, err := sys.OpenNetns(netns)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	s := &Socket{fd: -1, buf: make([]byte, vnetHdrLen+packet.MaxFrame)}
	if err := ns.Do(func() error { return s.open(device) }); err != nil {
		s.Close()
		return nil, fmt.Errorf("open packet socket on %s in %q: %w", device, netns, err)
	}
	return s, nil
}

func (s *Socket) open(device string) (err error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	s.fd, err = syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	for _, o := range []struct{ level, name, value int }{
		{solPacket, packetVnetHdr, 1},
		{solPacket, packetIgnoreOut, 1}, // not our own injections
		{syscall.SOL_SOCKET, soRcvbufForce, socketBuffer},
	} {
		if err := syscall.SetsockoptInt(s.fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("option %d: %w", o.name, err)
		}
	}
	all := uint16(ethPAll<<8 | ethPAll>>8) // network byte order
	return syscall.Bind(s.fd, &syscall.SockaddrLinklayer{Protocol: all, Ifindex: link.Index})
}

// Close frees the socket.
func (s *Socket) Close() {
	if s.fd >= 0 {
		syscall.Close(s.fd)
		s.fd = -1
	}
}

// Inject implements End: the device transmits the frame, and so the port
// receives it.
func (s *Socket) Inject(frame []byte, o packet.Offload) error {
	b := append(encodeVnet(o), frame...)
	for begin := time.Now(); ; {
		_, err := syscall.Write(s.fd, b)
		if !transient(err) || time.Since(begin) > patience {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// transient tells whether a write is worth another: the queue is full, or the
// link has been down since the last call (said once, even when it is up again).
func transient(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENETDOWN)
}

// Take implements End.
func (s *Socket) Take(timeout time.Duration) ([]byte, packet.Offload, bool) {
	for deadline := time.Now().Add(timeout); ; {
		n, err := syscall.Read(s.fd, s.buf)
		if err == nil && n >= vnetHdrLen {
			frame := append([]byte(nil), s.buf[vnetHdrLen:n]...)
			return frame, decodeVnet(s.buf[:vnetHdrLen], frame), true
		}
		if left := time.Until(deadline); left <= 0 {
			return nil, packet.Offload{}, false
		} else if _, err := sys.Poll(left, s.fd); err != nil {
			return nil, packet.Offload{}, false
		}
	}
}

// Native byte order, as the kernel has it where VIRTIO_F_VERSION_1 was not
// agreed on.
var native = binary.NativeEndian

func encodeVnet(o packet.Offload) []byte {
	h := make([]byte, vnetHdrLen)
	if o.Checksum == packet.ChecksumPartial {
		h[0] = vnetNeedsCsum
		native.PutUint16(h[6:], o.CsumStart)
		native.PutUint16(h[8:], o.CsumOffset)
	}
	kinds := map[packet.GSO]byte{packet.GSOTCP4: vnetTCP4, packet.GSOTCP6: vnetTCP6, packet.GSOUDP4: vnetUDP, packet.GSOUDP6: vnetUDP}
	h[1] = kinds[o.GSO]
	native.PutUint16(h[2:], o.HeaderLen)
	native.PutUint16(h[4:], o.Size)
	return h
}

func decodeVnet(h, frame []byte) (o packet.Offload) {
	switch {
	case h[0]&vnetNeedsCsum != 0:
		o.Checksum = packet.ChecksumPartial
		o.CsumStart, o.CsumOffset = native.Uint16(h[6:]), native.Uint16(h[8:])
	case h[0]&vnetDataValid != 0:
		o.Checksum = packet.ChecksumGood
	}
	v6 := binary.BigEndian.Uint16(frame[12:]) == packet.EtherTypeIPv6
	switch h[1] {
	case vnetTCP4:
		o.GSO = packet.GSOTCP4
	case vnetTCP6:
		o.GSO = packet.GSOTCP6
	case vnetUDP:
		o.GSO = packet.GSOUDP4
		if v6 {
			o.GSO = packet.GSOUDP6
		}
	}
	if h[1] != 0 {
		o.Size = native.Uint16(h[4:])
	}
	return o
}
