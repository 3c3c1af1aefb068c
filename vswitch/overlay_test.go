package vswitch_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/internal/sys"
)

// The overlay against the kernel's own: a workload behind the switch, another
// behind a plain Linux host with a VXLAN device on a bridge, and real traffic
// between them, with every offload as the kernel sets it. The kernel uses an outer
// checksum unless told not to.
//
//	web ── switch (h) ══ underlay ══ [ router r ] ══ kernel host (k) ── br0 ── db
//
// overlay says what the underlay is.
type overlay struct {
	name   string
	v6     bool
	routed bool   // a router stands between the hosts
	driver string // of the uplink: xdp, tap, udp
	under  int    // the underlay's MTU; 0: 1500
	vxlan  string // more words for ip link add type vxlan
	groups bool   // nobody is registered: the Group Policy extension says who it is
	fdb    bool   // remote by bridge fdb append, not by the device's own remote
	extra  string // more lines of [vtep]
}

// addresses of the two ends, with their prefix's length, and their gateways.
func (o *overlay) addresses() (h, k, hGate, kGate string, bits int) {
	switch {
	case o.v6 && o.routed:
		return "2001:db8:1::1", "2001:db8:2::2", "2001:db8:1::fe", "2001:db8:2::fe", 64
	case o.v6:
		return "2001:db8:1::1", "2001:db8:1::2", "", "", 64
	case o.routed:
		return "192.0.2.1", "198.51.100.2", "192.0.2.254", "198.51.100.254", 24
	}
	return "192.0.2.1", "192.0.2.2", "", "", 24
}

// mtu is what an inner packet may have.
func (o *overlay) mtu() int {
	if o.v6 {
		return o.underlayMTU() - 70
	}
	return o.underlayMTU() - 50
}

func (o *overlay) underlayMTU() int {
	if o.under == 0 {
		return 1500
	}
	return o.under
}

// site is an overlay that runs.
type site struct {
	overlay
	h, k, web, db, r string // namespaces
	up               string // the uplink's device; a pin is named for it, so no two may be alike
	client           *control.Client
	dir              string
	tried            map[string]*attackRow // by id: what the attacks sent, and what came of it
}

const (
	webMAC, dbMAC = "02:66:00:00:00:01", "02:66:00:00:00:02"
	overlayPolicy = `version = 1
[services.web]
labels = { role = "web" }
[services.db]
labels = { role = "db" }
[[rules]]
name = "web-to-db"
allow = { from = ["web"], to = ["db"], ports = ["tcp/5100", "udp/5100", "icmp/echo"] }
[[rules]]
name = "db-to-web"
allow = { from = ["db"], to = ["web"], ports = ["tcp/5100", "udp/5100", "icmp/echo"] }
`
)

// buildPolicy compiles a policy and returns the artifact.
func buildPolicy(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	file, out := filepath.Join(dir, "policy.toml"), filepath.Join(dir, "policy.bhp")
	write(t, file, source)
	if text, err := exec.Command("go", "run", "../policyc", "build", file, "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("policyc: %v: %s", err, text)
	}
	artifact, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(artifact)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// in runs a command line in a namespace.
func in(t *testing.T, netns string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		sh(t, "ip netns exec "+netns+" "+line)
	}
}

var sites atomic.Int32

// run makes the topology and starts the switch in it.
func (o overlay) run(t *testing.T, bin, policy string) *site {
	t.Helper()
	n := sites.Add(1)
	named := func(name string) string { return namespace(t, fmt.Sprint(name, n)) }
	s := &site{overlay: o, dir: t.TempDir(), up: fmt.Sprintf("uo%dn%d", os.Getpid()%100000, n)}
	s.h, s.k, s.web, s.db = named("h"), named("k"), named("w"), named("d")
	if o.routed {
		s.r = named("r")
	}
	s.wire(t)
	write(t, filepath.Join(s.dir, "policy.bhp"), policy)
	config := filepath.Join(s.dir, "bulkhead.toml")
	text := s.config()
	if s.groups {
		text = s.groupsConfig()
	}
	write(t, config, text)
	start(t, bin, config, s.h)
	s.client = control.NewClient(filepath.Join(s.dir, "s.sock"))
	s.kernel(t)
	return s
}

// wire joins the hosts: by a veth, or by two and a router.
func (s *site) wire(t *testing.T) {
	far := s.k
	if s.routed {
		far = s.r
		in(t, s.r, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
		sh(t, fmt.Sprintf("ip link add tok netns %s type veth peer name under netns %s", s.r, s.k))
	}
	if s.driver != "tap" {
		name := "under"
		if s.routed {
			name = "toh"
		}
		sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name %s netns %s", s.up, s.h, name, far))
	}
	if s.driver != "tap" && s.under != 0 && !s.routed {
		sh(t, fmt.Sprintf("ip -n %s link set %s mtu %d", s.h, s.up, s.under), fmt.Sprintf("ip -n %s link set under mtu %d", s.k, s.under))
	}
	if s.driver == "udp" {
		h, _, gate, _, bits := s.addresses()
		sh(t, fmt.Sprintf("ip -n %s addr add %s/%d dev %s nodad", s.h, h, bits, s.up), fmt.Sprintf("ip -n %s link set %s up", s.h, s.up))
		if gate != "" {
			sh(t, fmt.Sprintf("ip -n %s route add default via %s", s.h, gate))
		}
	}
}

func (s *site) config() string {
	h, k, gate, _, bits := s.addresses()
	device := fmt.Sprintf("device = %q", s.up)
	if s.driver == "udp" {
		device = ""
	}
	if s.driver == "tap" {
		device = fmt.Sprintf("netns = %q\ndevice = \"under\"", s.k)
		if s.routed {
			device = fmt.Sprintf("netns = %q\ndevice = \"toh\"", s.r)
		}
	}
	text := fmt.Sprintf(`policy = "policy.bhp"
control = "s.sock"
metrics = ""
[[segments]]
name = "s"
vni = 100
gateways = ["10.66.0.254/24", "fd66::fe/64"]
[[ports]]
name = "up"
driver = %q
role = "uplink"
mtu = %d
%s
[[ports]]
name = "web"
segment = "s"
netns = %q
device = "eth0"
mac = %q
ips = ["10.66.0.1", "fd66::1"]
labels = { role = "web" }
[[endpoints]]
name = "db"
segment = "s"
peer = "k"
mac = %q
ips = ["10.66.0.2", "fd66::2"]
labels = { role = "db" }
[[peers]]
name = "k"
address = %q
segments = ["s"]
[vtep]
addresses = ["%s/%d"]
uplink = "up"
%s
`, s.driver, s.underlayMTU(), device, s.web, webMAC, dbMAC, k, h, bits, s.extra)
	if gate != "" && s.driver != "udp" {
		text += fmt.Sprintf("gateways = [%q]\n", gate)
	}
	return text
}

// kernel makes the other host: a VXLAN device and a workload on a bridge.
func (s *site) kernel(t *testing.T) {
	h, k, hGate, kGate, bits := s.addresses()
	if s.routed {
		sh(t, fmt.Sprintf("ip -n %s addr add %s/%d dev toh nodad", s.r, hGate, bits), "ip -n "+s.r+" link set toh up",
			fmt.Sprintf("ip -n %s addr add %s/%d dev tok nodad", s.r, kGate, bits), "ip -n "+s.r+" link set tok up")
	}
	sh(t, fmt.Sprintf("ip -n %s addr add %s/%d dev under nodad", s.k, k, bits), "ip -n "+s.k+" link set under up")
	if s.routed {
		sh(t, fmt.Sprintf("ip -n %s route add default via %s", s.k, kGate))
	}
	remote := "remote " + h
	if s.fdb {
		remote = "nolearning"
	}
	sh(t, fmt.Sprintf("ip -n %s link add vxlan100 mtu %d type vxlan id 100 dstport 4789 local %s %s %s dev under", s.k, s.mtu(), k, remote, s.vxlan))
	if s.fdb {
		sh(t, fmt.Sprintf("bridge -n %s fdb append 00:00:00:00:00:00 dev vxlan100 dst %s", s.k, h))
	}
	sh(t, "ip -n "+s.k+" link add br0 type bridge mcast_snooping 0", "ip -n "+s.k+" link set vxlan100 master br0",
		fmt.Sprintf("ip link add p0 netns %s type veth peer name eth0 netns %s", s.k, s.db), "ip -n "+s.k+" link set p0 master br0",
		fmt.Sprintf("ip -n %s link set p0 mtu %d", s.k, s.mtu()),
		fmt.Sprintf("ip -n %s link set eth0 address %s mtu %d", s.db, dbMAC, s.mtu()),
		"ip -n "+s.db+" addr add 10.66.0.2/24 dev eth0", "ip -n "+s.db+" addr add fd66::2/64 dev eth0 nodad",
		"ip -n "+s.db+" link set eth0 up")
	for _, device := range []string{"vxlan100", "br0", "p0"} {
		sh(t, "ip -n "+s.k+" link set "+device+" up")
	}
}

// ping tells whether so many bytes of ICMP payload come back.
func ping(netns, to string, size int) bool {
	return exec.Command("ip", "netns", "exec", netns, "ping", "-c", "1", "-W", "0.5", "-M", "do", "-s", fmt.Sprint(size), to).Run() == nil
}

// pings is ping, tried for some seconds: the kernel drops what is sent in the
// moment after a link came up, and the first packet to a neighbour whose MAC is
// not known yet is lost.
func pings(t *testing.T, netns, to string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if ping(netns, to, 56) {
			return
		}
	}
	t.Fatalf("no answer from %s", to)
}

// carry sends n random bytes over TCP and tells whether they arrive.
func carry(t *testing.T, from, to, address string, n int) {
	t.Helper()
	text := make([]byte, n)
	_, _ = rand.Read(text)
	var got bytes.Buffer
	family := "-4"
	if strings.Contains(address, ":") {
		family = "-6"
	}
	server := exec.Command("ip", "netns", "exec", to, "nc", family, "-l", "5100")
	server.Stdout = &got
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	server.WaitDelay = time.Second
	defer time.AfterFunc(15*time.Second, func() { _ = server.Process.Kill() }).Stop() // it would wait for ever for what was lost
	listening(t, to)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client := exec.CommandContext(ctx, "ip", "netns", "exec", from, "nc", "-N", "-w", "5", address, "5100")
	client.Stdin = bytes.NewReader(text)
	if out, err := client.CombinedOutput(); err != nil {
		t.Errorf("TCP to %s: %v: %s", address, err, out)
		_ = server.Process.Kill()
	}
	_ = server.Wait()
	if !bytes.Equal(got.Bytes(), text) {
		t.Errorf("TCP to %s: %d of %d bytes arrived, or others", address, got.Len(), n)
	}
}

// listening waits until a namespace has a listener on the port of the tests.
func listening(t *testing.T, netns string) {
	t.Helper()
	for range 100 {
		out, _ := exec.Command("ip", "netns", "exec", netns, "ss", "-Hltn", "sport = :5100").Output()
		if len(out) > 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("nothing listens")
}

// port returns a port's accounts.
func (s *site) port(t *testing.T, name string) api.Port {
	t.Helper()
	var ports []api.Port
	if err := s.client.Get(context.Background(), "/v1/ports", &ports); err != nil {
		t.Fatal(err)
	}
	for _, p := range ports {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no port %q", name)
	return api.Port{}
}

func TestSmokeOverlayWithTheKernels(t *testing.T) {
	root(t)
	bin, policy := build(t), buildPolicy(t, overlayPolicy)
	for _, o := range []overlay{
		{name: "ipv4", driver: "xdp"},
		{name: "ipv4, flood entries, no checksums", driver: "xdp", fdb: true, vxlan: "noudpcsum"},
		{name: "ipv4, through a router", driver: "xdp", routed: true},
		{name: "ipv4, tap", driver: "tap"},
		{name: "ipv4, udp", driver: "udp"},
		{name: "ipv4, udp, through a router", driver: "udp", routed: true},
		{name: "ipv6, udp", driver: "udp", v6: true},
		{name: "ipv6, udp, no checksums", driver: "udp", v6: true, vxlan: "udp6zerocsumtx udp6zerocsumrx"},
		{name: "ipv4, MTU 1400", driver: "xdp", under: 1400},
		{name: "ipv4, MTU 9000", driver: "xdp", under: 9000},
		{name: "ipv4, udp, MTU 9000", driver: "udp", under: 9000},
		{name: "ipv6, udp, MTU 1400", driver: "udp", v6: true, under: 1400},
		{name: "ipv6, MTU 9000", driver: "xdp", v6: true, under: 9000},
		{name: "ipv6", driver: "xdp", v6: true},
		{name: "ipv6, through a router", driver: "xdp", v6: true, routed: true},
		{name: "ipv6, no checksums", driver: "xdp", v6: true, vxlan: "udp6zerocsumtx udp6zerocsumrx", extra: "udp6_zero_checksum = true"},
		{name: "ipv6, tap", driver: "tap", v6: true},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting for devices
			s := o.run(t, bin, policy)
			defer func() {
				if t.Failed() {
					t.Logf("web: %+v", s.port(t, "web"))
					t.Logf("up: %+v", s.port(t, "up"))
				}
			}()
			s.traffic(t)
		})
	}
}

// traffic is what must pass, and what must not.
func (s *site) traffic(t *testing.T) {
	for _, c := range []struct{ what, from, to string }{
		{"db asks for web", s.db, "10.66.0.1"}, {"web asks for db", s.web, "10.66.0.2"},
		{"db asks for web, IPv6", s.db, "fd66::1"}, {"web asks for db, IPv6", s.web, "fd66::2"},
	} {
		ip := 28
		if strings.Contains(c.to, ":") {
			ip = 48
		}
		pings(t, c.from, c.to)
		if !ping(c.from, c.to, s.mtu()-ip) {
			t.Errorf("ping of the largest packet, %s: no answer", c.what)
		}
	}
	const size = 1 << 20
	carry(t, s.web, s.db, "10.66.0.2", size)
	carry(t, s.db, s.web, "10.66.0.1", size)
	carry(t, s.web, s.db, "fd66::2", size)
	carry(t, s.db, s.web, "fd66::1", size)
	n := min(10, 60000/s.mtu())
	datagrams(t, s.web, s.db, "10.66.0.2", s.mtu()-28, n)
	datagrams(t, s.db, s.web, "fd66::1", s.mtu()-48, n)
	s.denied(t)
	s.tooBig(t)
	s.attacks(t)
	s.moreAttacks(t)
	s.balanced(t)
}

// denied tries what no rule allows, at a listener that is there.
func (s *site) denied(t *testing.T) {
	for _, c := range []struct{ from, to, address string }{{s.web, s.db, "10.66.0.2"}, {s.db, s.web, "fd66::1"}} {
		var server net.Listener
		within(t, c.to, func() (err error) { server, err = net.Listen("tcp", ":5101"); return err })
		within(t, c.from, func() error {
			if conn, err := net.DialTimeout("tcp", net.JoinHostPort(c.address, "5101"), 300*time.Millisecond); err == nil {
				conn.Close()
				t.Errorf("connected to %s, which no rule allows", c.address)
			}
			return nil
		})
		server.Close()
	}
	if s.port(t, "web").Drops["no-rule"] == 0 || s.port(t, "up").Drops["no-rule"] == 0 {
		t.Error("what was denied is not counted as no-rule on both ports")
	}
}

// tooBig gives web's device an MTU that does not fit the tunnel, and db's TCP
// one that invites it: web is told what fits, and its TCP keeps to it.
func (s *site) tooBig(t *testing.T) {
	under := s.underlayMTU()
	sh(t, fmt.Sprintf("ip -n %s link set eth0 mtu %d", s.web, under), fmt.Sprintf("ip -n %s route change 10.66.0.0/24 dev eth0 advmss %d", s.db, under-40),
		fmt.Sprintf("ip -n %s -6 route add fd66::/64 dev eth0 metric 1 advmss %d", s.db, under-60))
	for _, to := range []string{"10.66.0.2", "fd66::2"} {
		out, _ := exec.Command("ip", "netns", "exec", s.web, "ping", "-c", "1", "-W", "1", "-M", "do", "-s", fmt.Sprint(under-48), to).CombinedOutput()
		if want := fmt.Sprintf("mtu = %d", s.mtu()); !strings.Contains(strings.NewReplacer("mtu=", "mtu = ", "mtu: ", "mtu = ").Replace(string(out)), want) {
			t.Errorf("a packet too big to %s: %s", to, out)
		}
		sh(t, "ip -n "+s.web+" route flush cache")
		carry(t, s.web, s.db, to, 1<<18)
	}
}

// attacks sends what a peer must not, and what comes from no peer, over the
// real underlay: each is counted for its reason, and web sees nothing.
func (s *site) attacks(t *testing.T) {
	if s.routed {
		return // strangers of the same link are enough
	}
	h, k, _, _, bits := s.addresses()
	stranger := strings.TrimSuffix(k, "2") + "66"
	sh(t, fmt.Sprintf("ip -n %s addr add %s/%d dev under nodad", s.k, stranger, bits))
	syn := func(srcMAC, src, dstMAC, dst string) []byte { return tcpSYN(t, srcMAC, src, dstMAC, dst) }
	for _, c := range []struct {
		reason, from string
		vni          uint32
		inner        []byte
	}{
		{"unknown-peer", stranger, 100, syn(dbMAC, "10.66.0.2", webMAC, "10.66.0.1")},
		{"unknown-vni", k, 101, syn(dbMAC, "10.66.0.2", webMAC, "10.66.0.1")},
		{"spoofed-remote", k, 100, syn(dbMAC, "10.66.0.3", webMAC, "10.66.0.1")},
		{"spoofed-remote", k, 100, syn(webMAC, "10.66.0.1", webMAC, "10.66.0.1")},
		{"spoofed-remote", k, 100, syn("02:66:00:00:00:09", "10.66.0.2", webMAC, "10.66.0.1")},
		{"bad-vxlan", k, 1 << 31, syn(dbMAC, "10.66.0.2", webMAC, "10.66.0.1")},
		{"runt", k, 100, []byte{1, 2, 3}},
	} {
		before, heard := s.port(t, "up").Drops[c.reason], s.capture(t, s.web, "eth0")
		const times = 20
		vxlanFrom(t, s.k, c.from, h, c.vni, c.inner, times)
		deadline := time.Now().Add(2 * time.Second)
		for s.port(t, "up").Drops[c.reason] < before+times && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if got := s.port(t, "up").Drops[c.reason] - before; got < times {
			t.Errorf("%s: %d of %d counted: %v", c.reason, got, times, s.port(t, "up").Drops)
		}
		through := heard(isInjected)
		if through != 0 {
			t.Errorf("%s: web's own capture has %d of the frames", c.reason, through)
		}
		s.tally("A07", times, through, c.reason)
	}
}

// balanced holds every port's accounts against each other.
func (s *site) balanced(t *testing.T) {
	for _, name := range []string{"web", "up"} {
		p := s.port(t, name)
		sum := p.Out + p.Consumed
		for reason, n := range p.Drops {
			if !strings.HasPrefix(reason, "rx-") { // those never came in
				sum += n
			}
		}
		if p.In+p.Copies != sum {
			t.Errorf("the accounts of %s do not balance: %+v", name, p)
		}
	}
}

func tcpSYN(t *testing.T, srcMAC, src, dstMAC, dst string) []byte {
	t.Helper()
	from, err1 := packet.ParseMAC(srcMAC)
	to, err2 := packet.ParseMAC(dstMAC)
	b, err3 := packet.Build(packet.Spec{SrcMAC: from, DstMAC: to, Src: packet.AddrFrom(netip.MustParseAddr(src)),
		Dst: packet.AddrFrom(netip.MustParseAddr(dst)), Proto: packet.ProtoTCP, SrcPort: 40000, DstPort: 5100})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return b
}

// within runs f on a thread that is in a namespace: the sockets it makes are
// there, and stay there.
func within(t *testing.T, netns string, f func() error) {
	t.Helper()
	ns, err := sys.OpenNetns(netns)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

// vxlanFrom sends a frame in a tunnel some times, from an address of a
// namespace. A VNI with bit 31 leaves the I flag out.
func vxlanFrom(t *testing.T, netns, from, to string, vni uint32, inner []byte, times int) {
	t.Helper()
	b := []byte{8, 0, 0, 0, byte(vni >> 16), byte(vni >> 8), byte(vni), 0}
	if vni>>31 != 0 {
		b[0] = 0
	}
	b = append(b, inner...)
	within(t, netns, func() error {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP(to), Port: 4789})
		if err != nil {
			return err
		}
		defer c.Close()
		for range times {
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
}

// datagrams sends n datagrams of so many bytes, in one superframe (UDP_SEGMENT),
// and wants them all.
func datagrams(t *testing.T, from, to, address string, size, n int) {
	t.Helper()
	var server, client *net.UDPConn
	within(t, to, func() (err error) {
		server, err = net.ListenUDP("udp", &net.UDPAddr{Port: 5100})
		return err
	})
	defer server.Close()
	within(t, from, func() (err error) {
		client, err = net.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(address), Port: 5100})
		return err
	})
	defer client.Close()
	raw, err := client.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const udpSegment = 103 // UDP_SEGMENT (linux/udp.h)
	if cerr := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_UDP, udpSegment, size) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	text := make([]byte, size*n)
	_, _ = rand.Read(text)
	if _, err := client.Write(text); err != nil {
		t.Fatal(err)
	}
	got, buf := []byte(nil), make([]byte, 2*size)
	_ = server.SetReadDeadline(time.Now().Add(2 * time.Second))
	for len(got) < len(text) {
		m, err := server.Read(buf)
		if err != nil {
			break
		}
		if m != size {
			t.Errorf("a datagram of %d bytes to %s, want %d", m, address, size)
		}
		got = append(got, buf[:m]...)
	}
	if !bytes.Equal(got, text) {
		t.Errorf("%d of %d bytes of datagrams to %s arrived, or others", len(got), len(text), address)
	}
}
