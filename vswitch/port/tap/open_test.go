package tap

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/port/vnet"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
)

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// devices returns the names of this namespace's devices and how many
// descriptors this process has: what a failed Open must leave as it was.
func devices(t *testing.T) (names string, fds int) {
	t.Helper()
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Name, "bh") {
			names += " " + l.Name
		}
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return names, len(list)
}

func TestConfigIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		c    Config
		says string
	}{
		"name too long":       {Config{Device: "eth0123456789abc"}, "16 bytes long, Linux takes at most 15"},
		"no name":             {Config{}, "give the port a device name"},
		"a pattern":           {Config{Device: "tap%d"}, "percent"},
		"a path":              {Config{Device: "a/b"}, "slash"},
		"MTU too small":       {Config{Device: "a", MTU: 67}, "must be 68 to"},
		"too small for IPv6":  {Config{Device: "a", MTU: 1000, Addrs: prefixes("fd00::1/64")}, "must be 1280 to"},
		"MTU too large":       {Config{Device: "a", MTU: 65522}, "to 65521"},
		"queues":              {Config{Device: "a", Queues: 65}, "65 queues"},
		"group MAC":           {Config{Device: "a", MAC: packet.MAC{1}}, "group address"},
		"no port":             {Config{Device: "a", Port: packet.NoPort}, "no port number"},
		"multicast address":   {Config{Device: "a", Addrs: prefixes("224.0.0.1/24")}, "unicast"},
		"two gateways":        {Config{Device: "a", Addrs: prefixes("10.0.0.2/24"), Gateways: addrs("10.0.0.1", "10.0.0.3")}, "one of this family already"},
		"gateway without":     {Config{Device: "a", Addrs: prefixes("10.0.0.2/24"), Gateways: addrs("fd00::1")}, "no address of this family"},
		"route of two worlds": {Config{Device: "a", Routes: []Route{{To: prefixes("10.0.0.0/8")[0], Via: addrs("fd00::1")[0]}}}, "of one family"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Open(tt.c)
			if err == nil {
				p.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
		})
	}
	_, err := Open(Config{Device: "a/b", MTU: 1, Queues: -1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three mistakes: %v", err)
	}
}

func TestOpenUndoesWhatItDid(t *testing.T) {
	ns := newNetns(t)
	mustIn(t, ns, "ip", "link", "add", "taken", "type", "veth", "peer", "name", "other")
	for name, tt := range map[string]struct {
		c    Config
		says string
	}{
		"namespace missing": {Config{Netns: "bh-no-such"}, "ip netns add"},
		"name taken":        {Config{Netns: ns, Device: "taken"}, "choose another device name"},
		"broadcast address": {Config{Netns: ns, MAC: packet.MAC{0, 0, 0, 0, 0, 0}, Addrs: prefixes("10.0.0.1/24", "10.0.0.1/24")}, "give eth0 the address"},
	} {
		t.Run(name, func(t *testing.T) {
			names, fds := devices(t)
			p, err := Open(tt.c)
			if err == nil {
				p.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
			if gotNames, gotFDs := devices(t); gotNames != names || gotFDs != fds {
				t.Errorf("devices%s, %d descriptors before;%s, %d after", names, fds, gotNames, gotFDs)
			}
			within(t, ns, func() error {
				if links, _ := net.Interfaces(); len(links) != 3 {
					t.Errorf("the namespace has %v", links)
				}
				return nil
			})
		})
	}
}

func TestDeviceIsDressed(t *testing.T) {
	ns := newNetns(t)
	mac := packet.MAC{2, 0, 0, 0, 0, 7}
	p := mustOpen(t, Config{Name: "web", Netns: ns, Device: "net1", MAC: mac, MTU: 1400, Queues: 2,
		Addrs:    prefixes("10.1.0.2/32", "fd01::2/128"),
		Gateways: addrs("10.1.0.1", "fd01::1"),
		Routes:   []Route{{To: prefixes("172.16.0.0/12")[0], Via: addrs("10.1.0.9")[0]}}})
	i := p.Info()
	if i.MAC != mac || i.MTU != 1400 || i.Device != "net1" || i.Netns != ns || len(p.Queues()) != 2 || !i.Caps.TSO || i.Caps.MaxFrame != 1414 {
		t.Errorf("info %+v", i)
	}
	if out := mustIn(t, ns, "ip", "link", "show", "net1"); strings.Contains(out, ",UP") || !strings.Contains(out, "mtu 1400") || !strings.Contains(out, "02:00:00:00:00:07") {
		t.Errorf("before Up:\n%s", out)
	}
	if err := p.Up(); err != nil {
		t.Fatal(err)
	}
	show := mustIn(t, ns, "ip", "addr", "show", "net1")
	for _, want := range []string{",UP", "10.1.0.2/32", "fd01::2/128"} {
		if !strings.Contains(show, want) {
			t.Errorf("no %q in:\n%s", want, show)
		}
	}
	if strings.Contains(mustIn(t, ns, "ip", "addr", "show", "dev", "net1", "tentative"), "fd01::2") {
		t.Error("the address waits for duplicate address detection")
	}
	routes := mustIn(t, ns, "ip", "route") + mustIn(t, ns, "ip", "-6", "route")
	for _, want := range []string{"default via 10.1.0.1", "default via fd01::1", "172.16.0.0/12 via 10.1.0.9"} {
		if !strings.Contains(routes, want) {
			t.Errorf("no %q in:\n%s", want, routes)
		}
	}
}

// TestTheKernelKeepsNoQueuesForNothing: a device of one queue has one, and before
// none of them are frames kept, also after the link was down and up again. The
// workload may have it otherwise.
func TestTheKernelKeepsNoQueuesForNothing(t *testing.T) {
	for queues, want := range map[int]string{1: "numtxqueues 1 ", 2: "numtxqueues 256 "} {
		ns := newNetns(t)
		p := mustOpen(t, Config{Name: "web", Netns: ns, Device: "net1", Queues: queues})
		for range 2 {
			if err := p.Up(); err != nil {
				t.Fatal(err)
			}
			if out := mustIn(t, ns, "tc", "qdisc", "show", "dev", "net1"); !strings.HasPrefix(out, "qdisc noqueue") || strings.Count(out, "\n") != 1 {
				t.Errorf("%d queues: %s", queues, out)
			}
			mustIn(t, ns, "ip", "link", "set", "net1", "down")
		}
		if out := mustIn(t, ns, "ip", "-d", "link", "show", "net1"); !strings.Contains(out, want) {
			t.Errorf("%d queues: no %q in %s", queues, want, out)
		}
		mustIn(t, ns, "tc", "qdisc", "replace", "dev", "net1", "root", "pfifo", "limit", "7")
		if err := p.Up(); err != nil {
			t.Fatal(err)
		}
		if out := mustIn(t, ns, "tc", "qdisc", "show", "dev", "net1"); !strings.Contains(out, "limit 7p") {
			t.Errorf("the workload's own is gone: %s", out)
		}
	}
}

func TestDeviceWithoutNamespaceIsSilent(t *testing.T) {
	root(t)
	name := fmt.Sprintf("bht%d", os.Getpid())
	p := mustOpen(t, Config{Name: name})
	if err := p.Up(); err != nil {
		t.Fatal(err)
	}
	if off, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6"); err != nil || string(off) != "1\n" {
		t.Errorf("disable_ipv6 is %q, %v", off, err)
	}
	if ready, err := sys.Poll(300*time.Millisecond, p.Queues()[0].FD()); ready || err != nil {
		var b packet.Batch
		p.Queues()[0].Recv(&b)
		t.Errorf("the host speaks: %d frames, first %x", b.Len(), b.Frame(0).Bytes())
	}
}

func TestUpFailsWithLinkDown(t *testing.T) {
	ns := newNetns(t)
	p := mustOpen(t, Config{Name: "web", Netns: ns, Addrs: prefixes("10.1.0.2/24"),
		Routes: []Route{{To: prefixes("10.9.0.0/16")[0], Via: addrs("255.255.255.255")[0]}}})
	if err := p.Up(); err == nil || !strings.Contains(err.Error(), "route 10.9.0.0/16") {
		t.Fatalf("a route through nobody: %v", err)
	}
	if s := p.Status(); s.Up {
		t.Error("the link is up all the same")
	}
}

// TestKill9 runs itself as a process that opens a port and is killed: the
// device and all on it are gone.
func TestKill9(t *testing.T) {
	const ask = "BULKHEAD_TAP_KILL9"
	if ns := os.Getenv(ask); ns != "" {
		p, err := Open(Config{Name: "web", Netns: ns, Addrs: prefixes("10.1.0.2/24")})
		if err == nil {
			err = p.Up()
		}
		fmt.Println("opened", err)
		time.Sleep(time.Minute)
		return
	}
	ns := newNetns(t)
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill9$")
		cmd.Env = append(os.Environ(), ask+"="+ns)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		if line != "opened <nil>\n" {
			t.Errorf("the process says %q", line)
		}
		mustIn(t, ns, "ip", "link", "show", "eth0")
		cmd.Process.Kill()
		cmd.Wait()
		if show, err := in(t, ns, "ip", "link", "show", "eth0"); err == nil {
			t.Errorf("after kill -9:\n%s", show)
		}
	}
}

func TestSendAndRecvDoNotAllocate(t *testing.T) {
	rig := workload(t, Config{})
	if err := rig.Port.Up(); err != nil {
		t.Fatal(err)
	}
	q := rig.Port.Queues()[0]
	var b packet.Batch
	f := new(packet.Frame)
	buf := make([]byte, packet.Headroom+60)
	list := []*packet.Frame{f}
	short := new(packet.Frame) // no headroom: the writev
	bare := make([]byte, 60)
	if n := testing.AllocsPerRun(200, func() {
		f.Begin(buf, packet.Headroom, uint32(len(buf)), 1)
		list[0] = f
		q.Send(list)
		short.Begin(bare, 0, 60, 1)
		list[0] = short
		q.Send(list)
		b.Reset()
		if err := q.Recv(&b); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if s := rig.Port.Stats(); s.TxFrames == 0 || s.Drops != [drop.Count]uint64{} || f.Reason != drop.None || short.Reason != drop.None {
		t.Errorf("stats %+v", s)
	}
}

func TestErrorsOfTheKernel(t *testing.T) {
	for errno, want := range map[unix.Errno]drop.Reason{
		0: drop.None, unix.EAGAIN: drop.TxFull, unix.ENOBUFS: drop.TxFull, unix.ENOMEM: drop.TxFull, unix.EIO: drop.PortDown,
		unix.EBADFD: drop.PortDown, unix.EINVAL: drop.TxError, unix.EMSGSIZE: drop.TxOversize,
	} {
		q := &queue{name: "web"}
		if got := q.writeFailed(errno); got != want {
			t.Errorf("%v: %v, want %v", errno, got, want)
		}
	}
	q := &queue{name: "web"}
	if err := q.readFailed(unix.EIO); err == nil || errors.Is(err, unix.EBADFD) || q.gone.Load() {
		t.Errorf("EIO on receive: %v", err)
	}
}

// BenchmarkReadNothing is what a system call costs: the read that finds
// nothing, by RawSyscall as the queue does it and by package unix.
func BenchmarkReadNothing(b *testing.B) {
	rig := workload(b, Config{})
	if err := rig.Port.Up(); err != nil {
		b.Fatal(err)
	}
	fd := rig.Port.Queues()[0].FD()
	buf := make([]byte, vnet.ReadMax)
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			read(fd, buf)
		}
	})
	b.Run("unix", func(b *testing.B) {
		for b.Loop() {
			unix.Read(fd, buf)
		}
	})
}

// BenchmarkSend is a frame of 60 bytes into a namespace that drops it: the
// write, the kernel's receive path, and the queue's own share.
func BenchmarkSend(b *testing.B) {
	rig := workload(b, Config{})
	if err := rig.Port.Up(); err != nil {
		b.Fatal(err)
	}
	rig.End.(interface{ Close() }).Close()
	q := rig.Port.Queues()[0]
	buf := make([]byte, packet.Headroom+60)
	copy(buf[packet.Headroom:], []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	f := new(packet.Frame)
	list := []*packet.Frame{f}
	b.ReportAllocs()
	for b.Loop() {
		f.Begin(buf, packet.Headroom, uint32(len(buf)), 1)
		q.Send(list)
	}
}

// BenchmarkEmptyCall is a system call that does nothing: what calls for many
// frames at once could save of BenchmarkSend at the most.
func BenchmarkEmptyCall(b *testing.B) {
	for b.Loop() {
		_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
}
