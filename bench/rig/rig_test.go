package rig

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func root(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
}

func newRig(t *testing.T) *Rig {
	t.Helper()
	root(t)
	r, err := New(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func exists(path string) bool { return !gone(path) }

func TestCloseLeavesNothing(t *testing.T) {
	r := newRig(t)
	var order []string
	r.Undo(func() error { order = append(order, "first"); return nil })
	r.Undo(func() error { order = append(order, "second"); return nil })
	spaces := []string{r.A, r.B, r.Middle}
	for _, s := range spaces {
		if !exists("/run/netns/" + s) {
			t.Errorf("no namespace %s", s)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range spaces {
		if exists("/run/netns/" + s) {
			t.Errorf("%s is left", s)
		}
	}
	if exists(r.Dir) {
		t.Errorf("%s is left", r.Dir)
	}
	if strings.Join(order, " ") != "second first" {
		t.Errorf("undone in the order %v", order)
	}
}

func TestNewThatFailsHalfWayLeavesNothing(t *testing.T) {
	first := newRig(t) // its names are those that the second wants
	if err := run("ip", "netns", "del", first.A); err != nil {
		t.Fatal(err)
	}
	if _, err := New(context.Background(), ""); err == nil {
		t.Fatal("made a rig although a name is taken")
	}
	if exists("/run/netns/" + first.A) {
		t.Error("the first namespace is left")
	}
	if dirs, _ := filepath.Glob(first.Dir[:strings.LastIndex(first.Dir, ".")] + ".*"); len(dirs) != 1 {
		t.Errorf("directories %v", dirs)
	}
	if err := run("ip", "netns", "add", first.A); err != nil {
		t.Fatal(err)
	}
}

// A command that fails says what was run and what it said.
func TestRunNamesTheCommand(t *testing.T) {
	r := newRig(t)
	err := r.Run("ip -n " + r.A + " link set no-such-device up")
	if err == nil || !strings.Contains(err.Error(), "link set no-such-device up") || !strings.Contains(err.Error(), "Cannot find device") {
		t.Errorf("%v", err)
	}
}

// Sweep takes what a dead run has left, and leaves alone what is somebody's.
func TestSweepTakesOnlyWhatDeadRunsLeft(t *testing.T) {
	r := newRig(t)
	corpse := exec.Command("true")
	if err := corpse.Run(); err != nil {
		t.Fatal(err)
	}
	dead := spacePrefix + strconv.Itoa(corpse.Process.Pid) + "a"
	other := spacePrefix + "x1a" // not of ours
	dir := filepath.Join(os.TempDir(), dirPrefix+strconv.Itoa(corpse.Process.Pid)+".123")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Run("ip netns add "+dead, "ip netns add "+other); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run("ip", "netns", "del", other) }()
	if err := Sweep(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/run/netns/" + dead: false, dir: false, "/run/netns/" + other: true, "/run/netns/" + r.A: true, r.Dir: true} {
		if exists(path) != want {
			t.Errorf("%s: there is %v, want %v", path, !want, want)
		}
	}
}

// Runs that start together sweep together: what one has just removed is no
// error of the other.
func TestSweepsMayMeet(t *testing.T) {
	r := newRig(t)
	corpse := exec.Command("true")
	if err := corpse.Run(); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"a", "b", "m"} {
		if err := r.Run("ip netns add " + spacePrefix + strconv.Itoa(corpse.Process.Pid) + end); err != nil {
			t.Fatal(err)
		}
	}
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- Sweep() }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestDaemonIsReadyWhenItSaysSo(t *testing.T) {
	r := newRig(t)
	mark := filepath.Join(r.Dir, "stopped")
	script := program(t, r, `trap 'echo yes >`+mark+`; exit 0' INT
ip -o link show > `+r.Dir+`/links
`+notifyReady+`
while :; do sleep 0.05; done`)
	if err := r.Daemon("bash", script); err != nil {
		t.Fatal(err)
	}
	links, err := os.ReadFile(filepath.Join(r.Dir, "links"))
	if err != nil || strings.Count(string(links), "\n") != 1 {
		t.Errorf("before it was ready, and in the middle namespace, it saw links %q, %v", links, err)
	}
	stopped := make(chan bool, 1)
	r.undo = append([]func() error{r.undo[0], func() error { stopped <- exists(mark); return nil }}, r.undo[1:]...)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if !<-stopped {
		t.Error("it was not interrupted")
	}
}

func TestDaemonTroublesAreTold(t *testing.T) {
	defer func(d time.Duration) { stopWithin = d }(stopWithin)
	stopWithin = 200 * time.Millisecond
	cases := []struct{ name, script, up, down string }{
		{"ends_before_it_is_ready", "echo no such policy >&2; exit 3", "no such policy", ""},
		{"ends_under_measurement", "echo $$ > $(dirname $0)/pid\n" + notifyReady + "\nexit 4", "", "ended by itself"},
		{"stops_with_an_error", "trap 'exit 5' INT\n" + notifyReady + "\nwhile :; do sleep 0.02; done", "", "exit status 5"},
		{"does_not_stop", "trap '' INT\n" + notifyReady + "\nwhile :; do sleep 0.02; done", "", "did not stop"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			err := r.Daemon("bash", program(t, r, c.script))
			tells(t, "up", err, c.up)
			if c.name == "ends_under_measurement" {
				ends(t, filepath.Join(r.Dir, "pid"))
			}
			tells(t, "down", r.Close(), c.down)
		})
	}
}

// ends waits until the process of a file is no more.
func ends(t *testing.T, file string) {
	t.Helper()
	pid, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if !exists("/proc/" + strings.TrimSpace(string(pid))) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it does not end")
}

func tells(t *testing.T, when string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", when, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want it to tell %q", when, err, want)
	}
}

// notifyReady is sd_notify for a shell; Perl is on every Debian.
const notifyReady = `perl -MSocket -e 'socket(S,PF_UNIX,SOCK_DGRAM,0) or die; send(S,"READY=1",0,pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die'`

func program(t *testing.T, r *Rig, text string) string {
	t.Helper()
	path, err := r.Write("program.sh", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A rig dies with its run: an interrupt ends the wait for a daemon at once.
func TestDaemonWaitEndsWithTheRun(t *testing.T) {
	root(t)
	ctx, cancel := context.WithCancel(context.Background())
	r, err := New(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	time.AfterFunc(100*time.Millisecond, cancel)
	start := time.Now()
	if err := r.Daemon("sleep", "60"); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "interrupt") {
		t.Errorf("sleep was ended by our interrupt, and Close says %v", err)
	}
}
