package vswitch_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// The attacks. A workload, mallory, has been taken over and sends what it likes,
// as root of its namespace. alice and bob are its neighbours; mallory may speak
// to alice on udp/5100 and tcp/5100, bob may speak to alice, and that is all. What
// arrives is counted at the victims by packet sockets of the test's own, never by
// the switch's accounts; and the accounts must say why each frame was dropped.
//
// Each attack is a row of a table that is printed at the end: what was sent, what
// was delivered that should not be, and for what reasons it was dropped. `make
// attack` runs them with their whole numbers, go test with fewer.

// long tells whether the whole numbers are asked for.
func long() bool { return os.Getenv("BULKHEAD_LONG") != "" }

// times is a number of the attack table, or a part of it for every day.
func times(whole, everyDay int) int {
	if long() {
		return whole
	}
	return everyDay
}

// attackRow is one line of the report.
type attackRow struct {
	id, what        string
	sent, delivered uint64
	reasons         map[string]uint64
	figures         string
}

var attacks struct {
	sync.Mutex
	rows []attackRow
}

// report adds a row to the table.
func (r attackRow) report(t *testing.T) {
	t.Helper()
	attacks.Lock()
	defer attacks.Unlock()
	attacks.rows = append(attacks.rows, r)
}

// printAttacks writes the table.
func printAttacks() {
	attacks.Lock()
	defer attacks.Unlock()
	if len(attacks.rows) == 0 || !testing.Verbose() {
		return
	}
	slices.SortStableFunc(attacks.rows, func(a, b attackRow) int { return strings.Compare(a.id, b.id) })
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nATTACK\tWHAT\tSENT\tGOT THROUGH\tDROPPED AS\tFIGURES")
	for _, r := range attacks.rows {
		var why []string
		for reason, n := range r.reasons {
			why = append(why, fmt.Sprintf("%s %d", reason, n))
		}
		slices.Sort(why)
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", r.id, r.what, r.sent, r.delivered, strings.Join(why, ", "), r.figures)
	}
	_ = w.Flush()
}

// scene is a daemon with mallory, alice and bob.
type scene struct {
	t                   *testing.T
	mallory, alice, bob string // namespaces
	client              *control.Client
	pid                 int
	own, bin, config    string // the switch's namespace, binary and configuration
	daemon              *exec.Cmd
}

const scenePolicy = `version = 1
[services.alice]
labels = { who = "alice" }
[services.mallory]
labels = { who = "mallory" }
[services.bob]
labels = { who = "bob" }
[[rules]]
name = "mallory-to-alice"
allow = { from = ["mallory"], to = ["alice"], ports = ["udp/5100", "tcp/5100", "icmp/echo"] }
[[rules]]
name = "bob-to-alice"
allow = { from = ["bob"], to = ["alice"], ports = ["udp/5100-5110", "tcp/5100-5110", "icmp/echo"] }
`

// The MACs and addresses of the scene.
var sceneMACs = [3]packet.MAC{{2, 0x93, 0, 0, 0, 1}, {2, 0x93, 0, 0, 0, 2}, {2, 0x93, 0, 0, 0, 3}}

func sceneIP(who, family int) string {
	return fmt.Sprintf([]string{"10.93.0.%d", "fd93::%d"}[family], who+1)
}

const (
	mallory, alice, bob = 0, 1, 2
	sceneGateway4       = "10.93.0.254"
	sceneGateway6       = "fd93::fe"
)

var sceneNames = [3]string{"mallory", "alice", "bob"}

var sceneGateway = packet.MAC{2, 0x93, 0, 0, 0, 0xfe}

// stage starts the scene over ports of a driver; "tap+packet+xdp" gives mallory, alice
// and bob one each. The limits are more lines of [limits].
func stage(t *testing.T, driver, limits string) *scene {
	t.Helper()
	return staged(t, driver, limits, `metrics = ""`)
}

// staged is stage with lines that the configuration begins with.
func staged(t *testing.T, driver, limits, head string) *scene {
	t.Helper()
	drivers := strings.Split(driver, "+")
	bin, dir, own := build(t), t.TempDir(), namespace(t, "s")
	s := &scene{t: t, mallory: namespace(t, "m"), alice: namespace(t, "a"), bob: namespace(t, "b"), client: control.NewClient(filepath.Join(dir, "s.sock"))}
	write(t, filepath.Join(dir, "policy.bhp"), buildPolicy(t, scenePolicy))
	text := "policy = \"policy.bhp\"\ncontrol = \"s.sock\"\n" + head + "\n[limits]\n" + limits +
		fmt.Sprintf("\n[[segments]]\nname = \"s\"\ngateways = [%q, %q]\ngateway_mac = \"02:93:00:00:00:fe\"\n", sceneGateway4+"/24", sceneGateway6+"/64")
	for i, netns := range []string{s.mallory, s.alice, s.bob} {
		name, driver := sceneNames[i], drivers[i%len(drivers)]
		text += fmt.Sprintf("[[ports]]\nname = %q\ndriver = %q\nsegment = \"s\"\nmac = %q\nips = [%q, %q]\nlabels = { who = %q }\n",
			name, driver, sceneMACs[i], sceneIP(i, 0), sceneIP(i, 1), name)
		if driver == "tap" {
			text += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", netns)
			continue
		}
		host := fmt.Sprintf("k%d-%d", i, namespaces.Load())
		sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, own, netns, sceneMACs[i]))
		text += fmt.Sprintf("device = %q\n", host)
		if driver == "xdp" {
			text += "queues = 1\n" // a veth has no more, however many workers there are
		}
	}
	s.own, s.bin, s.config = own, bin, filepath.Join(dir, "bulkhead.toml")
	write(t, s.config, text)
	s.run()
	// Mallory's own kernel is silent: what its port counts is the attack. alice and
	// bob have what they are given.
	for i, netns := range []string{s.mallory, s.alice, s.bob} {
		driver := drivers[i%len(drivers)]
		if driver != "tap" {
			sh(t, "ip -n "+netns+" link set eth0 up")
		}
		if i == mallory {
			in(t, netns, "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
			sh(t, "ip -n "+netns+" addr flush dev eth0")
		} else if driver != "tap" {
			sh(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", netns, sceneIP(i, 0)), fmt.Sprintf("ip -n %s addr add %s/64 dev eth0 nodad", netns, sceneIP(i, 1)))
		}
	}
	pings(t, s.bob, sceneIP(alice, 0))
	pings(t, s.bob, sceneIP(alice, 1))
	return s
}

// space is the namespace of one of the three.
func (s *scene) space(who int) string { return []string{s.mallory, s.alice, s.bob}[who] }

// run starts the scene's daemon.
func (s *scene) run() {
	s.t.Helper()
	s.daemon = start(s.t, s.bin, s.config, s.own)
	s.pid = s.daemon.Process.Pid
}

// shot is one frame of an attack, and the reason that it must be dropped for.
type shot struct {
	name   string
	bytes  []byte
	reason string // empty: it may pass, or be answered
}

// fire sends the frames from mallory's device, and holds what the switch says of
// them against what it should say, to the frame, and what alice and bob see
// against nothing. It returns the row of the report.
func (s *scene) fire(id, what string, shots []shot) {
	s.t.Helper()
	want := map[string]uint64{}
	for i := range shots {
		want[shots[i].reason]++
	}
	before := s.drops("mallory")
	seen := s.watch(func(b []byte) bool { return !bySwitch(b) })
	gun := s.gun()
	for i := range shots {
		gun.fire(shots[i].bytes)
		if i%256 == 255 {
			s.quiet("mallory") // no more than the queue holds
		}
	}
	s.quiet("mallory")
	row := attackRow{id: id, what: what, sent: uint64(len(shots)), delivered: seen(), reasons: map[string]uint64{}}
	for reason, n := range s.drops("mallory") {
		if n -= before[reason]; n > 0 {
			row.reasons[reason] = n
		}
	}
	row.report(s.t)
	failed := row.delivered != 0
	if failed {
		s.t.Errorf("%s %s: %d frames were delivered", id, what, row.delivered)
	}
	delete(want, "")
	if !maps.Equal(want, row.reasons) {
		s.t.Errorf("%s %s: dropped as %v, want %v", id, what, row.reasons, want)
		failed = true
	}
	if failed {
		s.oneByOne(shots)
	}
}

// bySwitch tells of what the switch itself says: it answers what alice and bob ask,
// and advertises the gateway to them.
func bySwitch(b []byte) bool {
	f := packet.NewFrame(b, 0)
	if packet.Parse(f) != drop.None {
		return false
	}
	switch h := &f.Headers; h.Kind {
	case packet.KindARP:
		a := packet.ARPOf(f)
		return a.Op == packet.ARPReply && holds(a.SenderMAC, a.SenderIP)
	case packet.KindND:
		n := packet.NDOf(f)
		return h.ICMPType == packet.NDNeighbourAdvertisement && n.HasLinkAddr && holds(n.LinkAddr, n.Target) ||
			h.ICMPType == packet.NDRouterAdvertisement && h.Src == sceneGateway
	}
	return false
}

// oneByOne finds which frame it was that went wrong. What makes a state is not the
// same the second time.
func (s *scene) oneByOne(shots []shot) {
	gun := s.gun()
	for _, shot := range shots[:min(len(shots), 2000)] {
		before := s.drops("mallory")
		gun.fire(shot.bytes)
		s.quiet("mallory")
		for reason, n := range s.drops("mallory") {
			if n != before[reason] && reason != shot.reason {
				s.t.Logf("%s: dropped as %s, want %q: %x", shot.name, reason, shot.reason, shot.bytes[:min(len(shot.bytes), 80)])
			}
		}
	}
}

func (s *scene) port(name string) api.Port {
	s.t.Helper()
	var ports []api.Port
	if err := s.client.Get(context.Background(), "/v1/ports", &ports); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range ports {
		if p.Name == name {
			return p
		}
	}
	s.t.Fatalf("no port %q", name)
	return api.Port{}
}

func (s *scene) drops(name string) map[string]uint64 { return s.port(name).Drops }

// quiet waits until nothing more comes in by a port.
func (s *scene) quiet(name string) {
	s.t.Helper()
	last, same := s.port(name).In, 0
	for range 2000 {
		time.Sleep(2 * time.Millisecond)
		if n := s.port(name).In; n != last {
			last, same = n, 0
			continue
		}
		if same++; same == 5 {
			return
		}
	}
	s.t.Fatalf("port %s does not become quiet", name)
}

func (s *scene) status() (st api.Status) {
	s.t.Helper()
	if err := s.client.Get(context.Background(), "/v1/status", &st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

// resident is the daemon's memory, in bytes.
func (s *scene) resident() int {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		s.t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// watch counts the frames that come to alice and bob and that is says are the
// attack's; the function that it returns ends it.
func (s *scene) watch(is func([]byte) bool) (seen func() uint64) {
	s.t.Helper()
	var n atomic.Uint64
	var ends []func()
	for _, netns := range []string{s.alice, s.bob} {
		ends = append(ends, capture(s.t, netns, func(b []byte) {
			if is(b) && n.Add(1) <= 3 {
				s.t.Logf("came to %s: %x", netns, b)
			}
		}))
	}
	return func() uint64 {
		for _, end := range ends {
			end()
		}
		return n.Load()
	}
}

// capture calls each with every frame that comes in by a namespace's device,
// until end is called.
func capture(t *testing.T, netns string, each func([]byte)) (end func()) {
	t.Helper()
	return captureOn(t, netns, "eth0", each)
}

// captureOn is capture on a device of another name.
func captureOn(t *testing.T, netns, name string, each func([]byte)) (end func()) {
	t.Helper()
	var fd int
	within(t, netns, func() (err error) {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		device, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20000})
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device.Index, Protocol: all})
	})
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				if stop.Load() {
					return // and nothing is left to read
				}
				continue
			}
			if link, is := from.(*unix.SockaddrLinklayer); is && link.Pkttype != unix.PACKET_OUTGOING {
				each(buf[:n])
			}
		}
	}()
	return sync.OnceFunc(func() {
		stop.Store(true)
		<-done
		unix.Close(fd)
	})
}

// gun sends frames as they are.
type gun struct {
	t     *testing.T
	fd    int
	addr  unix.SockaddrLinklayer
	close func()
}

func (s *scene) gun() *gun { return gunIn(s.t, s.mallory) }

func gunIn(t *testing.T, netns string) *gun {
	t.Helper()
	g := &gun{t: t}
	within(t, netns, func() (err error) {
		device, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		g.addr = unix.SockaddrLinklayer{Ifindex: device.Index, Halen: 6}
		g.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	g.close = sync.OnceFunc(func() { unix.Close(g.fd) })
	t.Cleanup(g.close)
	return g
}

func (g *gun) fire(b []byte) {
	g.t.Helper()
	for {
		err := unix.Sendto(g.fd, b, 0, &g.addr)
		if err == nil {
			return
		}
		if err != unix.ENOBUFS && err != unix.EAGAIN {
			g.t.Fatalf("send %d bytes: %v", len(b), err)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// made builds a packet from mallory to alice.
func made(t *testing.T, family int, edit func(*packet.Spec)) []byte {
	t.Helper()
	s := packet.Spec{
		SrcMAC: sceneMACs[mallory], DstMAC: sceneMACs[alice],
		Src: addr(sceneIP(mallory, family)), Dst: addr(sceneIP(alice, family)),
		Proto: packet.ProtoUDP, SrcPort: 4000, DstPort: 5100, Payload: []byte("let me in, please, it is me"),
	}
	edit(&s)
	b, err := packet.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

func (s *scene) get(path string, to any) {
	s.t.Helper()
	if err := s.client.Get(context.Background(), path, to); err != nil {
		s.t.Fatal(err)
	}
}
