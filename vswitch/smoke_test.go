package vswitch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

func root(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces and devices")
	}
}

func sh(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
}

// namespace makes one that the test's end removes.
func namespace(t *testing.T, name string) string {
	t.Helper()
	ns := fmt.Sprintf("vst%d%s", os.Getpid(), name)
	sh(t, "ip netns add "+ns, "ip -n "+ns+" link set lo up")
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	return ns
}

func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir, "./cmd/vswitchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return filepath.Join(dir, "vswitchd")
}

// start runs the daemon, in a network namespace if one is named, until it is
// ready.
func start(t *testing.T, bin, config, netns string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(filepath.Dir(config), "log"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{bin, "run", "-c", config}
	if netns != "" {
		// Not ip netns exec: bpffs must be the host's, to outlive the daemon.
		args = append([]string{"nsenter", "--net=/run/netns/" + netns}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait(); log.Close() })
	for range 100 {
		if text, _ := os.ReadFile(log.Name()); strings.Contains(string(text), `"ready"`) {
			return cmd
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("not ready: %s", text)
	return nil
}

// connects tells whether a TCP connection from a namespace comes about within a
// second.
func connects(netns, ip string) bool {
	return exec.Command("ip", "netns", "exec", netns, "nc", "-z", "-w", "1", ip, "5100").Run() == nil
}

// Without a policy everything is denied, and the status says so; the device
// goes with the daemon, killed or stopped; and it starts again after a kill.
func TestSmokeDeniesAndLeavesNothing(t *testing.T) {
	root(t)
	bin, dir := build(t), t.TempDir()
	a, b := namespace(t, "a"), namespace(t, "b")
	config := filepath.Join(dir, "bulkhead.toml")
	text := "policy = \"none.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\ngateways = [\"10.98.0.254/24\"]\n"
	for i, ns := range []string{a, b} {
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"s\"\nnetns = %q\ndevice = \"eth0\"\nmac = \"02:98:00:00:00:0%d\"\nips = [\"10.98.0.%d\"]\n", i, ns, i+1, i+1)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := start(t, bin, config, "")
	server := exec.Command("ip", "netns", "exec", b, "nc", "-lk", "5100")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	if connects(a, "10.98.0.2") {
		t.Error("connected without a policy")
	}
	client := control.NewClient(filepath.Join(dir, "s.sock"))
	var status api.Status
	if err := client.Get(context.Background(), "/v1/status", &status); err != nil || !strings.Contains(status.Policy, "denied") {
		t.Errorf("status %q, %v", status.Policy, err)
	}
	var ports []api.Port
	if err := client.Get(context.Background(), "/v1/ports", &ports); err != nil || len(ports) != 2 {
		t.Fatalf("%d ports, %v", len(ports), err)
	}
	for _, p := range ports {
		sum := p.Out + p.Consumed
		for _, n := range p.Drops {
			sum += n
		}
		if p.In+p.Copies != sum {
			t.Errorf("the accounts of %s do not balance: %+v", p.Name, p)
		}
	}
	if out, err := exec.Command(bin, "run", "-c", config).CombinedOutput(); err == nil || !strings.Contains(string(out), "another vswitchd") {
		t.Errorf("a second daemon: %v: %s", err, out)
	}
	_ = daemon.Process.Kill()
	_ = daemon.Wait()
	if exec.Command("ip", "-n", a, "link", "show", "eth0").Run() == nil {
		t.Error("the device outlived the daemon")
	}
	daemon = start(t, bin, config, "")
	_ = daemon.Process.Signal(os.Interrupt)
	if err := daemon.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "s.sock")); err == nil {
		t.Error("the socket is left")
	}
}

// pins lists what AF_XDP ports of a namespace have pinned in bpffs.
func pins(t *testing.T, netns string) []string {
	t.Helper()
	var ns syscall.Stat_t
	if err := syscall.Stat("/run/netns/"+netns, &ns); err != nil {
		t.Fatal(err)
	}
	list, err := filepath.Glob(fmt.Sprintf("/sys/fs/bpf/bulkhead/%d-*", ns.Ino))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The bypass guard: the switch's own namespace forwards and has routes to both
// workloads. Nothing crosses by the host's stack while the switch denies, nor
// after it is killed, native and generic.
func TestSmokeNothingPassesBesideTheSwitch(t *testing.T) {
	root(t)
	bin := build(t)
	for _, mode := range []string{"native", "generic"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			s, a, b := namespace(t, "s"), namespace(t, "a"), namespace(t, "b")
			pa, pb := fmt.Sprintf("ga%d", os.Getpid()%100000), fmt.Sprintf("gb%d", os.Getpid()%100000)
			for i, w := range []struct{ port, ns string }{{pa, a}, {pb, b}} {
				net := fmt.Sprintf("10.97.%d", i+1)
				sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s", w.port, s, w.ns),
					fmt.Sprintf("ip -n %s addr add %s.2/24 dev eth0", w.ns, net), "ip -n "+w.ns+" link set eth0 up",
					fmt.Sprintf("ip -n %s route add default via %s.1", w.ns, net),
					fmt.Sprintf("ip -n %s addr add %s.1/24 dev %s", s, net, w.port), "ip -n "+s+" link set "+w.port+" up")
			}
			sh(t, "ip netns exec "+s+" sysctl -qw net.ipv4.ip_forward=1")
			server := exec.Command("ip", "netns", "exec", b, "nc", "-lk", "5100")
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
			time.Sleep(1500 * time.Millisecond)
			if !connects(a, "10.97.2.2") {
				t.Fatal("the host's stack does not forward before the switch starts: the guard would prove nothing")
			}
			config := filepath.Join(dir, "bulkhead.toml")
			text := "control = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\n"
			for _, p := range []string{pa, pb} {
				text += fmt.Sprintf("[[ports]]\nname = %q\ndriver = \"xdp\"\nsegment = \"s\"\ndevice = %q\nmode = %q\n", p, p, mode)
			}
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			daemon := start(t, bin, config, s)
			sh(t, "ip -n "+a+" neigh replace 10.97.1.1 dev eth0 lladdr $(ip netns exec "+s+" cat /sys/class/net/"+pa+"/address)")
			if connects(a, "10.97.2.2") {
				t.Error("passed beside the switch while it denies")
			}
			_ = daemon.Process.Kill()
			_ = daemon.Wait()
			if connects(a, "10.97.2.2") {
				t.Error("passed beside the switch after it was killed")
			}
			daemon = start(t, bin, config, s)
			if connects(a, "10.97.2.2") {
				t.Error("passed beside the switch after it was started again")
			}
			if held := pins(t, s); len(held) != 2 {
				t.Errorf("pinned: %q", held)
			}
			_ = daemon.Process.Signal(os.Interrupt)
			_ = daemon.Wait()
			if left := pins(t, s); len(left) != 0 {
				t.Errorf("left in bpffs: %q", left)
			}
		})
	}
}
