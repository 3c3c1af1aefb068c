package erspan

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// world runs f on a thread in a namespace of its own, with addresses on its loopback.
func world(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: namespaces")
	}
	name := fmt.Sprintf("erspan%d", os.Getpid())
	for _, line := range []string{"netns add " + name, "-n " + name + " link set lo mtu 1500 up", "-n " + name + " addr add fd00::2/128 dev lo nodad"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	ns, err := sys.OpenNetns(name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(func() error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// listen opens a raw socket that hears GRE.
func listen(t *testing.T, domain int) int {
	t.Helper()
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_GRE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// Frames arrive byte for byte behind the IP header, longer than an MTU, too; nothing
// comes in; a way that is not there, and a closed port, lose frames and count them.
func TestSendsGRE(t *testing.T) {
	world(t, func() {
		for _, c := range []struct {
			remote string
			domain int
			header int
		}{{"127.0.0.2", unix.AF_INET, 20}, {"fd00::2", unix.AF_INET6, 0}} {
			p, err := Open(Config{Name: "c", Remote: netip.MustParseAddr(c.remote), Port: 3})
			if err != nil {
				t.Fatal(err)
			}
			fd := listen(t, c.domain)
			small, large := []byte("\x10\x00\x88\xbe\x00\x00\x00\x01small"), append([]byte("\x10\x00\x88\xbe\x00\x00\x00\x02"), bytes.Repeat([]byte("large"), 800)...)
			frames := []*packet.Frame{packet.NewFrame(small, 1), packet.NewFrame(large, 1)}
			p.Send(frames)
			for i, want := range [][]byte{small, large} {
				buf := make([]byte, 8192)
				n, err := unix.Read(fd, buf)
				if err != nil || frames[i].Reason != drop.None {
					t.Fatalf("%s: %v, %s", c.remote, err, frames[i].Reason)
				}
				if got := buf[c.header:n]; !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes came, want %d", c.remote, len(got), len(want))
				}
			}
			if s := p.Stats(); s.TxFrames != 2 || s.TxBytes != uint64(len(small)+len(large)) {
				t.Errorf("%s: counted %+v", c.remote, s)
			}
			// The kernel has had GRE for our own socket, too: none of it is kept.
			poll := []unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}
			if n, err := unix.Poll(poll, int(100*time.Millisecond/time.Millisecond)); n != 0 || err != nil {
				t.Errorf("%s: the port hears something: %v %v", c.remote, poll, err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			f := packet.NewFrame(small, 1)
			if p.Send([]*packet.Frame{f}); f.Reason != drop.PortDown {
				t.Errorf("closed, it says %s", f.Reason)
			}
		}
		p, err := Open(Config{Name: "c", Remote: netip.MustParseAddr("192.0.2.1"), Port: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		f := packet.NewFrame([]byte("12345678"), 1)
		if p.Send([]*packet.Frame{f}); f.Reason != drop.PortDown || p.Stats().Drops[drop.PortDown] != 1 {
			t.Errorf("without a route it says %s, and counts %d", f.Reason, p.Stats().Drops[drop.PortDown])
		}
	})
}

// A port that is handed over wrongly is refused, and its descriptors are closed.
func TestTakeRefuses(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(Config{Name: "c", Remote: netip.MustParseAddr("192.0.2.1"), Port: 3}, port.Handed{FDs: pipe[:]}); err == nil {
		t.Error("two descriptors make a port")
	}
	if err := unix.Close(pipe[0]); err != unix.EBADF {
		t.Errorf("a descriptor is left open: %v", err)
	}
	for _, c := range []Config{{Name: "c", Port: 3}, {Name: "c", Remote: netip.MustParseAddr("224.0.0.1"), Port: 3}, {Name: "c", Remote: netip.MustParseAddr("192.0.2.1"), Port: packet.NoPort}} {
		if _, err := Open(c); err == nil {
			t.Errorf("%+v opens", c)
		}
	}
}
