package xdp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// dies is set in the environment of a process that opens a port and dies: what
// it does is in TestMain.
const dies = "BULKHEAD_TEST_OPEN_AND_DIE"

func TestMain(m *testing.M) {
	if what := os.Getenv(dies); what != "" {
		openAndDie(strings.Fields(what))
	}
	os.Exit(m.Run())
}

// openAndDie opens a device in a mode, as workload or uplink, and is killed.
func openAndDie(what []string) {
	mem, err := sys.MapAnonymous(2048 * port.ChunkSize)
	if err != nil {
		panic(err)
	}
	region, err := port.NewRegion(mem)
	if err != nil {
		panic(err)
	}
	c := Config{Name: "dying", Device: what[0], Mode: what[1], MTU: 1500, Queues: 1, Region: region}
	if what[2] == "uplink" {
		c.Uplink = both()
	}
	if _, err := Open(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// opens runs openAndDie by way of a command; an error is what it said.
func opens(t *testing.T, what string, by ...string) error {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(by[0], append(by[1:], self)...)
	cmd.Env = append(os.Environ(), dies+"="+what)
	out, err := cmd.CombinedOutput()
	if err != nil && (strings.Contains(err.Error(), "killed") || cmd.ProcessState.ExitCode() == 128+int(unix.SIGKILL)) {
		return nil // as it should be
	}
	return fmt.Errorf("%v: %s", err, out)
}

// guarded tells whether a program is on the device in the namespace.
func guarded(t *testing.T, netns, device string) bool {
	t.Helper()
	out, err := exec.Command("ip", "-n", netns, "link", "show", device).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Contains(string(out), "xdp")
}

// Under `ip netns exec` bpffs goes with the process: a workload's port is not
// opened there, and the error names the cure, which works.
func TestAPortIsOpenedOnlyWhereItsPinOutlivesTheSwitch(t *testing.T) {
	root(t)
	s := newShared(t)
	workload := uplinkDevice + " native workload"
	err := opens(t, workload, "ip", "netns", "exec", s.hostName)
	if err == nil || !strings.Contains(err.Error(), "nsenter --net=") {
		t.Fatalf("under ip netns exec: %v", err)
	}
	if guarded(t, s.hostName, uplinkDevice) {
		t.Fatal("what was begun is not undone")
	}
	// The fear is real: the program of an uplink, which nothing forbids there,
	// goes with its process.
	if err := opens(t, uplinkDevice+" native uplink", "ip", "netns", "exec", s.hostName); err != nil {
		t.Fatal(err)
	}
	if guarded(t, s.hostName, uplinkDevice) {
		t.Error("a pin in a private bpffs has outlived its process: the refusal is needless here")
	}
	if err := opens(t, workload, "nsenter", "--net=/run/netns/"+s.hostName); err != nil {
		t.Fatal(err)
	}
	if !guarded(t, s.hostName, uplinkDevice) {
		t.Error("the cure does not work: the device is open")
	}
}

// A mount namespace of one's own is no harm where the host's bpffs is in it, as
// in a systemd unit with PrivateMounts.
func TestAMountNamespaceOfOnesOwn(t *testing.T) {
	root(t)
	s := newShared(t)
	by := []string{"nsenter", "--net=/run/netns/" + s.hostName, "unshare", "--mount", "--propagation", "slave"}
	if err := opens(t, uplinkDevice+" native workload", by...); err != nil {
		t.Fatal(err)
	}
	if !guarded(t, s.hostName, uplinkDevice) {
		t.Error("the device is open")
	}
	hidden := append(by, "sh", "-c", "mount -t bpf bpf /sys/fs/bpf && exec $0")
	if err := opens(t, uplinkDevice+" native workload", hidden...); err == nil || !strings.Contains(err.Error(), "nsenter") {
		t.Errorf("with another bpffs over the host's: %v", err)
	}
}

// A container sees neither the host's first process nor, unless it is given
// it, the host's bpffs.
func TestAContainer(t *testing.T) {
	root(t)
	s := newShared(t)
	by := []string{"nsenter", "--net=/run/netns/" + s.hostName, "unshare", "--mount", "--pid", "--fork", "--kill-child"}
	given := append(by, "sh", "-c", "mount -t proc proc /proc && $0; exit $?")
	if err := opens(t, uplinkDevice+" native workload", given...); err != nil {
		t.Errorf("with the host's bpffs: %v", err)
	}
	if !guarded(t, s.hostName, uplinkDevice) {
		t.Error("the device is open")
	}
	bare := append(by, "sh", "-c", "mount -t proc proc /proc && umount /sys/fs/bpf && $0")
	if err := opens(t, uplinkDevice+" native workload", bare...); err == nil || !strings.Contains(err.Error(), "-v /sys/fs/bpf") {
		t.Errorf("without it: %v", err)
	}
}

// Two namespaces may have devices of one name and one number: each has its
// guard.
func TestPinsOfTwoNamespaces(t *testing.T) {
	root(t)
	a, b := newShared(t), newShared(t)
	pa, err := a.open("native", both())
	if err != nil {
		t.Fatal(err)
	}
	defer pa.Close()
	pb, err := b.open("native", both())
	if err != nil {
		t.Fatal(err)
	}
	defer pb.Close()
	if pa.index != pb.index {
		t.Logf("the devices' numbers differ: %d and %d", pa.index, pb.index)
	}
	if pa.attach.path == pb.attach.path {
		t.Error("one pin for both")
	}
	for _, s := range []*shared{a, b} {
		if !guarded(t, s.hostName, uplinkDevice) {
			t.Errorf("%s is open", s.hostName)
		}
	}
	if err := pb.Close(); err != nil {
		t.Fatal(err)
	}
	if !guarded(t, a.hostName, uplinkDevice) {
		t.Error("closing one took the other's program")
	}
}

// bpffs takes no dots in a name, devices have them.
func TestPinOfADottedName(t *testing.T) {
	root(t)
	s := newShared(t)
	ip(t, "-n", s.hostName, "link", "set", uplinkDevice, "name", "up0.5")
	if err := opens(t, "up0.5 native workload", "nsenter", "--net=/run/netns/"+s.hostName); err != nil {
		t.Error(err)
	}
}

// What a killed switch left is taken over, in the mode that is asked for now;
// what it left of a device that is gone is removed.
func TestAdoptAndSweep(t *testing.T) {
	root(t)
	s := newShared(t)
	for _, mode := range []string{"generic", "native", "native", "auto"} {
		if err := opens(t, uplinkDevice+" "+mode+" workload", "nsenter", "--net=/run/netns/"+s.hostName); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		out, err := exec.Command("ip", "-n", s.hostName, "link", "show", uplinkDevice).Output()
		if err != nil {
			t.Fatal(err)
		}
		if generic := strings.Contains(string(out), "xdpgeneric"); generic != (mode == "generic") || !strings.Contains(string(out), "xdp") {
			t.Errorf("%s: %s", mode, out)
		}
	}
	var ns unix.Stat_t
	if err := unix.Stat("/run/netns/"+s.hostName, &ns); err != nil {
		t.Fatal(err)
	}
	pins := func() []string {
		list, _ := filepath.Glob(filepath.Join(PinDir, strconv.FormatUint(ns.Ino, 10)+"-*"))
		return list
	}
	if len(pins()) != 1 {
		t.Fatalf("pins: %q", pins())
	}
	ip(t, "-n", s.hostName, "link", "del", uplinkDevice)
	other := newShared(t)
	p, err := other.open("native", both())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if len(pins()) != 0 {
		t.Errorf("left of a device that is gone: %q", pins())
	}
}

func TestHasMounted(t *testing.T) {
	const mounts = `22 1 0:21 / /proc rw,relatime shared:5 - proc proc rw
51 23 0:40 / /sys/fs/bpf rw,relatime shared:9 master:2 - bpf bpf rw
52 23 0:41 / /a\040-\040b rw - tmpfs tmpfs rw
53 23 0:400 /x /mnt rw - bpf none rw
`
	for _, c := range []struct {
		name         string
		major, minor uint32
		want         bool
	}{
		{"the host's", 0, 40, true},
		{"mounted somewhere else", 0, 400, true},
		{"another number", 0, 4, false},
		{"no bpffs", 0, 41, false},
		{"another major number", 4, 40, false},
	} {
		if got := hasMounted(strings.NewReader(mounts), unix.Mkdev(c.major, c.minor)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A port of another driver gets a device that a killed switch had by XDP: the
// program goes, and not before the link is down.
func TestForget(t *testing.T) {
	root(t)
	s := newShared(t)
	if err := opens(t, uplinkDevice+" native workload", "nsenter", "--net=/run/netns/"+s.hostName); err != nil {
		t.Fatal(err)
	}
	ip := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("ip", append([]string{"-n", s.hostName}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	ip("link", "set", uplinkDevice, "up")
	ns, err := sys.OpenNetns(s.hostName)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(func() error { return Forget(uplinkDevice) }); err != nil {
		t.Fatal(err)
	}
	if guarded(t, s.hostName, uplinkDevice) {
		t.Error("the program is still there")
	}
	if out := ip("link", "show", uplinkDevice); !strings.Contains(out, "state DOWN") {
		t.Errorf("the device is open: %s", out)
	}
	if err := ns.Do(func() error { return Forget(uplinkDevice) }); err != nil {
		t.Errorf("where there is nothing: %v", err)
	}
}
