package vswitch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// twoProcs is a switch of two processes with a TAP, an xdp and a packet port.
type twoProcs struct {
	t       *testing.T
	own     string // the switch's namespace
	ends    []string
	config  string
	text    string
	control *control.Client
	daemon  *exec.Cmd
}

// port is a port's table, and makes the veth that it sits on.
func (p *twoProcs) port(i int, driver string) string {
	ns := namespace(p.t, fmt.Sprint("h", i))
	mac, host := fmt.Sprintf("02:94:00:00:00:0%d", i+1), fmt.Sprintf("h%d-%d", i, os.Getpid()%1000000)
	text := fmt.Sprintf("[[ports]]\nname = \"p%d\"\ndriver = %q\nsegment = \"s\"\nmac = %q\nips = [\"10.94.0.%d\"]\n", i, driver, mac, i+1)
	p.ends = append(p.ends, ns)
	if driver == "tap" {
		return text + fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", ns)
	}
	sh(p.t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, p.own, ns, mac),
		fmt.Sprintf("ip -n %s addr add 10.94.0.%d/24 dev eth0", ns, i+1), "ip -n "+ns+" link set eth0 up")
	return text + fmt.Sprintf("device = %q\n", host)
}

func newTwoProcs(t *testing.T, args ...string) *twoProcs {
	t.Helper()
	bin, dir := build(t), t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // another user has to get in
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writePolicy(t, filepath.Join(dir, "web.bhp"), "tcp/5100")
	if err := os.Chmod(filepath.Join(dir, "web.bhp"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &twoProcs{t: t, own: namespace(t, "s"), config: filepath.Join(dir, "bulkhead.toml")}
	p.text = "policy = \"web.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\ngateways = [\"10.94.0.254/24\"]\n" +
		p.port(0, "tap") + p.port(1, "xdp") + p.port(2, "packet")
	p.write(p.text)
	p.control = control.NewClient(filepath.Join(dir, "s.sock"))
	p.daemon = start(t, bin, p.config, p.own, args...)
	return p
}

func (p *twoProcs) write(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.config, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *twoProcs) status() (s api.Status) {
	p.t.Helper()
	if err := p.control.Get(context.Background(), "/v1/status", &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// carries has every end connect with every other.
func (p *twoProcs) carries(while string) {
	p.t.Helper()
	for i, from := range p.ends {
		to := (i + 1) % len(p.ends)
		transfer(p.t, from, p.ends[to], fmt.Sprintf("10.94.0.%d", to+1), while)
	}
}

// helpers are the port helpers of the switch: the one that keeps it up, and it.
func (p *twoProcs) helpers() (keeper, helper int) {
	keeper = p.childOf(p.daemon.Process.Pid)
	return keeper, p.childOf(keeper)
}

func (p *twoProcs) childOf(pid int) int {
	p.t.Helper()
	for range 100 {
		out, _ := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
		if child, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil {
			return child
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.t.Fatalf("process %d has no child", pid)
	return 0
}

// unprivileged fails the test if a thread of the switch has a capability, could get
// one, or is another user's.
func (p *twoProcs) unprivileged(uid string) {
	p.t.Helper()
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.daemon.Process.Pid))
	if len(threads) < 2 {
		p.t.Fatalf("%d threads", len(threads))
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, want := range []string{"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Uid:\t" + uid + "\t"} {
			if !strings.Contains(string(text), want) {
				p.t.Errorf("%s has no %q", path, want)
			}
		}
	}
}

// The switch has no capability on any thread and is another user, frames flow over
// every driver, a reload opens another port and changes one, and at the end nothing
// is left: neither device, nor guard, nor helper.
func TestSmokeTwoProcesses(t *testing.T) {
	root(t)
	t.Parallel()
	p := newTwoProcs(t, "--user", "nobody")
	if s := p.status(); s.SingleProcess || len(s.Warnings) > 0 {
		t.Errorf("single_process %v, warnings %q", s.SingleProcess, s.Warnings)
	}
	p.carries("at first")
	p.unprivileged("65534")
	p.write(strings.Replace(p.text, "name = \"p0\"", "name = \"p0\"\nmtu = 1400", 1) + p.port(3, "auto"))
	if err := p.control.Post(context.Background(), "/v1/reload", nil, &api.Done{}); err != nil {
		t.Fatal(err)
	}
	p.carries("after a reload")
	p.unprivileged("65534")
	_, helper := p.helpers()
	_ = p.daemon.Process.Signal(syscall.SIGTERM)
	if err := p.daemon.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if syscall.Kill(helper, 0) == nil {
		t.Error("the helper is left")
	}
	if exec.Command("ip", "-n", p.ends[0], "link", "show", "eth0").Run() == nil {
		t.Error("the TAP is left")
	}
	for i := 1; i < 4; i++ {
		if guardHeld(t, p.own, fmt.Sprintf("h%d-%d", i, os.Getpid()%1000000)) {
			t.Errorf("what kept the host's stack off p%d is left", i)
		}
	}
}

// A helper that is killed takes nothing along: frames flow on, the status says what
// cannot be done; another one comes by itself, looks after what is open, and opens
// and closes.
func TestSmokeHelperKilled(t *testing.T) {
	root(t)
	t.Parallel()
	p := newTwoProcs(t)
	keeper, helper := p.helpers()
	_ = syscall.Kill(keeper, syscall.SIGSTOP) // nobody starts another one yet
	_ = syscall.Kill(helper, syscall.SIGKILL)
	p.carries("without a helper")
	if s := p.status(); len(s.Warnings) == 0 || !strings.Contains(s.Warnings[0], "the port helper is away") {
		t.Errorf("warnings %q", s.Warnings)
	}
	more := p.text + p.port(3, "tap")
	p.write(more)
	if err := p.control.Post(context.Background(), "/v1/reload", nil, &api.Done{}); err == nil || !strings.Contains(err.Error(), "the port helper is away") {
		t.Errorf("a port opened without a helper: %v", err)
	}
	_ = syscall.Kill(keeper, syscall.SIGCONT)
	for i := 0; !strings.Contains(logOf(p.config), "helper-back"); i++ {
		if i > 250 {
			t.Fatalf("no other helper comes: %s", logOf(p.config))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := p.control.Post(context.Background(), "/v1/reload", nil, &api.Done{}); err != nil {
		t.Fatal(err)
	}
	p.carries("with another helper")
	sh(t, "tc -n "+p.own+" qdisc del dev "+fmt.Sprintf("h2-%d", os.Getpid()%1000000)+" clsact")
	for i := 0; !strings.Contains(logOf(p.config), "port-gone"); i++ {
		if i > 250 {
			t.Fatal("nobody sees that a guard is broken that the first helper had made")
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = p.daemon.Process.Signal(syscall.SIGTERM)
	if err := p.daemon.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if exec.Command("ip", "-n", p.ends[0], "link", "show", "eth0").Run() == nil {
		t.Error("the TAP is left")
	}
	if guardHeld(t, p.own, fmt.Sprintf("h1-%d", os.Getpid()%1000000)) {
		t.Error("what kept the host's stack off p1 is left")
	}
}

func logOf(config string) string {
	text, _ := os.ReadFile(filepath.Join(filepath.Dir(config), "log"))
	return string(text)
}

// guardHeld tells whether a device is kept from the host's stack, in either way.
func guardHeld(t *testing.T, netns, device string) bool {
	return pinned(t, netns, device) || filtered(t, netns, device)
}
