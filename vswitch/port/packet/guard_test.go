package packet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/netdev"
)

// passing is a program that lets every frame by, for a hook.
func passing(t *testing.T, kind ebpf.ProgramType, verdict int32) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: kind, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// intruders are what others may do to a device; each undoes it.
func intruders(t *testing.T, device string, index int) map[string]func() (undo func()) {
	tc := func(args string) {
		t.Helper()
		if out, err := exec.Command("tc", strings.Fields(fmt.Sprintf(args, device))...).CombinedOutput(); err != nil {
			t.Fatalf("tc %s: %v: %s", args, err, out)
		}
	}
	return map[string]func() func(){
		"filters taken away": func() func() { tc("qdisc del dev %s clsact"); return func() {} },
		"one filter of two":  func() func() { tc("filter del dev %s ingress pref 1"); return func() {} },
		"a filter that passes": func() func() {
			err := netlink.FilterAdd(&netlink.BpfFilter{
				FilterAttrs:  netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: 2, Protocol: unix.ETH_P_ALL},
				Fd:           passing(t, ebpf.SchedCLS, 0).FD(),
				Name:         "other",
				DirectAction: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
		"tcx program": func() func() {
			l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: passing(t, ebpf.SchedCLS, 0), Attach: ebpf.AttachTCXIngress})
			if errors.Is(err, ebpf.ErrNotSupported) {
				t.Skip("this kernel has no tcx")
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = l.Close() }
		},
		"XDP program": func() func() {
			l, err := link.AttachXDP(link.XDPOptions{Interface: index, Program: passing(t, ebpf.XDP, 2)})
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = l.Close() }
		},
		"bridge": func() func() {
			br := "b" + device[1:]
			ip(t, "link", "add", br, "type", "bridge")
			ip(t, "link", "set", device, "master", br)
			return func() { ip(t, "link", "del", br) }
		},
	}
}

// TestWhoeverBreaksTheGuardShutsThePort: the link is down, at once where the
// kernel tells and otherwise when the status is asked for; the port says why, is
// over, and cannot be set up again. Once the intruder has gone it can be opened.
func TestWhoeverBreaksTheGuardShutsThePort(t *testing.T) {
	root(t)
	for _, name := range []string{"filters taken away", "one filter of two", "a filter that passes", "tcx program", "XDP program", "bridge"} {
		t.Run(name, func(t *testing.T) {
			rig := workload(t, Config{})
			p := rig.Port.(*Port)
			if err := p.Up(); err != nil {
				t.Fatal(err)
			}
			undo := intruders(t, p.info.Device, p.index)[name]()
			if name == "tcx program" || name == "XDP program" { // of which the kernel does not tell
				p.Status()
			}
			waitDown(t, p.index)
			if err := p.queues[0].Recv(&packet.Batch{}); !errors.Is(err, port.ErrGone) {
				t.Errorf("receive: %v", err)
			}
			if s := p.Status(); !s.Gone || !strings.Contains(s.Err, "filters") {
				t.Errorf("status %+v", s)
			}
			if err := p.Up(); err == nil {
				t.Error("it goes up without its guard")
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			again := Config{Name: "web", Device: p.info.Device, Port: 9}
			if name == "tcx program" || name == "XDP program" || name == "bridge" {
				if q, err := Open(again); err == nil {
					_ = q.Close()
					t.Error("it is opened behind the intruder")
				}
			}
			undo()
			q, err := Open(again)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(q.Up(), q.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWithoutNewsTheStatusAsks: filters that go unseen are missed by the next
// status if no news comes at all, and else by one of the next ten seconds.
func TestWithoutNewsTheStatusAsks(t *testing.T) {
	root(t)
	for name, unseen := range map[string]func(*Port){
		"no news": func(p *Port) { p.watcher.Close() },
		"one piece of it lost": func(p *Port) {
			p.watcher.Close()
			var err error
			if p.watcher, err = netdev.Watch(p.index, func(netdev.State) {}, nil); err != nil {
				t.Fatal(err)
			}
			p.dumped.Store(p.dumped.Load() - dumpEvery.Nanoseconds())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := workload(t, Config{}).Port.(*Port)
			if err := p.Up(); err != nil {
				t.Fatal(err)
			}
			if s := p.Status(); s.Gone {
				t.Fatalf("%+v", s)
			}
			unseen(p)
			intruders(t, p.info.Device, p.index)["filters taken away"]()
			if s := p.Status(); !s.Gone {
				t.Errorf("%+v", s)
			}
			waitDown(t, p.index)
		})
	}
}

// BenchmarkStatus: what the switch asks of every port each second, and what it
// asked when it had the filters listed each time.
func BenchmarkStatus(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("needs root, for a device")
	}
	p := workload(b, Config{}).Port.(*Port)
	if err := p.Up(); err != nil {
		b.Fatal(err)
	}
	for name, look := range map[string]func(){"all": p.look, "untold": func() {}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				look()
				if s := p.Status(); s.Gone {
					b.Fatalf("%+v", s)
				}
			}
		})
	}
}

// waitDown waits until nothing can pass the device.
func waitDown(t *testing.T, index int) {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		dev, err := netlink.LinkByIndex(index)
		if err != nil {
			t.Fatal(err)
		}
		if dev.Attrs().RawFlags&unix.IFF_UP == 0 {
			return
		}
	}
	t.Error("the link is up, without a guard")
}

// TestAKilledSwitchsGuardStays: it is never taken away to be set again, also
// where the link is up meanwhile.
func TestAKilledSwitchsGuardStays(t *testing.T) {
	root(t)
	_, device := veth(t)
	dev, err := netlink.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	index := dev.Attrs().Index
	if err := guard(index); err != nil {
		t.Fatal(err)
	}
	id := func() string {
		out, err := exec.Command("tc", "filter", "show", "dev", device, "ingress").CombinedOutput()
		if err != nil || len(out) == 0 {
			t.Fatal(err, string(out))
		}
		return string(out) // has the program's number
	}
	before := id()
	p, err := Open(Config{Name: "web", Device: device, Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if after := id(); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

// TestAnothersFanoutGroupIsLeftAlone: numbers of groups are of the whole network
// namespace, and other processes pick some, too.
func TestAnothersFanoutGroupIsLeftAlone(t *testing.T) {
	root(t)
	_, other := veth(t)
	dev, err := netlink.LinkByName(other)
	if err != nil {
		t.Fatal(err)
	}
	var others []int
	defer func() {
		for _, fd := range others {
			_ = unix.Close(fd)
		}
	}()
	for group := range 64 { // the first numbers, whichever way somebody counts
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, fd)
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ethPAll, Ifindex: dev.Attrs().Index}); err != nil && !errors.Is(err, unix.ENETDOWN) {
			t.Fatal(err)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group); errors.Is(err, unix.EINVAL) {
			t.Skip("this kernel spreads no flows of a link that is down")
		}
	}
	p := workload(t, Config{Queues: 4}).Port
	if n := len(p.Queues()); n != 4 {
		t.Errorf("%d queues", n)
	}
}
