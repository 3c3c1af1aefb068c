package config_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bulkhead/vswitch/config"
)

// What is no configuration file is refused with one sentence that says which
// file and what to do, at once and without reading it whole.
func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge.toml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<30); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe.toml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.toml")
	for _, c := range []struct{ situation, path, want string }{
		{"a directory", dir, "not a regular file; name one with -c"},
		{"no file", missing, "no such file or directory; name one with -c"},
		{"a file in a file", huge + "/x", "not a directory"},
		{"a pipe that nobody writes", pipe, "not a regular file"},
		{"a device", "/dev/zero", "not a regular file"},
		{"a file of 1 GiB", huge, "more than the 16777216 bytes"},
		{"a name with a NUL", "a\x00b", "invalid argument"},
	} {
		begun := time.Now()
		_, err := config.Load(c.path)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.situation, err, c.want)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s took %v", c.situation, took)
		}
	}
}

// A file that may not be read is said to be so. Root reads everything, so the
// file is read by another user, in a process of its own.
func TestLoadUnreadable(t *testing.T) {
	if path := os.Getenv("CONFIG_TEST_UNREADABLE"); path != "" {
		_, err := config.Load(path)
		if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "let the daemon's user read it") {
			t.Errorf("read by uid %d: %v", os.Getuid(), err)
		}
		return
	}
	dir, err := os.MkdirTemp("/tmp", "config-test")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path, self := filepath.Join(dir, "secret.toml"), filepath.Join(dir, "test")
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, []byte("workers = 1\n"), 0o000), os.WriteFile(self, binary, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestLoadUnreadable$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CONFIG_TEST_UNREADABLE="+path)
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// A byte order mark, line ends of another system, and no end of line at the
// end are no mistakes, and places are right among them.
func TestLoadOtherEditors(t *testing.T) {
	text := "\ufeffworkers = 1\r\n[[segments]]\r\nname = 'a'\r\nmtu = 1 # small\r\n[[segments]]\r\n\"name\" = \"\"\"\r\nb\"\"\""
	_, err := config.Parse("w.toml", []byte(text))
	var mistakes config.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) != 1 || mistakes[0].Line != 4 || mistakes[0].Column != 7 {
		t.Errorf("%v", err)
	}
}

// Ten thousand ports, and as many mistakes, are read in the time that a reload
// may take.
func TestLoadLarge(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("[[segments]]\nname = \"s\"\n")
	for range 4000 {
		b.WriteString("[[ports]]\nname = \"same\"\nsegment = \"none-of-them\"\ndriver = \"xdp\"\nmac = \"x\"\nips = [\"y\"]\n")
	}
	begun := time.Now()
	_, err := config.Parse("l.toml", b.Bytes())
	mistakes, _ := err.(config.Mistakes)
	if len(mistakes) < 4*4000 {
		t.Errorf("%d mistakes", len(mistakes))
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
