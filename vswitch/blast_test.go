package vswitch_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/internal/sys"
)

// blastPort is the UDP port that marks a blaster's packets.
const blastPort = 7777

// blaster sends marked UDP packets from a namespace to an address, thousands a
// second, until the test ends. That there is no way there, or no device, does
// not stop it: it is there before the switch, and when the switch is not.
type blaster struct{ sent atomic.Uint64 }

func blast(t *testing.T, netns, to string) *blaster {
	t.Helper()
	b := &blaster{}
	var fd int
	inNetns(t, netns, func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	dst := &unix.SockaddrInet4{Port: blastPort, Addr: netip.MustParseAddr(to).As4()}
	untilEnd(t, func() {
		if unix.Sendto(fd, []byte("beside the switch?"), 0, dst) == nil {
			b.sent.Add(1)
		}
		time.Sleep(200 * time.Microsecond)
	}, func() { unix.Close(fd) })
	return b
}

// counter counts the marked packets that come in by any device of a namespace,
// also by one that is made later: what the victim's own stack would see, and
// no account of the switch's.
type counter struct{ seen atomic.Uint64 }

func count(t *testing.T, netns string) *counter {
	t.Helper()
	c := &counter{}
	var fd int
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
	inNetns(t, netns, func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all)
		if err == nil {
			err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
		}
		return err
	})
	buf := make([]byte, 2048)
	untilEnd(t, func() {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if link, is := from.(*unix.SockaddrLinklayer); err == nil && is && link.Pkttype != unix.PACKET_OUTGOING && marked(buf[:n]) {
			c.seen.Add(1)
		}
	}, func() { unix.Close(fd) })
	return c
}

// marked tells whether an IPv4 packet is a blaster's.
func marked(b []byte) bool {
	return len(b) >= 28 && b[0] == 0x45 && b[9] == unix.IPPROTO_UDP && int(b[22])<<8|int(b[23]) == blastPort
}

// untilEnd repeats step on a goroutine until the test ends, then calls last.
func untilEnd(t *testing.T, step, last func()) {
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			step()
		}
	}()
	t.Cleanup(func() {
		stop.Store(true)
		<-done
		last()
	})
}

// inNetns runs f in a namespace; what it opens belongs there.
func inNetns(t *testing.T, name string, f func() error) {
	t.Helper()
	ns, err := sys.OpenNetns(name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

// macIn returns the MAC of a device in a namespace.
func macIn(t *testing.T, netns, device string) net.HardwareAddr {
	t.Helper()
	var mac net.HardwareAddr
	inNetns(t, netns, func() error {
		dev, err := net.InterfaceByName(device)
		if err == nil {
			mac = dev.HardwareAddr
		}
		return err
	})
	return mac
}

// rises waits until a count is above what it was, and tells whether it came to
// that.
func rises(n *atomic.Uint64) bool {
	for before, i := n.Load(), 0; i < 100; i++ {
		if n.Load() > before+10 {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// pinned tells whether an AF_XDP port's link is pinned in bpffs: under the
// device's name, or its number and its namespace's.
func pinned(t *testing.T, netns, device string) bool {
	t.Helper()
	var index int
	var ns unix.Stat_t
	inNetns(t, netns, func() error {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		index = dev.Index
		return unix.Stat("/proc/thread-self/ns/net", &ns)
	})
	for _, name := range []string{device, fmt.Sprintf("%d-%d", ns.Ino, index)} {
		if _, err := os.Stat("/sys/fs/bpf/bulkhead/" + name); err == nil {
			return true
		}
	}
	return false
}
