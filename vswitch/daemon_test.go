package vswitch_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// These tests run the daemon itself. Those that need no device need no root.

// daemon is a vswitchd with what it says to systemd.
type daemon struct {
	t       *testing.T
	cmd     *exec.Cmd
	dir     string
	control *control.Client
	told    chan string // what it tells systemd
}

// run starts a daemon of a configuration and does not wait for it.
func run(t *testing.T, bin, text string, env ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir()}
	d.write(text)
	socket := &net.UnixAddr{Name: filepath.Join(d.dir, "notify"), Net: "unixgram"}
	systemd, err := net.ListenUnixgram("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	d.told = make(chan string, 4096)
	go listen(systemd, d.told)
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	d.cmd = exec.Command(bin, "run", "-c", filepath.Join(d.dir, "bulkhead.toml"))
	d.cmd.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+socket.Name), env...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.cmd.Process.Signal(syscall.SIGTERM); _ = d.ends(); systemd.Close(); log.Close() })
	d.control = control.NewClient(filepath.Join(d.dir, "run", "s.sock"))
	return d
}

// write puts a configuration in place, whole. The socket's directory is not
// there before the daemon is.
func (d *daemon) write(text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, "bulkhead.toml")
	err := os.WriteFile(path+".new", []byte("control = \"run/s.sock\"\nmetrics = \"\"\n"+text), 0o600)
	if err := errors.Join(err, os.Rename(path+".new", path)); err != nil {
		d.t.Fatal(err)
	}
}

// listen takes what is said until the socket is closed. It is always taken: a
// daemon waits for systemd to have room.
func listen(socket *net.UnixConn, told chan<- string) {
	buf := make([]byte, 4096)
	for {
		n, err := socket.Read(buf)
		if err != nil {
			return
		}
		select {
		case told <- string(buf[:n]):
		default:
		}
	}
}

// says waits for a message to systemd with a word in it, and returns it.
func (d *daemon) says(word string) string {
	d.t.Helper()
	return d.saysAll(word)
}

// saysAll waits until systemd has been told all of these, in any order, and returns
// what told the last of them.
func (d *daemon) saysAll(words ...string) string {
	d.t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case text := <-d.told:
			words = slices.DeleteFunc(words, func(word string) bool { return strings.Contains(text, word) })
			if len(words) == 0 {
				return text
			}
		case <-late:
			d.t.Fatalf("the daemon never said %s\n%s", words, d.log())
		}
	}
}

// ends waits for the daemon to end, and kills it if it does not.
func (d *daemon) ends() error {
	timer := time.AfterFunc(10*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	return d.cmd.Wait()
}

func (d *daemon) log() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(text)
}

func (d *daemon) status() (s api.Status) {
	d.t.Helper()
	if err := d.control.Get(context.Background(), "/v1/status", &s); err != nil {
		d.t.Fatal(err)
	}
	return s
}

// ports lists the ports by name.
func (d *daemon) ports() map[string]api.Port {
	d.t.Helper()
	var list []api.Port
	if err := d.control.Get(context.Background(), "/v1/ports", &list); err != nil {
		d.t.Fatal(err)
	}
	byName := map[string]api.Port{}
	for _, p := range list {
		byName[p.Name] = p
	}
	return byName
}

// comesTo waits until a port is as wanted.
func (d *daemon) comesTo(what, name string, holds func(api.Port) bool) {
	d.t.Helper()
	for range 200 {
		if holds(d.ports()[name]) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.t.Fatalf("port %s never came to be %s: %+v\n%s", name, what, d.ports()[name], d.log())
}

const bare = "[[segments]]\nname = \"s\"\n"

// What systemd is told, from the start to the end; a reload that fails is told
// as one that is over, because the switch goes on, and the log, the call and
// the status say why.
func TestDaemonTellsSystemd(t *testing.T) {
	t.Parallel()
	d := run(t, build(t), bare, "WATCHDOG_USEC=300000")
	d.says("READY=1")
	d.says("WATCHDOG=1")
	before := d.status().Generation
	hup := func() {
		t.Helper()
		if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if text := d.says("RELOADING=1"); !strings.Contains(text, "MONOTONIC_USEC=") {
			t.Errorf("%q lacks the time that Type=notify-reload needs", text)
		}
		d.says("READY=1")
	}
	d.write(bare + "[[segments]]\nname = \"t\"\n")
	hup()
	if s := d.status(); s.Segments != 2 || s.Generation != before+1 {
		t.Errorf("SIGHUP did not reload: %+v", s)
	}
	d.write(bare + "[[segments\n")
	hup()
	s := d.status()
	if s.Segments != 2 || s.Generation != before+1 {
		t.Errorf("a broken configuration changed something: %+v", s)
	}
	err := d.control.Post(context.Background(), "/v1/reload", nil, &api.Done{})
	for who, text := range map[string]string{"log": d.log(), "status": strings.Join(s.Warnings, "\n"), "call": fmt.Sprint(err)} {
		if !strings.Contains(text, "bulkhead.toml:") {
			t.Errorf("the %s does not say why: %q", who, text)
		}
	}
	d.write(bare + "workers = 2\n")
	hup()
	d.write("workers = 2\n" + bare)
	hup()
	if s := d.status(); !strings.Contains(strings.Join(s.Warnings, "\n"), "workers") || s.Workers != 1 {
		t.Errorf("nothing says that workers need a restart: %+v", s)
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	d.says("STOPPING=1")
	if err := d.ends(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "run", "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A SIGHUP that comes while the daemon starts does not end it, but reloads
// when it has started. The lock shows that it is under way.
func TestDaemonStartsUnderSIGHUP(t *testing.T) {
	t.Parallel()
	bin := build(t)
	for range 3 {
		d := run(t, bin, bare)
		for i := 0; ; i++ {
			if _, err := os.Stat(filepath.Join(d.dir, "run", "s.sock.lock")); err == nil {
				break
			} else if i > 100000 {
				t.Fatalf("no lock: %s", d.log())
			}
			time.Sleep(50 * time.Microsecond)
		}
		for range 20 {
			_ = d.cmd.Process.Signal(syscall.SIGHUP)
			time.Sleep(100 * time.Microsecond)
		}
		d.saysAll("READY=1", "RELOADING=1") // it may reload before the canary has shown anything
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		if err := d.ends(); err != nil {
			t.Errorf("ended with %v\n%s", err, d.log())
		}
	}
}

// A start that cannot be says what, where and what mends it, and leaves
// nothing.
func TestSmokeDaemonRefusesToStart(t *testing.T) {
	root(t)
	t.Parallel()
	bin := build(t)
	ns := namespace(t, "r")
	good := fmt.Sprintf("[[ports]]\nname = \"good\"\nsegment = \"s\"\nnetns = %q\n", ns)
	// The same namespace by its path: to the configuration it is another.
	twin := fmt.Sprintf("[[ports]]\nname = \"p\"\nsegment = \"s\"\nnetns = %q\n", "/run/netns/"+ns)
	for name, tt := range map[string]struct{ text, says string }{
		"a namespace is missing": {bare + good + "[[ports]]\nname = \"p\"\nsegment = \"s\"\nnetns = \"vst-no-such\"\n", "ip netns add"},
		"a device is missing":    {bare + good + "[[ports]]\nname = \"p\"\nsegment = \"s\"\ndriver = \"xdp\"\ndevice = \"vst-none\"\n", "create it"},
		"two want one device":    {bare + good + twin, "exists already"},
		"the group is missing":   {"control_group = \"no-such-group\"\n" + bare, "groupadd"},
	} {
		d := run(t, bin, tt.text)
		if err := d.ends(); err == nil || d.cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: ended with %v", name, err)
		}
		if text := d.log(); !strings.Contains(text, tt.says) {
			t.Errorf("%s: says %q, not %q", name, text, tt.says)
		}
		if exec.Command("ip", "-n", ns, "link", "show", "eth0").Run() == nil {
			t.Errorf("%s: a device is left", name)
		}
		if left, _ := filepath.Glob(filepath.Join(d.dir, "run", "*")); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

// A device or its namespace is deleted under a port: the port says so and what
// is to be done, the daemon sleeps, and the port is up again when it can be.
func TestSmokeDevicesGoAndComeBack(t *testing.T) {
	root(t)
	t.Parallel()
	bin := build(t)
	a, b, c := namespace(t, "a"), namespace(t, "b"), namespace(t, "c")
	host := fmt.Sprintf("gc%d", os.Getpid()%1000000)
	veth := fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", host, c)
	sh(t, veth)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", host).Run() })
	text := bare
	for i, ns := range []string{a, b} {
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"s\"\nnetns = %q\nmac = \"02:96:00:00:00:0%d\"\nips = [\"10.96.0.%d\"]\n", i, ns, i+1, i+1)
	}
	text += fmt.Sprintf("[[ports]]\nname = \"px\"\nsegment = \"s\"\ndriver = \"xdp\"\ndevice = %q\n", host)
	d := run(t, bin, text)
	d.says("READY=1")
	sh(t, "ip -n "+c+" link set eth0 up")
	up := func(p api.Port) bool { return p.Up }
	absent := func(says string) func(api.Port) bool {
		return func(p api.Port) bool { return !p.Up && strings.Contains(p.Error, says) }
	}
	d.comesTo("up", "px", up)

	sh(t, "ip -n "+a+" link del eth0")
	d.comesTo("up again", "p0", func(p api.Port) bool { return p.Up && p.ID > 2 })
	sh(t, "ip -n "+a+" addr show dev eth0 | grep -q 10.96.0.1")

	sh(t, "ip netns del "+b)
	d.comesTo("absent, with a cure", "p1", absent("ip netns add"))
	sh(t, "ip link del "+host)
	d.comesTo("absent, with a cure", "px", absent("create it"))
	if used := cpu(t, d.cmd.Process.Pid, 500*time.Millisecond); used > 150*time.Millisecond {
		t.Errorf("the daemon used %v of half a second: it spins", used)
	}
	if s := d.status(); len(s.Warnings) != 2 || s.PortsUp != 1 {
		t.Errorf("the status: %+v", s)
	}
	sh(t, "ip netns add "+b, veth, "ip -n "+c+" link set eth0 up")
	d.comesTo("up again", "p1", up)
	d.comesTo("up again", "px", up)
	if s := d.status(); len(s.Warnings) != 0 {
		t.Errorf("the status still warns: %q", s.Warnings)
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.ends(); err != nil {
		t.Errorf("stopped with %v\n%s", err, d.log())
	}
	if pinned(t, "", host) {
		t.Error("the pin is left")
	}
}

// Somebody takes the guard of a packet port away: the port is shut, opened anew
// under another number, and guarded.
func TestSmokeABrokenGuardIsMended(t *testing.T) {
	root(t)
	t.Parallel()
	bin, far, host := build(t), namespace(t, "g"), fmt.Sprintf("gg%d", os.Getpid()%1000000)
	sh(t, fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", host, far), "ip -n "+far+" link set eth0 up")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", host).Run() })
	d := run(t, bin, bare+fmt.Sprintf("[[ports]]\nname = \"p\"\nsegment = \"s\"\ndriver = \"packet\"\ndevice = %q\n", host))
	d.says("READY=1")
	before := 0
	d.comesTo("up", "p", func(p api.Port) bool { before = int(p.ID); return p.Up })
	sh(t, "tc qdisc del dev "+host+" clsact")
	d.comesTo("up again", "p", func(p api.Port) bool { return p.Up && int(p.ID) != before })
	sh(t, "tc filter show dev "+host+" ingress | grep -q bulkhead", "tc filter show dev "+host+" egress | grep -q bulkhead")
}

// Two workers, two queues a TAP, four TCP connections at once: all go through,
// and both workers carry.
func TestSmokeTwoWorkers(t *testing.T) {
	root(t)
	t.Parallel()
	bin := build(t)
	a, b := namespace(t, "a"), namespace(t, "b")
	text := "workers = 2\npolicy = \"iperf.bhp\"\n" + bare
	for i, ns := range []string{a, b} {
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"s\"\nnetns = %q\nmac = \"02:95:00:00:00:0%d\"\nips = [\"10.95.0.%d\"]\n", i, ns, i+1, i+1)
	}
	text = strings.Replace(text, bare, bare+"gateways = [\"10.95.0.254/24\"]\n", 1)
	dir := t.TempDir()
	writePolicy(t, filepath.Join(dir, "iperf.bhp"), "tcp/5201")
	text = strings.Replace(text, "iperf.bhp", filepath.Join(dir, "iperf.bhp"), 1)
	d := run(t, bin, text)
	d.says("READY=1")
	server := exec.Command("ip", "netns", "exec", b, "iperf3", "-s", "-1")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	time.Sleep(300 * time.Millisecond)
	out, err := exec.Command("ip", "netns", "exec", a, "iperf3", "-c", "10.95.0.2", "-P", "4", "-t", "2", "-f", "g").CombinedOutput()
	if err != nil {
		t.Fatalf("iperf3: %v\n%s\n%s", err, out, d.log())
	}
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "SUM") && strings.Contains(line, "receiver") {
			t.Log(line)
		}
	}
	for name, p := range d.ports() {
		sum := p.Out + p.Consumed
		for _, n := range p.Drops {
			sum += n
		}
		if p.In+p.Copies != sum || p.In == 0 {
			t.Errorf("the accounts of %s do not balance: %+v", name, p)
		}
	}
}
