package vswitch_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// wire is a workload's device as an attacker with root in his namespace has it:
// any bytes go out, and whatever comes in is seen, beside his own stack.
type wire struct {
	t     *testing.T
	fd    int
	index int
	// header is the bytes before a frame that say what work is left to do.
	header int
}

func openWire(t *testing.T, netns, device string) *wire {
	t.Helper()
	w := &wire{t: t}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
	inNetns(t, netns, func() (err error) {
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		var req *unix.Ifreq
		if req, err = unix.NewIfreq(device); err != nil {
			return err
		}
		if err = unix.IoctlIfreq(w.fd, unix.SIOCGIFINDEX, req); err != nil {
			return err
		}
		w.index = int(req.Uint32())
		// The kernel takes an outer tag off what comes in, and tells of it beside.
		if err = unix.SetsockoptInt(w.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: w.index})
	})
	t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

// send puts a frame on the wire.
func (w *wire) send(frame []byte) {
	w.t.Helper()
	for {
		err := unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index, Halen: 6})
		if err == nil {
			return
		}
		if err != unix.ENOBUFS { // the device's queue is full
			w.t.Fatalf("send %x: %v", frame, err)
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// drain returns what has come in, until nothing has for a while. Only frames that
// carry the word are told: a kernel talks by itself.
func (w *wire) drain(word string, quiet time.Duration) (frames [][]byte) {
	for {
		frame, timeout := w.receive(quiet)
		if timeout {
			return frames
		}
		if contains(frame, word) {
			frames = append(frames, frame)
		}
	}
}

// receive waits for a frame from the other end, and puts back the tag that the
// kernel took off; nil is one that this end sent.
func (w *wire) receive(within time.Duration) (frame []byte, timeout bool) {
	_, frame, timeout = w.receiveWhole(within)
	return frame, timeout
}

// receiveWhole is receive with what the kernel says of the work that is left to
// do (struct virtio_net_hdr), where that was asked for.
func (w *wire) receiveWhole(within time.Duration) (left, frame []byte, timeout bool) {
	fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, int(within.Milliseconds())); n == 0 || err != nil && err != unix.EINTR {
		return nil, nil, true
	}
	buf, oob := make([]byte, 1<<16+64), make([]byte, 64)
	n, oobn, _, from, err := unix.Recvmsg(w.fd, buf, oob, unix.MSG_DONTWAIT)
	link, is := from.(*unix.SockaddrLinklayer)
	if err != nil || !is || link.Pkttype == unix.PACKET_OUTGOING || n < w.header+14 {
		return nil, nil, false
	}
	left, frame = buf[:w.header], append([]byte(nil), buf[w.header:n]...)
	messages, _ := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		if m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20 && m.Data[0]&unix.TP_STATUS_VLAN_VALID != 0 {
			tag := binary.BigEndian.AppendUint16(nil, binary.NativeEndian.Uint16(m.Data[18:]))
			tag = binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(m.Data[16:]))
			frame = slices.Insert(frame, 12, tag...)
			shiftWork(left, len(tag))
		}
	}
	return left, frame, false
}

// shiftWork moves what is left to do by n bytes.
func shiftWork(left []byte, n int) {
	if len(left) == 0 {
		return
	}
	const needsChecksum, headerLen, start = 1, 2, 6
	if left[0]&needsChecksum != 0 {
		binary.NativeEndian.PutUint16(left[start:], binary.NativeEndian.Uint16(left[start:])+uint16(n))
	}
	if left[1] != 0 {
		binary.NativeEndian.PutUint16(left[headerLen:], binary.NativeEndian.Uint16(left[headerLen:])+uint16(n))
	}
}

// withWork has the wire take and give frames whose checksums and cutting are left
// to others, as the drivers do.
func (w *wire) withWork() *wire {
	w.t.Helper()
	if err := unix.SetsockoptInt(w.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		w.t.Fatal(err)
	}
	w.header = 10
	return w
}

// sendWhole is send for what receiveWhole has.
func (w *wire) sendWhole(left, frame []byte) {
	_ = unix.Sendto(w.fd, append(append([]byte(nil), left...), frame...), 0, &unix.SockaddrLinklayer{Ifindex: w.index, Halen: 6})
}

// tagDevice makes a device with an address, whose frames have the tags on
// the wire of another device of the namespace: what a VLAN device does, on a
// kernel that has none. Pairs of type and TCI. A packet socket takes no more than
// one tag of type 8100 beyond the MTU.
func tagDevice(t *testing.T, netns, device, name, mac, addr string, tags ...uint16) {
	t.Helper()
	in := "ip -n " + netns + " "
	sh(t, in+"link add "+name+" address "+mac+" type veth peer name "+name+"-w",
		"ip netns exec "+netns+" sysctl -qw net.ipv6.conf."+name+"-w.disable_ipv6=1",
		in+"link set "+name+"-w up promisc on", in+"addr add "+addr+" dev "+name, fmt.Sprintf("%slink set %s mtu %d up", in, name, 1500-8*(len(tags)/2-1)), in+"link set "+device+" promisc on")
	wire, inner := openWire(t, netns, device).withWork(), openWire(t, netns, name+"-w").withWork()
	var head []byte
	for _, n := range tags {
		head = binary.BigEndian.AppendUint16(head, n)
	}
	untilEnd(t, func() {
		if left, f, _ := inner.receiveWhole(50 * time.Millisecond); f != nil {
			shiftWork(left, len(head))
			wire.sendWhole(left, slices.Insert(f, 12, head...))
		}
	}, func() {})
	untilEnd(t, func() {
		left, f, _ := wire.receiveWhole(50 * time.Millisecond)
		if len(f) > 14+len(head) && bytes.Equal(f[12:12+len(head)], head) && binary.BigEndian.Uint16(f[12+len(head):]) != packet.EtherTypeVLAN {
			shiftWork(left, -len(head))
			inner.sendWhole(left, slices.Delete(f, 12, 12+len(head)))
		}
	}, func() {})
}

func contains(b []byte, word string) bool {
	for i := 0; i+len(word) <= len(b); i++ {
		if string(b[i:i+len(word)]) == word {
			return true
		}
	}
	return false
}

// built makes a frame, and then puts tags before its type: pairs of type and TCI.
func frameOf(t *testing.T, s packet.Spec, tags ...uint16) []byte {
	t.Helper()
	b, err := packet.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	out := append([]byte(nil), b[:12]...)
	for _, n := range tags {
		out = append(out, byte(n>>8), byte(n))
	}
	return append(out, b[12:]...)
}

// dropsOf returns what was dropped of a port's frames, by reason.
func dropsOf(t *testing.T, socket, port string) map[string]uint64 {
	t.Helper()
	return portOf(t, socket, port).Drops
}

func portOf(t *testing.T, socket, name string) api.Port {
	t.Helper()
	var ports []api.Port
	if err := control.NewClient(socket).Get(context.Background(), "/v1/ports", &ports); err != nil {
		t.Fatal(err)
	}
	for _, p := range ports {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("there is no port %s", name)
	return api.Port{}
}

// waitIn waits until a port has brought in so many frames.
func waitIn(t *testing.T, socket, port string, n uint64) {
	t.Helper()
	for range 500 {
		if portOf(t, socket, port).In >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("port %s has %d frames in, not %d", port, portOf(t, socket, port).In, n)
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }
