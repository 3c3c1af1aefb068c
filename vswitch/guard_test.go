package vswitch_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// The bypass guard. The switch's own namespace forwards, has routes to both
// workloads and knows their MACs, and a workload sends without pause: not one
// packet may come to the other beside the switch. Its own stack counts.

// guarded is a daemon under the guard.
type guarded struct {
	t       *testing.T
	bin     string
	netns   string // the switch's own
	config  string
	log     string
	control *control.Client
	daemon  *exec.Cmd
	attack  *blaster
	victim  *counter
	passed  uint64 // what the victim had when the guard began
}

// write puts a configuration in the daemon's file.
func (g *guarded) write(text string) {
	g.t.Helper()
	head := "control = \"s.sock\"\nmetrics = \"\"\n"
	if err := os.WriteFile(g.config, []byte(head+text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guarded) start() { g.daemon = start(g.t, g.bin, g.config, g.netns) }

func (g *guarded) kill() {
	_ = g.daemon.Process.Kill()
	_ = g.daemon.Wait()
}

// nothing fails the test if a packet came through since the guard began. It
// looks on for as long as a few hundred packets take.
func (g *guarded) nothing(while string) {
	g.t.Helper()
	for sent, i := g.attack.sent.Load(), 0; g.attack.sent.Load() < sent+300; i++ {
		if i > 500 {
			break // the sender has no link: nothing can be sent, which is well
		}
		time.Sleep(time.Millisecond)
	}
	if n := g.victim.seen.Load() - g.passed; n != 0 {
		g.t.Errorf("%d packets came through beside the switch %s", n, while)
		g.passed += n
	}
}

// reload puts a configuration in force, by the API or by a signal.
func (g *guarded) reload(text string, bySignal bool) error {
	g.t.Helper()
	g.write(text)
	if !bySignal {
		return g.control.Post(context.Background(), "/v1/reload", nil, &api.Done{})
	}
	before := g.generation()
	if err := g.daemon.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	for range 400 {
		if g.generation() != before {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("SIGHUP has not made a new generation")
}

func (g *guarded) generation() uint32 {
	g.t.Helper()
	var s api.Status
	if err := g.control.Get(context.Background(), "/v1/status", &s); err != nil {
		g.t.Fatal(err)
	}
	return s.Generation
}

// guard makes the three namespaces and a daemon that is not started yet.
func guard(t *testing.T, bin string) (g *guarded, a, b string) {
	dir := t.TempDir()
	g = &guarded{t: t, bin: bin, netns: namespace(t, "s"), config: filepath.Join(dir, "bulkhead.toml"), log: filepath.Join(dir, "log")}
	g.control = control.NewClient(filepath.Join(dir, "s.sock"))
	sh(t, "ip netns exec "+g.netns+" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0")
	writePolicy(t, filepath.Join(dir, "web.bhp"), "tcp/5100")
	writePolicy(t, filepath.Join(dir, "blast.bhp"), fmt.Sprintf("udp/%d", blastPort))
	return g, namespace(t, "a"), namespace(t, "b")
}

// writePolicy compiles a policy by which anybody may reach anybody on ports.
func writePolicy(t testing.TB, path, ports string) {
	t.Helper()
	text := fmt.Sprintf("version = 1\n[[rules]]\nname = \"r\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [%q] }\n", ports)
	rules, findings := compile.Compile([]compile.Source{{Name: "p.toml", Text: []byte(text)}}, compile.Options{})
	if findings.Failed() {
		_ = findings.Render(os.Stderr)
		t.Fatal("the policy does not compile")
	}
	data, err := policy.Encode(rules)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// keepRoutes gives the host's stack, again and again, all that it needs to
// forward to a neighbour: devices that go down lose it.
func keepRoutes(t *testing.T, ns, device, addr string, mac net.HardwareAddr) {
	t.Helper()
	handle, err := netns.GetFromName(ns)
	if err != nil {
		t.Fatal(err)
	}
	h, err := netlink.NewHandleAt(handle)
	if err != nil {
		t.Fatal(err)
	}
	untilEnd(t, func() {
		time.Sleep(2 * time.Millisecond)
		dev, err := h.LinkByName(device)
		if err != nil {
			return
		}
		_ = h.NeighSet(&netlink.Neigh{LinkIndex: dev.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(addr), HardwareAddr: mac})
	}, func() { h.Close(); handle.Close() })
}

// AF_XDP ports: the host's ends of the veths are in a namespace that would
// forward between them at once if the program were gone for a moment.
func TestSmokeGuardXDP(t *testing.T) {
	root(t)
	t.Parallel()
	bin := build(t)
	for i, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			guardVeths(t, bin, fmt.Sprintf("driver = \"xdp\"\nmode = %q\n", mode), i, pinned)
		})
	}
}

// Packet ports: the host's stack is kept off the same veths by filters of
// theirs.
func TestSmokeGuardPacket(t *testing.T) {
	root(t)
	t.Parallel()
	guardVeths(t, build(t), "driver = \"packet\"\n", 2, filtered)
}

// filtered tells whether a packet port's filters are on its device, in and out.
func filtered(t *testing.T, netns, device string) bool {
	t.Helper()
	for _, way := range []string{"ingress", "egress"} {
		out, err := exec.Command("ip", "netns", "exec", netns, "tc", "filter", "show", "dev", device, way).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "bulkhead") {
			return false
		}
	}
	return true
}

// guardVeths guards ports of a driver that takes veths. held tells whether a
// device is kept from the host's stack.
func guardVeths(t *testing.T, bin, driver string, number int, held func(t *testing.T, netns, device string) bool) {
	g, a, b := guard(t, bin)
	device := func(name string) string { return fmt.Sprintf("g%d%s%d", number, name, os.Getpid()%1000000) }
	ports := map[string]string{}
	for i, w := range []struct{ name, ns string }{{"a", a}, {"b", b}, {"c", b}} {
		host, inside, net, mac := device(w.name), "eth"+w.name, fmt.Sprintf("10.97.%d", i+1), fmt.Sprintf("02:97:00:00:00:0%d", i+1)
		sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name %s netns %s address %s", host, g.netns, inside, w.ns, mac),
			fmt.Sprintf("ip -n %s addr add %s.2/24 dev %s", w.ns, net, inside), "ip -n "+w.ns+" link set "+inside+" up",
			fmt.Sprintf("ip -n %s addr add %s.1/24 dev %s", g.netns, net, host), "ip -n "+g.netns+" link set "+host+" up")
		ports[w.name] = fmt.Sprintf("[[ports]]\nname = %q\n%ssegment = \"s\"\ndevice = %q\nmac = %q\nips = [\"%s.2\"]\n", w.name, driver, host, mac, net)
		keepRoutes(t, g.netns, host, net+".2", macIn(t, w.ns, inside))
	}
	sh(t, "ip -n "+a+" route add default via 10.97.1.1",
		fmt.Sprintf("ip -n %s neigh replace 10.97.1.1 dev etha lladdr %s nud permanent", a, macIn(t, g.netns, device("a"))))
	g.victim, g.attack = count(t, b), blast(t, a, "10.97.2.2")
	if !rises(&g.victim.seen) {
		t.Fatal("the host's stack does not forward without the switch: the guard would prove nothing")
	}

	// The switch has not begun: until it has, the operator keeps the link down.
	sh(t, "ip -n "+g.netns+" link set "+device("a")+" down")
	time.Sleep(100 * time.Millisecond)
	g.passed = g.victim.seen.Load()
	const segment = "[[segments]]\nname = \"s\"\n"
	all := segment + ports["a"] + ports["b"] + ports["c"]
	g.write(all)
	g.start()
	g.nothing("while it starts and denies")
	for name := range ports {
		if !held(t, g.netns, device(name)) {
			t.Errorf("the host's stack is not kept off %s", name)
		}
	}
	guardReloads(g, []string{
		"policy = \"web.bhp\"\n" + segment + ports["a"] + ports["b"],
		segment + ports["a"] + ports["c"],
		segment + ports["b"] + ports["c"],
		strings.Replace(all, ports["c"], strings.Replace(ports["c"], "device = ", "mtu = 1400\ndevice = ", 1), 1),
		all,
	}, segment+ports["a"]+strings.Replace(ports["b"], device("b"), "nosuch", 1))
	guardKills(g)

	for name := range ports {
		if held(t, g.netns, device(name)) {
			t.Errorf("what kept the host's stack off %s is left", name)
		}
	}
	sh(t, "ip -n "+g.netns+" link set "+device("a")+" up", "ip -n "+g.netns+" link set "+device("b")+" up")
	if !rises(&g.victim.seen) {
		t.Error("without the switch nothing is forwarded any more: the guard has proved nothing")
	}
}

// guardReloads reloads fifty times, each state after the other, by signal and
// by call; and configurations that fail half-way.
func guardReloads(g *guarded, states []string, broken string) {
	for i := range 50 {
		if err := g.reload(states[i%len(states)], i%2 == 0); err != nil {
			g.t.Fatalf("reload %d: %v", i, err)
		}
		if i%10 == 4 {
			if err := g.reload(broken, false); err == nil || !strings.Contains(err.Error(), "nosuch") {
				g.t.Errorf("a configuration that cannot be opened: %v", err)
			}
		}
	}
	if err := g.reload(states[len(states)-1], false); err != nil {
		g.t.Fatal(err)
	}
	g.nothing("in 50 reloads")
}

// guardKills kills and starts the daemon, three times, and stops it at last.
func guardKills(g *guarded) {
	for range 3 {
		g.kill()
		g.nothing("after it was killed")
		g.start()
		g.nothing("while it starts after a kill")
	}
	_ = g.daemon.Process.Signal(syscall.SIGTERM)
	if err := g.daemon.Wait(); err != nil {
		g.t.Errorf("stopped with %v", err)
	}
	g.nothing("after it was stopped")
}

// TAP ports: the devices are in the workloads' namespaces, and appear and go
// with the daemon. What passes while the policy allows it shows that sender,
// routes and counter work.
func TestSmokeGuardTAP(t *testing.T) {
	root(t)
	t.Parallel()
	g, a, b := guard(t, build(t))
	sh(t, "ip -n "+g.netns+" link add out type veth peer name far", "ip -n "+g.netns+" link set out up", "ip -n "+g.netns+" link set far up",
		"ip -n "+g.netns+" addr add 10.97.1.1/24 dev out", "ip -n "+g.netns+" addr add 10.97.2.1/24 dev out")
	port := func(name, ns string, i int) string {
		return fmt.Sprintf("[[ports]]\nname = %q\nsegment = \"%s\"\nnetns = %q\ndevice = \"eth%s\"\nmac = \"02:97:00:00:00:0%d\"\nips = [\"10.97.%d.2\"]\n", name, name, ns, name, i, i)
	}
	segments := ""
	for i, name := range []string{"a", "b", "c"} {
		segments += fmt.Sprintf("[[segments]]\nname = %q\ngateways = [\"10.97.%d.1/24\"]\n", name, i+1)
	}
	pa, pb, pc := port("a", a, 1), port("b", b, 2), port("c", b, 3)
	all := segments + pa + pb + pc
	g.victim, g.attack = count(t, b), blast(t, a, "10.97.2.2")
	g.write(all)
	g.start()
	g.nothing("while it starts and denies")
	open := func() {
		t.Helper()
		if err := g.reload("policy = \"blast.bhp\"\n"+all, false); err != nil {
			t.Fatal(err)
		}
		if !rises(&g.victim.seen) {
			t.Fatal("the policy allows it and nothing passes: the guard proves nothing")
		}
		if err := g.reload(all, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // what was allowed is counted
		g.passed = g.victim.seen.Load()
	}
	open()
	guardReloads(g, []string{
		"policy = \"web.bhp\"\n" + segments + pa + pb,
		segments + pa + pc,
		segments + pb + pc,
		strings.Replace(all, pc, pc+"mtu = 1400\n", 1),
		all,
	}, segments+pa+strings.Replace(pb, b, "nosuch", 1))
	guardKills(g)
	g.start()
	open()
}
