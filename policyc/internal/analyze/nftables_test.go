package analyze_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
)

// kernelPolicy has what nftables could get wrong: endpoints in networks,
// exceptions, both ends of ranges, ICMP by type and code in both families,
// protocols that no rule names, a deny across it all.
const kernelPolicy = `version = 1
[services.web]
labels = { tier = "web" }
[services.db]
labels = { tier = "db" }
[services.gold]
labels = { class = "gold" }
[networks.office]
cidrs = ["192.0.2.0/24", "2001:db8:1::/48"]
except = ["192.0.2.66/32"]
[networks.all6]
cidrs = ["::/0"]
[[rules]]
name = "web-to-db"
allow = { from = ["web"], to = ["db"], ports = ["tcp/5432", "tcp/6000-6100", "icmp/echo", "udp/65535", "udp/0"] }
[[rules]]
name = "office \"in\""
allow = { from = ["office"], to = ["web"], ports = ["tcp/443", "icmp4/3/4", "icmp6/2"] }
[[rules]]
name = "gold"
allow = { from = ["gold"], to = ["any"], ports = ["any"] }
[[rules]]
name = "strangers"
allow = { from = ["all6"], to = ["office"], ports = ["tcp/25", "gre", "ip/99"] }
[[rules]]
name = "host-anywhere"
allow = { from = ["host"], to = ["outside", "db"], ports = ["udp/123", "icmp/echo"] }
[[rules]]
name = "outside-to-host"
allow = { from = ["outside"], to = ["host"], ports = ["tcp/22"] }
[[rules]]
name = "no-telnet"
deny = { from = ["any"], to = ["any"], ports = ["tcp/23", "tcp/6050"] }
[[rules]]
name = "no-gold-db"
deny = { from = ["gold"], to = ["db"], ports = ["icmp", "udp/53-60"] }
`

var kernelEndpoints = []analyze.Endpoint{
	{Name: "web-1", Labels: map[string]string{"tier": "web"}, IPs: addrs("10.1.0.1", "fd01::1")},
	{Name: "web-2", Labels: map[string]string{"tier": "web"}, IPs: addrs("192.0.2.66", "2001:db8:1::7")},
	{Name: "db-1", Labels: map[string]string{"tier": "db"}, IPs: addrs("10.1.0.2", "fd01::2")},
	{Name: "gold-web", Labels: map[string]string{"tier": "web", "class": "gold"}, IPs: addrs("10.1.0.3", "fd01::3")},
	{Name: "node", Labels: map[string]string{"bulkhead/host": "true"}, IPs: addrs("10.1.0.4", "fd01::4")},
	{Name: "plain", Labels: map[string]string{}, IPs: addrs("192.0.2.10")},
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// The kernel, with the exported ruleset loaded, lets through exactly the
// packets that eval allows: real ones, between two devices of a namespace.
func TestTheKernelDecidesAsEvalDoes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes a network namespace")
	}
	p := must(t, kernelPolicy)
	text, err := analyze.Nftables(p, kernelEndpoints)
	if err != nil {
		t.Fatal(err)
	}
	var sent []packet
	var passed map[uint32]bool
	inNamespace(t, func() {
		in, out := router(t)
		defer unix.Close(in)
		defer unix.Close(out)
		load(t, text)
		sent = kernelProbes(p)
		passed = probe(t, in, out, sent)
	})
	allowed := 0
	for i, x := range sent {
		allow := x.allowed(p)
		if allow {
			allowed++
		}
		if passed[uint32(i)] != allow {
			t.Errorf("%v -> %v %v: eval says %v, the kernel %v", x.from, x.to, x.flow, allow, passed[uint32(i)])
		}
	}
	t.Logf("%d packets, %d allowed", len(sent), allowed)
	if allowed < 100 || len(sent)-allowed < 100 {
		t.Errorf("%d of %d allowed: they prove little", allowed, len(sent))
	}
	if t.Failed() {
		t.Log(text)
	}
}

// kernelProbes are connections between all endpoints and some of nobody's
// addresses, on ports at and beside the edges of the rules. Without ports a
// packet the other way is a reply, for the kernel and in truth: only where the
// first is denied can the second be asked about.
func kernelProbes(p *check.Policy) []packet {
	var who []check.Subject
	for _, e := range kernelEndpoints {
		for _, a := range e.IPs {
			who = append(who, check.Subject{Labels: e.Labels, Addr: a})
		}
	}
	for _, a := range addrs("192.0.2.1", "192.0.2.255", "192.0.3.1", "10.1.0.9", "2001:db8:1::1", "2001:db8:2::1", "fd02::1") {
		who = append(who, check.Subject{Addr: a})
	}
	flows := []eval.Flow{{Proto: 1, Dst: 0x0800}, {Proto: 1, Dst: 0x0304}, {Proto: 1, Dst: 0x0303}, {Proto: 58, Dst: 0x8000}, {Proto: 58, Dst: 0x0200}, {Proto: 47}, {Proto: 99}, {Proto: 253}}
	for _, port := range []uint16{22, 23, 25, 443, 5431, 5432, 5999, 6000, 6050, 6100, 6101} {
		flows = append(flows, eval.Flow{Proto: 6, Dst: port})
	}
	for _, port := range []uint16{0, 1, 53, 60, 61, 65535} {
		flows = append(flows, eval.Flow{Proto: 17, Dst: port})
	}
	var out []packet
	for _, from := range who {
		for _, to := range who {
			for _, f := range flows {
				if from.Addr != to.Addr && from.Addr.Is4() == to.Addr.Is4() && (f.Proto != 1 || from.Addr.Is4()) && (f.Proto != 58 || from.Addr.Is6()) {
					x, back := packet{from, to, f}, packet{to, from, f}
					if reply := f.Proto == 47 || f.Proto == 99 || f.Proto == 253; !reply || x.allowed(p) || !back.allowed(p) {
						out = append(out, x)
					}
				}
			}
		}
	}
	return out
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
	if t.Failed() {
		t.FailNow()
	}
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

// probe sends each packet with its number in it, and returns the numbers that
// come out. The kernel forwards within the write, but for the first of a kind:
// so it is waited for, a little, when nothing comes.
func probe(t *testing.T, in, out int, sent []packet) map[uint32]bool {
	passed := map[uint32]bool{}
	for i, x := range sent {
		if _, err := unix.Write(in, bytesOf(x, uint32(i))); err != nil {
			t.Errorf("send %v: %v", x, err)
			return passed
		}
		if i%100 == 99 || i == len(sent)-1 {
			receive(out, passed)
		}
	}
	return passed
}

var mark = []byte("bulkhead")

func receive(fd int, passed map[uint32]bool) {
	buf := make([]byte, 2048)
	for deadline := time.Now().Add(50 * time.Millisecond); ; {
		n, err := unix.Read(fd, buf)
		if err != nil {
			left := time.Until(deadline)
			if left <= 0 {
				return
			}
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
			continue
		}
		if at := bytes.LastIndex(buf[:n], mark); at >= 0 && n >= at+len(mark)+4 {
			passed[binary.BigEndian.Uint32(buf[at+len(mark):])] = true
		}
	}
}

// bytesOf is an IP packet that opens a connection. Its source port is its
// number: no packet is of the connection of another.
func bytesOf(x packet, number uint32) []byte {
	sport := uint16(1024 + number%60000)
	var l4 []byte
	switch x.flow.Proto {
	case 6:
		l4 = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sport), x.flow.Dst)
		l4 = append(l4, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, 2, 0xff, 0xff, 0, 0, 0, 0)
	case 17:
		l4 = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sport), x.flow.Dst)
		l4 = append(l4, 0, byte(8+len(mark)+4), 0, 0)
	case 1, 58:
		l4 = append(l4, byte(x.flow.Dst>>8), byte(x.flow.Dst), 0, 0, byte(sport>>8), byte(sport), 0, 1)
	default:
		l4 = make([]byte, 16)
	}
	l4 = binary.BigEndian.AppendUint32(append(l4, mark...), number)
	return append(header(x, len(l4)), l4...)
}

func header(x packet, n int) []byte {
	if x.from.Addr.Is6() {
		h := []byte{0x60, 0, 0, 0, byte(n >> 8), byte(n), x.flow.Proto, 64}
		return append(append(h, x.from.Addr.AsSlice()...), x.to.Addr.AsSlice()...)
	}
	h := []byte{0x45, 0, byte((20 + n) >> 8), byte(20 + n), 0, 0, 0, 0, 64, x.flow.Proto, 0, 0}
	h = append(append(h, x.from.Addr.AsSlice()...), x.to.Addr.AsSlice()...)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum>>16+sum))
	return h
}

// The same policy and endpoints give the same text.
func TestNftablesIsDeterministic(t *testing.T) {
	texts := map[string]bool{}
	for range 20 {
		text, err := analyze.Nftables(must(t, kernelPolicy), kernelEndpoints)
		if err != nil {
			t.Fatal(err)
		}
		texts[text] = true
	}
	if len(texts) != 1 {
		t.Errorf("%d texts", len(texts))
	}
}
