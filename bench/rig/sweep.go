package rig

import (
	"context"
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
		return run(context.Background(), "ip", "netns", "del", filepath.Base(path))
	}},
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
			if m := kind.number.FindStringSubmatch(path); m != nil && dead(m[1]) {
				errs = append(errs, kind.remove(path))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove what a killed run has left: %w", err)
	}
	return nil
}

func dead(pid string) bool {
	_, err := os.Stat("/proc/" + pid)
	return errors.Is(err, os.ErrNotExist)
}
