// Package atomicfile writes a file whole or not at all.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Write puts data at path: a reader, or a machine that loses power, finds the
// old file or the new one, never a part. On an error the old file is as it
// was.
//
// A file that is there keeps its mode and owner; a new one gets mode, less the
// umask. A link stays a link: what it points to is written. What is no regular
// file, as a pipe or /dev/null, cannot be replaced and is written to.
func Write(path string, data []byte, mode fs.FileMode) error {
	return failed(path, write(path, [][]byte{data}, mode, true))
}

// WriteLoose is Write, of pieces that follow each other, for what can be made again, and has a checksum: a reader finds
// the old file or the new one, but a machine that loses power may find a part.
func WriteLoose(path string, mode fs.FileMode, pieces ...[]byte) error {
	return failed(path, write(path, pieces, mode, false))
}

func failed(path string, err error) error {
	if err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	return nil
}

func write(path string, data [][]byte, mode fs.FileMode, sync bool) error {
	path = target(path)
	old, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return replace(path, data, mode, nil, sync)
	case err != nil:
		return err
	case old.IsDir():
		return errors.New("it is a directory; name a file in it")
	case !old.Mode().IsRegular():
		return pour(path, data)
	}
	if err := noKey(path); err != nil {
		return err
	}
	return replace(path, data, mode, old, sync)
}

// maxLinks is how many links the kernel follows, too.
const maxLinks = 40

// target is what a path points to, whether it is there or not: a link to a file
// that is yet to be written stays a link, too. What is there and has no path, as
// the pipe behind /dev/stdout, keeps its own.
func target(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	for range maxLinks {
		to, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return path
}

// pour writes to something that is no regular file.
func pour(path string, data [][]byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(all(f, data), f.Close())
}

// replace writes the bytes to a file beside path; when they have reached the
// disk, if they are to, it takes the name; then the directory's entry reaches the
// disk, too.
func replace(path string, data [][]byte, mode fs.FileMode, old fs.FileInfo, sync bool) (err error) {
	dir := filepath.Dir(path)
	f, err := os.OpenFile(filepath.Join(dir, ".policyc-"+rand.Text()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = errors.Join(all(f, data), inherit(f, old))
	if sync {
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil || !sync {
		return err
	}
	return syncDir(dir)
}

func all(f *os.File, pieces [][]byte) error {
	for _, data := range pieces {
		if _, err := f.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// inherit gives a new file the owner and the mode of the one it replaces. The
// owner only if we may: who may write the directory may replace the file.
func inherit(f *os.File, old fs.FileInfo) error {
	if old == nil {
		return nil
	}
	if s, known := old.Sys().(*syscall.Stat_t); known {
		_ = f.Chown(int(s.Uid), int(s.Gid))
	}
	return f.Chmod(old.Mode().Perm())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cause is an error without the name of the file beside path, which the user
// has never seen.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; make its directory first", err)
	}
	return err
}
