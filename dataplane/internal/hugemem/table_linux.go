package hugemem

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Values of madvise(2) that package syscall does not name on all platforms.
const (
	madvHugePage      = 14
	madvDontDump      = 16
	madvPopulateWrite = 23 // Linux 5.14
)

func makeTable[T any](n int) (*Table[T], error) {
	size := roundUp(n*sizeOf[T](), os.Getpagesize())
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes for a table: %w", size, err)
	}
	_ = syscall.Madvise(mem, madvDontDump) // a kernel that cannot still works
	huge := size >= hugePage && syscall.Madvise(mem, madvHugePage) == nil && !neverHuge()
	return &Table[T]{Rows: view[T](mem, n), mem: mem, huge: huge}, nil
}

// neverHuge tells whether the administrator has switched huge pages off;
// madvise succeeds even then.
func neverHuge() bool {
	mode, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return err != nil || strings.Contains(string(mode), "[never]")
}

// Populate makes all pages now. Where the kernel cannot (before 5.14) they
// come when touched, as they would without it.
func (t *Table[T]) Populate() error {
	err := syscall.Madvise(t.mem, madvPopulateWrite)
	if err != nil && err != syscall.EINVAL {
		return fmt.Errorf("populate %d bytes: %w", len(t.mem), err)
	}
	return nil
}

// Close gives the memory back. A second Close does nothing.
func (t *Table[T]) Close() error {
	mem := t.mem
	t.Rows, t.mem = nil, nil
	if mem == nil || t.lent {
		return nil
	}
	if err := syscall.Munmap(mem); err != nil {
		return fmt.Errorf("unmap %d bytes: %w", len(mem), err)
	}
	return nil
}
