package sys

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func root(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
}

func TestOpenNetnsRefuses(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		netns   string
		missing bool
		says    string
	}{
		"missing name":    {"bh-no-such-ns", true, "ip netns add"},
		"missing path":    {"/run/bh-no-such/ns", true, "is missing"},
		"missing process": {"pid:2147483647", true, "is missing"},
		"ordinary file":   {plain, true, "not a network namespace"},
		"another kind":    {"/proc/self/ns/mnt", true, "not a network namespace"},
		"climbing out":    {"../etc/passwd", false, "want a name"},
		"the directory":   {"..", false, "want a name"},
		"pid without one": {"pid:", false, "process number"},
		"pid of zero":     {"pid:0", false, "process number"},
		"pid of letters":  {"pid:web", false, "process number"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := OpenNetns(tt.netns)
			if err == nil {
				n.Close()
				t.Fatalf("opened %q", tt.netns)
			}
			if errors.Is(err, ErrNoNetns) != tt.missing || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q: missing = %v, should say %q", err, !tt.missing, tt.says)
			}
		})
	}
}

func TestNetnsDoEntersAndLeaves(t *testing.T) {
	root(t)
	name := fmt.Sprintf("bhsys%d", os.Getpid())
	if err := CreateNetns(name); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := RemoveNetns(name); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(NetnsDir, name)); !os.IsNotExist(err) {
			t.Errorf("the name is still there: %v", err)
		}
	}()
	if err := CreateNetns(name); !errors.Is(err, os.ErrExist) {
		t.Errorf("made %q twice: %v", name, err)
	}
	home, inside := inode(t, ""), inode(t, name)
	if home == inside {
		t.Fatal("the new namespace is the old one")
	}
	n, err := OpenNetns(name)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	failure := errors.New("what f said")
	err = n.Do(func() error {
		if got := inode(t, ""); got != inside {
			t.Errorf("inside Do: namespace %d, want %d", got, inside)
		}
		links, err := net.Interfaces()
		if err != nil || len(links) != 1 || links[0].Name != "lo" {
			t.Errorf("a new namespace has %v, %v", links, err)
		}
		return failure
	})
	if err != failure {
		t.Errorf("Do returned %v", err)
	}
	if err := n.Do(func() error { runtime.Goexit(); return nil }); err == nil || !strings.Contains(err.Error(), "was ended") {
		t.Errorf("f did not come back, and Do returned %v", err)
	}
	for range 50 { // a thread that had not come home would show sooner or later
		if got := inode(t, ""); got != home {
			t.Fatalf("after Do: namespace %d, want %d", got, home)
		}
	}
}

func inode(t *testing.T, name string) uint64 {
	t.Helper()
	path, err := netnsPath(name)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestMapAnonymousIsZeroAndWritable(t *testing.T) {
	mem, err := MapAnonymous(4 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(mem); i += 4096 {
		if mem[i] != 0 {
			t.Fatalf("byte %d is %d", i, mem[i])
		}
		mem[i] = 1
	}
	if err := Unmap(mem); err != nil {
		t.Fatal(err)
	}
	if _, err := MapAnonymous(0); err == nil {
		t.Error("mapped nothing")
	}
}

func TestMapSharedIsSeenThroughTheDescriptor(t *testing.T) {
	mem, fd, err := MapShared("bulkhead-test", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	defer Unmap(mem)
	copy(mem[4096:], "frame")
	got := make([]byte, 5)
	if _, err := unix.Pread(fd, got, 4096); err != nil || string(got) != "frame" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("the file could be shrunk under the mapping")
	}
	if _, _, err := MapShared("x", 5000); err == nil {
		t.Error("mapped part of a page")
	}
}

func TestPollSeesAnEvent(t *testing.T) {
	e, err := NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if ready, err := Poll(0, e.FD()); ready || err != nil {
		t.Errorf("not set: %v, %v", ready, err)
	}
	if e.Clear() {
		t.Error("was set from the start")
	}
	e.Set()
	e.Set()
	if ready, err := Poll(-1, e.FD()); !ready || err != nil {
		t.Errorf("set: %v, %v", ready, err)
	}
	if !e.Clear() || e.Clear() {
		t.Error("Clear does not say once that the event was set")
	}
	begin := time.Now()
	if ready, _ := Poll(20*time.Millisecond, e.FD()); ready || time.Since(begin) < 20*time.Millisecond {
		t.Errorf("ready = %v after %v", ready, time.Since(begin))
	}
}
