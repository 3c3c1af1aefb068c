package oracle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
)

// ethernet is how much of a frame the kernel is not given: its devices here are
// of IP.
const ethernet = 14

// verdicts are what a kernel did: the numbers of the packets that came out, and
// how many each rule has accepted, by its comment.
type verdicts struct {
	passed map[uint32]bool
	counts map[string]uint64
}

// kernel forwards packets in a namespace of its own, with a ruleset loaded. A
// packet is known by the number in it, wherever and whenever it comes out.
func kernel(t *testing.T, ruleset string, packets [][]byte) verdicts {
	t.Helper()
	v := verdicts{map[uint32]bool{}, map[string]uint64{}}
	inNamespace(t, func() {
		in, out := router(t)
		defer unix.Close(in)
		defer unix.Close(out)
		load(t, ruleset)
		for i, b := range packets {
			if _, err := unix.Write(in, b[ethernet:]); err != nil {
				t.Errorf("send packet %d: %v", i, err)
				return
			}
			if i%256 == 255 {
				receive(out, v.passed, 0)
			}
		}
		receive(out, v.passed, 200*time.Millisecond)
		v.counts = counters(t)
	})
	if t.Failed() {
		t.FailNow()
	}
	return v
}

// receive takes in what has come out, until nothing has for so long.
func receive(fd int, passed map[uint32]bool, quiet time.Duration) {
	buf := make([]byte, 2048)
	for {
		n, err := unix.Read(fd, buf)
		if err == nil {
			if at := bytes.LastIndex(buf[:n], mark); at >= 0 && n >= at+len(mark)+4 {
				passed[binary.BigEndian.Uint32(buf[at+len(mark):])] = true
			}
			continue
		}
		ready, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(quiet.Milliseconds()))
		if ready < 1 && quiet >= 0 {
			return
		}
	}
}

// counters reads what each rule has accepted; replies are under "established".
func counters(t *testing.T) map[string]uint64 {
	text, err := exec.Command("nft", "-j", "list", "chain", "inet", "bulkhead", "forward").Output()
	if err != nil {
		t.Errorf("nft list: %v", err)
		return nil
	}
	var all struct {
		Nftables []struct {
			Rule *struct {
				Comment string
				Expr    []struct{ Counter *struct{ Packets uint64 } }
			}
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Errorf("nft list: %v", err)
		return nil
	}
	out := map[string]uint64{}
	for _, x := range all.Nftables {
		if x.Rule == nil {
			continue
		}
		for _, e := range x.Rule.Expr {
			if e.Counter != nil && e.Counter.Packets > 0 {
				out[x.Rule.Comment] += e.Counter.Packets
			}
		}
	}
	return out
}

// bytesOf are packets, numbered in their order.
func (x *trial) bytesOf(list []probe) ([][]byte, error) {
	var out [][]byte
	for i, q := range list {
		spec := x.packet(q, uint32(i))
		spec.SrcMAC, spec.DstMAC = packet.MAC{2}, packet.MAC{2, 5: 1}
		b, err := packet.Build(spec)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// inNamespace runs f on a thread in a network namespace of its own. The thread
// is not given back: it ends with its goroutine, and the namespace with it.
func inNamespace(t *testing.T, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		f()
	}()
	<-done
}

// router makes two devices and routes everything to the second.
func router(t *testing.T) (in, out int) {
	in, out = tun(t, "in"), tun(t, "out")
	script := `set -e
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
sysctl -qw net.ipv4.conf.in.rp_filter=0 net.ipv4.conf.out.rp_filter=0 net.ipv6.conf.in.addr_gen_mode=1 net.ipv6.conf.out.addr_gen_mode=1
ip link set in up; ip link set out up txqueuelen 10000
ip route add default dev out; ip -6 route add default dev out`
	run(t, "sh", "-c", script)
	return in, out
}

func run(t *testing.T, name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
		runtime.Goexit()
	}
}

func load(t *testing.T, ruleset string) {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("nft: %v\n%s\n%s", err, out, ruleset)
		runtime.Goexit()
	}
}

func tun(t *testing.T, name string) int {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	var req *unix.Ifreq
	if err == nil {
		req, err = unix.NewIfreq(name)
	}
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		t.Errorf("open tun %s: %v", name, err)
		runtime.Goexit()
	}
	return fd
}
