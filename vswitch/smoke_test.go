package vswitch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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

// namespaces counts those made, so that tests side by side have their own.
var namespaces atomic.Int64

// namespace makes one that the test's end removes.
func namespace(t *testing.T, name string) string {
	t.Helper()
	ns := fmt.Sprintf("vst%d-%d%s", os.Getpid(), namespaces.Add(1), name)
	sh(t, "ip netns add "+ns, "ip -n "+ns+" link set lo up")
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	return ns
}

// TestMain removes what build made.
func TestMain(m *testing.M) {
	code := m.Run()
	printAttacks()
	printFaults()
	if dir, err := built(); err == nil && buildAsked.Load() {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// buildAsked says that a test has asked for the daemon.
var buildAsked atomic.Bool

// built builds the daemon, once for all tests.
var built = sync.OnceValues(func() (dir string, err error) {
	if !buildAsked.Load() {
		return "", nil
	}
	if dir, err = os.MkdirTemp("", "vswitchd-test-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir, "./cmd/vswitchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build: %w: %s", err, out)
	}
	return dir, nil
})

// build returns the daemon's file.
func build(t *testing.T) string {
	t.Helper()
	buildAsked.Store(true)
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "vswitchd")
}

// start runs the daemon, in a network namespace if one is named, until it is
// ready.
func start(t *testing.T, bin, config, netns string, more ...string) *exec.Cmd {
	t.Helper()
	// A port helper that outlives the daemon goes on writing to it, beside the next one.
	log, err := os.OpenFile(filepath.Join(filepath.Dir(config), "log"), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{bin, "run", "-c", config}, more...)
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
// goes with a daemon of one process, killed or stopped; and it starts again after
// a kill.
func TestSmokeDeniesAndLeavesNothing(t *testing.T) {
	root(t)
	t.Parallel()
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
	daemon := start(t, bin, config, "", "--single-process")
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
	daemon = start(t, bin, config, "", "--single-process")
	_ = daemon.Process.Signal(os.Interrupt)
	if err := daemon.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "s.sock")); err == nil {
		t.Error("the socket is left")
	}
}
