package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// left matches what runs leave behind when they are killed; the first group is
// the process number.
var left = []struct {
	glob   string
	number *regexp.Regexp
	remove func(path string) error
}{
	{"/run/netns/" + spacePrefix + "*", regexp.MustCompile(`/` + spacePrefix + `(\d+)[abm]$`), func(path string) error {
		return run("ip", "netns", "del", filepath.Base(path))
	}},
	// Links that a switch had pinned, of devices named like the namespaces.
	{"/sys/fs/bpf/bulkhead/" + spacePrefix + "*", regexp.MustCompile(`/` + spacePrefix + `(\d+)[ab]$`), os.Remove},
	// What DPDK keeps of a process, by its file prefix.
	{"/var/run/dpdk/" + spacePrefix + "*", regexp.MustCompile(`/` + spacePrefix + `(\d+)m$`), os.RemoveAll},
	{filepath.Join(os.TempDir(), dirPrefix+"*"), regexp.MustCompile(`/` + regexp.QuoteMeta(dirPrefix) + `(\d+)\.\d+$`), os.RemoveAll},
}

// Sweep removes what runs have left that were killed, and no other: a number
// that is a process's still is not touched.
func Sweep() error {
	var errs []error
	for _, kind := range left {
		paths, err := filepath.Glob(kind.glob)
		errs = append(errs, err)
		for _, path := range paths {
			m := kind.number.FindStringSubmatch(path)
			if m == nil || !dead(m[1]) {
				continue
			}
			// Another run may sweep at the same time: gone is gone.
			if err := kind.remove(path); err != nil && !gone(path) {
				errs = append(errs, err)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove what a killed run has left: %w", err)
	}
	return nil
}

func dead(pid string) bool { return gone("/proc/" + pid) }

func gone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}
