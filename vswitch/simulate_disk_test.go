package vswitch

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// simDisk is a disk in memory that loses what a real one may lose. A write is in its
// file when Sync has been called on it, a name in its directory when Sync has been
// called on that. When the machine crashes, what is not so far is there or is not, as
// it pleases the seed: each name is the old or the new one, and of a file that was not
// synced any part may be left.
//
// Each call is counted, and the call of a number can be made to fail, or to be the
// last one before the crash.
type simDisk struct {
	rng   *rand.Rand
	names map[string]*simNode // as programs see them
	kept  map[string]*simNode // as they are after a crash, at the least
	calls int
	fails int   // the number of the call that fails; 0: none
	with  error // what it fails with
	dead  bool  // it was the last: nothing is written or read any more
	made  []string
}

// simNode is what a file holds.
type simNode struct {
	data, kept []byte
	synced     bool
}

var errDead = errors.New("the machine has crashed")

// errCrash is what a call fails with that is the last.
var errCrash = errors.New("crash")

func newSimDisk(rng *rand.Rand) *simDisk {
	return &simDisk{rng: rng, names: map[string]*simNode{}, kept: map[string]*simNode{}}
}

// put writes a file, whole and for good: by an operator who takes his time.
func (d *simDisk) put(name string, data []byte) {
	n := &simNode{data: data, kept: data, synced: true}
	d.names[name], d.kept[name] = n, n
}

// arm has the n-th call from now fail.
func (d *simDisk) arm(n int, with error) { d.fails, d.with = d.calls+n, with }

// armed tells whether there is a call to come that fails.
func (d *simDisk) armed() bool { return d.fails > d.calls || d.dead }

// call counts a call. done says, of one that fails, whether what it was to do has
// happened all the same: a crash may come before or after.
func (d *simDisk) call(what string) (done bool, err error) {
	if d.dead {
		return false, errDead
	}
	if d.calls++; d.calls != d.fails {
		return true, nil
	}
	d.made = append(d.made, fmt.Sprintf("%s failed: %v", what, d.with))
	if errors.Is(d.with, errCrash) {
		d.dead = true
		return d.rng.IntN(2) == 0, errDead
	}
	return false, d.with
}

// crash is the loss of power, and the start after it.
func (d *simDisk) crash() {
	after := map[string]*simNode{}
	for name := range union(d.names, d.kept) {
		n, old := d.names[name], d.kept[name]
		if n != old && d.rng.IntN(2) == 0 {
			n = old
		}
		if n != nil {
			after[name] = n.afterCrash(d.rng)
		}
	}
	d.names, d.kept, d.dead, d.fails = after, maps.Clone(after), false, 0
}

func (n *simNode) afterCrash(rng *rand.Rand) *simNode {
	data := n.data
	if !n.synced {
		switch rng.IntN(3) {
		case 0:
			data = n.kept
		case 1:
			data = data[:rng.IntN(len(data)+1)]
		case 2:
			data = make([]byte, len(data)) // its blocks were never written
		}
	}
	return &simNode{data: data, kept: data, synced: true}
}

func union(a, b map[string]*simNode) map[string]bool {
	all := map[string]bool{}
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	return all
}

// Open implements disk.
func (d *simDisk) Open(path string) (file, error) {
	if _, err := d.call("open " + path); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if n := d.names[path]; n != nil {
		return &simFile{d: d, n: n, path: path, left: bytes.NewReader(n.data)}, nil
	}
	for name := range d.names {
		if filepath.Dir(name) == path {
			return &simFile{d: d, path: path}, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// Create implements disk.
func (d *simDisk) Create(path string) (file, error) {
	done, err := d.call("create")
	n := &simNode{}
	if done {
		d.names[path] = n
	}
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	return &simFile{d: d, n: n, path: path}, nil
}

// MkdirAll implements disk: there is every directory.
func (d *simDisk) MkdirAll(string) error {
	_, err := d.call("mkdir")
	return err
}

// Rename implements disk.
func (d *simDisk) Rename(from, to string) error {
	done, err := d.call("rename")
	if n := d.names[from]; done && n != nil {
		delete(d.names, from)
		d.names[to] = n
	}
	return err
}

// Remove implements disk.
func (d *simDisk) Remove(path string) error {
	done, err := d.call("remove")
	if done {
		delete(d.names, path)
	}
	return err
}

// simFile is an open file; n is nil for a directory.
type simFile struct {
	d    *simDisk
	n    *simNode
	path string
	left *bytes.Reader
}

func (f *simFile) Read(b []byte) (int, error) {
	if _, err := f.d.call("read " + f.path); err != nil {
		return 0, err
	}
	return f.left.Read(b)
}

// Write implements file. One that fails for want of room has written a part.
func (f *simFile) Write(b []byte) (int, error) {
	done, err := f.d.call("write")
	n := len(b)
	if !done {
		n = f.d.rng.IntN(len(b))
	}
	f.n.data, f.n.synced = append(slices.Clone(f.n.data), b[:n]...), false
	return n, err
}

func (f *simFile) Sync() error {
	done, err := f.d.call("sync")
	switch {
	case !done:
	case f.n != nil:
		f.n.kept, f.n.synced = f.n.data, true
	default:
		f.d.syncDir(f.path)
	}
	return err
}

func (d *simDisk) syncDir(path string) {
	for name := range union(d.names, d.kept) {
		if filepath.Dir(name) != path {
			continue
		}
		if n := d.names[name]; n != nil {
			d.kept[name] = n
		} else {
			delete(d.kept, name)
		}
	}
}

func (f *simFile) Close() error {
	_, err := f.d.call("close")
	return err
}

func (f *simFile) Stat() (fs.FileInfo, error) {
	if _, err := f.d.call("stat " + f.path); err != nil {
		return nil, err
	}
	return simInfo{f}, nil
}

// simInfo says how long a file is.
type simInfo struct{ f *simFile }

func (i simInfo) Name() string       { return filepath.Base(i.f.path) }
func (i simInfo) Size() int64        { return int64(len(i.f.n.data)) }
func (i simInfo) ModTime() time.Time { return time.Time{} }
func (i simInfo) IsDir() bool        { return i.f.n == nil }
func (i simInfo) Sys() any           { return nil }
func (i simInfo) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o750
	}
	return 0o600
}

var _ disk = (*simDisk)(nil)

// The errors that a disk fails with.
var diskErrors = []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EMFILE}
