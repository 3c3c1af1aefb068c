package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A FIFO in the place of a cache is refused at once: nobody writes to it.
func TestCacheThatIsAFIFOIsRefused(t *testing.T) {
	fifo := cacheFile(filepath.Join(t.TempDir(), "fifo"))
	if err := syscall.Mkfifo(string(fifo), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fifo.read(); err == nil || !strings.Contains(err.Error(), "no cache of policyc's") {
		t.Errorf("read says %v", err)
	}
}
