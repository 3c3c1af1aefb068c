package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"bulkhead/policyc/internal/atomicfile"
)

// cacheFile is --cache: what a build keeps for the next one, "" for nothing.
type cacheFile string

// maxCache bounds a cache, in bytes: a table has 256 MiB at the most, and what is
// kept beside it is a small part of that.
const maxCache = 320 << 20

// check refuses a cache in the place of what the build reads and writes.
func (c cacheFile) check(out string, sources []string) error {
	if c == "" {
		return nil
	}
	if c == "-" {
		return errors.New("--cache - is no file; name one")
	}
	for _, name := range append([]string{out}, sources...) {
		if name == string(c) || sameFile(name, string(c)) {
			return fmt.Errorf("--cache %s is %s, too; name another file", c, name)
		}
	}
	return nil
}

// sameFile tells whether two names are of one file that is there.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, err2 := os.Stat(b)
	return err == nil && err2 == nil && a != "-" && os.SameFile(one, other)
}

// read reads what the build before kept; nothing if none has.
func (c cacheFile) read() ([]byte, error) {
	if c == "" {
		return nil, nil
	}
	f, err := os.OpenFile(string(c), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO is refused below, not waited for
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = c.trusted(info)
	}
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	return data, err
}

// trusted refuses what is no cache, and what somebody else may have written: it
// decides what the table says.
func (c cacheFile) trusted(info fs.FileInfo) error {
	if !info.Mode().IsRegular() || info.Size() > maxCache {
		return fmt.Errorf("--cache %s is no cache of policyc's; name another file", c)
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !known || int(owner.Uid) != os.Geteuid() && owner.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("--cache %s could have been written by somebody else, who would decide what the table says; remove it, and the build makes it anew", c)
	}
	return nil
}

// write keeps a build. One that is damaged is not used, so that it need not have
// reached the disk.
func (c cacheFile) write(pieces [][]byte) error {
	return atomicfile.WriteLoose(string(c), 0o600, pieces...)
}

// tool is which policyc this is: the build ID that the Go linker gives each binary,
// by its content. What another one kept may not be what this one would build.
func (c cacheFile) tool() (string, error) {
	if c == "" {
		return "", nil
	}
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer f.Close()
	note := f.Section(".note.go.buildid")
	if note == nil {
		return "", errors.New("--cache needs the build ID of policyc, and this one has none; build it without -buildid")
	}
	id, err := note.Data()
	return string(id), err
}
