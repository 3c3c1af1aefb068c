package atomicfile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// want holds that a directory has exactly these files with these texts.
func want(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(files) {
		t.Errorf("%v in the directory, want %v", entries, files)
	}
	for name, text := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
			t.Errorf("%s has %q (%v), want %q", name, got, err, text)
		}
	}
}

func TestANewFileHonoursTheUmask(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "f")
	if err := Write(path, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, filepath.Dir(path), map[string]string{"f": "new"})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAnOldFileKeepsItsModeAndOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "old", 0o600)
	if os.Getuid() == 0 {
		if err := os.Chown(path, 65534, 65533); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := os.Stat(path)
	if err := Write(path, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, filepath.Dir(path), map[string]string{"f": "new"})
	after, _ := os.Stat(path)
	a, b := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if after.Mode() != 0o600 || a.Uid != b.Uid || a.Gid != b.Gid {
		t.Errorf("mode %v, owner %d:%d, want those of %v, %d:%d", after.Mode(), b.Uid, b.Gid, before.Mode(), a.Uid, a.Gid)
	}
	if a.Ino == b.Ino {
		t.Error("the file was written in place")
	}
}

func TestALinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "real"), "old", 0o644)
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "link"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, dir, map[string]string{"real": "new", "link": "new"})
	if info, err := os.Lstat(filepath.Join(dir, "link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestALinkToNothingStaysALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"first": "second", "second": "real/file", "round": "round"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(filepath.Join(dir, "first"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"first", "second"} {
		if info, err := os.Lstat(filepath.Join(dir, link)); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s: %v, %v", link, info, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "real", "file")); err != nil || string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
	if err := Write(filepath.Join(dir, "round"), []byte("new"), 0o644); err == nil {
		t.Error("a link to itself was written")
	}
}

// As root, a rename over /dev/null would take it from the whole machine.
func TestADeviceOrAPipeIsWrittenToAndNotReplaced(t *testing.T) {
	if err := Write("/dev/null", []byte("gone"), 0o644); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Fatalf("/dev/null is %v, %v", info, err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte)
	go func() {
		b, _ := os.ReadFile(pipe)
		read <- b
	}()
	if err := Write(pipe, []byte("through"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := <-read; !bytes.Equal(got, []byte("through")) {
		t.Errorf("the pipe gave %q", got)
	}
}

func TestErrorsAreOfTheFileThatWasNamed(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "old", 0o644)
	for name, wanted := range map[string]string{
		".":         "it is a directory; name a file in it",
		"nowhere/f": "no such file or directory; make its directory first",
		"file/f":    "not a directory",
	} {
		path := filepath.Join(dir, name)
		if err := Write(path, nil, 0o644); err == nil || err.Error() != "write "+path+": "+wanted {
			t.Errorf("%s: %v, want %s", name, err, wanted)
		}
	}
	want(t, dir, map[string]string{"file": "old"})
}

// small mounts a file system of one page of data.
func small(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestAFullDiskKeepsTheOldFile(t *testing.T) {
	dir := small(t, "size=16k")
	path := filepath.Join(dir, "f")
	put(t, path, "old", 0o644)
	err := Write(path, bytes.Repeat([]byte("x"), 64<<10), 0o644)
	if err == nil || !strings.HasSuffix(err.Error(), "no space left on device") {
		t.Errorf("%v", err)
	}
	want(t, dir, map[string]string{"f": "old"})
}

func TestAReadOnlyDiskKeepsTheOldFile(t *testing.T) {
	dir := small(t, "size=16k")
	path := filepath.Join(dir, "f")
	put(t, path, "old", 0o644)
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("new"), 0o644); err == nil || !strings.HasSuffix(err.Error(), "read-only file system") {
		t.Errorf("%v", err)
	}
	want(t, dir, map[string]string{"f": "old"})
}
