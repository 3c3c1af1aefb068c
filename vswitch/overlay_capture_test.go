package vswitch_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// capture listens on a device, beside the switch and its accounts, from now on.
// What it returns counts the frames that came in until then and are of a kind.
func (s *site) capture(t *testing.T, netns, device string) (heard func(func(*packet.Frame) bool) int) {
	t.Helper()
	fd := -1
	within(t, netns, func() (err error) {
		fd, err = tapInto(device)
		return err
	})
	t.Cleanup(func() { unix.Close(fd) })
	return func(is func(*packet.Frame) bool) (n int) {
		time.Sleep(100 * time.Millisecond) // what is on its way
		b := make([]byte, packet.Headroom+packet.MaxFrame)
		for {
			m, from, err := unix.Recvfrom(fd, b[packet.Headroom:], unix.MSG_DONTWAIT)
			if err != nil {
				return n
			}
			if link, ok := from.(*unix.SockaddrLinklayer); !ok || link.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			f := packet.NewFrame(b[packet.Headroom:packet.Headroom+m], 1)
			if packet.Parse(f) == drop.None && is(f) {
				n++
			}
		}
	}
}

// tapInto opens a socket that gets a copy of every frame of a device.
func tapInto(device string) (int, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00 // in the network's order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// isEchoRequest tells of a ping.
func isEchoRequest(f *packet.Frame) bool {
	h := &f.Headers
	return h.Kind == packet.KindIP && (h.Key.Proto == packet.ProtoICMP && h.ICMPType == packet.ICMPEchoRequest ||
		h.Key.Proto == packet.ProtoICMPv6 && h.ICMPType == packet.ICMPv6EchoRequest)
}

// isInjected tells of what the attacks send: a SYN from port 40000.
func isInjected(f *packet.Frame) bool {
	h := &f.Headers
	return h.Kind == packet.KindIP && h.Key.SrcPort == 40000 && h.Key.DstPort == 5100
}
