package control

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func options(path, group string) Options {
	return Options{Path: path, Group: group, Switch: &fake{}, Log: slog.New(slog.DiscardHandler)}
}

// mustListen listens and serves until the test ends.
func mustListen(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve()
	t.Cleanup(func() { s.Close() })
	return s
}

// asUser says what a process of another user gets from a socket: "answered",
// "hung up" or "refused". It runs this test binary as that user.
func asUser(t *testing.T, path string, uid, gid uint32, groups ...uint32) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	self := filepath.Join(filepath.Dir(path), "caller")
	if _, err := os.Stat(self); err != nil {
		binary, err := os.ReadFile(os.Args[0])
		if err := errors.Join(err, os.WriteFile(self, binary, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(self, "-test.run", "^TestCaller$")
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "CONTROL_TEST_SOCKET="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, _, _ := strings.Cut(string(out), "\n")
	return said
}

// TestCaller is the other user's process.
func TestCaller(t *testing.T) {
	path := os.Getenv("CONTROL_TEST_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Println("refused")
		return
	}
	_, _ = conn.Write([]byte("GET /v1/status HTTP/1.0\r\n\r\n"))
	b := make([]byte, 9)
	if n, err := conn.Read(b); err != nil || n == 0 {
		fmt.Println("hung up")
		return
	}
	fmt.Println("answered")
}

// reachable is a directory that any user may enter.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "control-test")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Root and processes in the group may call. Anybody else is refused by the
// socket's mode, and hung up on where the mode does not hold them.
func TestWhoMayCall(t *testing.T) {
	const nobody, daemons = 65534, 1 // group daemon is in every Debian
	path := filepath.Join(reachable(t), "s")
	mustListen(t, options(path, "daemon"))
	for _, c := range []struct {
		situation string
		uid, gid  uint32
		groups    []uint32
		want      string
	}{
		{"root", 0, 0, nil, "answered"},
		{"a stranger", nobody, nobody, nil, "refused"},
		{"another system user", 2, 2, []uint32{3}, "refused"},
		{"in the group", nobody, daemons, nil, "answered"},
		{"in the group as well", nobody, nobody, []uint32{3, daemons}, "answered"},
		{"in many groups", nobody, nobody, append(manyGroups(100), daemons), "answered"},
	} {
		if got := asUser(t, path, c.uid, c.gid, c.groups...); got != c.want {
			t.Errorf("%s is %s, want %s", c.situation, got, c.want)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := asUser(t, path, nobody, nobody, manyGroups(100)...); got != "hung up" {
		t.Errorf("a stranger whom the mode lets in is %s", got)
	}
	if got := asUser(t, path, nobody, daemons); got != "answered" {
		t.Errorf("in the group, mode 0666: %s", got)
	}
}

func manyGroups(n uint32) (out []uint32) {
	for i := range n {
		out = append(out, 70000+i)
	}
	return out
}

// Without a group nobody but root and ourselves may call.
func TestWithoutAGroupOnlyRoot(t *testing.T) {
	path := filepath.Join(reachable(t), "s")
	mustListen(t, options(path, ""))
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := asUser(t, path, 65534, 0); got != "hung up" {
		t.Errorf("a stranger in root's group is %s", got)
	}
	if got := asUser(t, path, 0, 65534); got != "answered" {
		t.Errorf("root is %s", got)
	}
}

// The socket has mode 0660 and the group; the lock beside it is ours alone,
// whatever the umask.
func TestModeAndGroup(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	path := filepath.Join(dir, "s")
	group := ""
	if os.Getuid() == 0 {
		group = "daemon"
	}
	s := mustListen(t, options(path, group))
	for file, want := range map[string]os.FileMode{path: os.ModeSocket | 0o660, path + ".lock": 0o600, dir: os.ModeDir | 0o750} {
		info, err := os.Lstat(file)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", file, info.Mode(), err, want)
		}
		if file == path && group != "" && info.Sys().(*syscall.Stat_t).Gid != 1 {
			t.Errorf("group %d", info.Sys().(*syscall.Stat_t).Gid)
		}
	}
	if now := syscall.Umask(0); now != 0 {
		t.Errorf("the umask is left at %o", now)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for _, file := range []string{path, path + ".lock"} {
		if _, err := os.Lstat(file); err == nil {
			t.Errorf("%s is left", file)
		}
	}
	if _, err := Listen(options(path, "no-such-group-here")); err == nil || !strings.Contains(err.Error(), "groupadd") {
		t.Errorf("a group that is not there: %v", err)
	}
}

// A socket of a live daemon is refused, and stays that daemon's; one that was
// left by a killed daemon is taken over.
func TestSecondDaemonAndStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	if err := os.WriteFile(path+".lock", []byte("99999999"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustListen(t, options(path, ""))
	_, err = Listen(options(path, ""))
	if err == nil || !strings.Contains(err.Error(), "another vswitchd (pid "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("a second daemon: %v", err)
	}
	if _, resp := ask(t, on(path), "GET", "/v1/status", ""); resp.StatusCode != 200 {
		t.Errorf("the first, after that: %d", resp.StatusCode)
	}
}

// What is at the path and is no socket is somebody's, and is not removed.
func TestNoSocketIsRemovedButASocket(t *testing.T) {
	dir := t.TempDir()
	file, empty, link := filepath.Join(dir, "file"), filepath.Join(dir, "empty"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("dear"), 0o600), os.Mkdir(empty, 0o700), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, empty, link} {
		s, err := Listen(options(path, ""))
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "is no socket") {
			t.Errorf("%s: %v", path, err)
		}
		if _, gone := os.Lstat(path); gone != nil {
			t.Errorf("%s was removed", path)
		}
	}
	if _, err := Listen(options(filepath.Join(file, "s"), "")); err == nil || !strings.Contains(err.Error(), "control =") {
		t.Errorf("below a file: %v", err)
	}
}

// A daemon that opened the lock file of one that was stopping has not got the
// socket: another may have made the file anew.
func TestLockOnNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if held, err := lockOpen(path, second); held || err == nil {
		t.Errorf("two at once: %v, %v", held, err)
	}
	if err := dropLock(first); err != nil {
		t.Fatal(err)
	}
	if held, err := lockOpen(path, second); held || err != nil {
		t.Errorf("a lock on a file that is gone: %v, %v", held, err)
	}
	third, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if held, err := lockOpen(path, second); held || err != nil {
		t.Errorf("a lock on a file that another took the place of: %v, %v", held, err)
	}
}

// However daemons come and go, two never have one socket.
func TestOneDaemonAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var mu sync.Mutex
	var wg sync.WaitGroup
	held, most, times := 0, 0, 0
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 200 {
				lock, err := lockFile(path)
				if err != nil {
					continue
				}
				mu.Lock()
				held, times = held+1, times+1
				most = max(most, held)
				mu.Unlock()
				mu.Lock()
				held--
				mu.Unlock()
				if err := dropLock(lock); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if most != 1 || times == 0 {
		t.Errorf("%d at once, %d times in all", most, times)
	}
}
