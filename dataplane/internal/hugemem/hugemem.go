// Package hugemem gives tables memory that the garbage collector never looks
// at: mapped, zeroed, with huge pages asked for, and left out of core dumps.
//
// A million sessions are 128 MiB: in pages of 4 KiB nearly every look-up
// misses the TLB as well as the cache. Where the kernel has no huge page to
// give, the memory works all the same.
package hugemem

import (
	"fmt"
	"syscall"
)

// hugePage is the size that a mapping must reach to profit.
const hugePage = 2 << 20

// madvise advice that package syscall does not name (linux/mman.h).
const (
	adviseHuge     = 14
	adviseDontDump = 16
)

// Mapping is one piece of mapped memory. The zero value is none.
type Mapping struct {
	bytes []byte
	huge  bool
}

// Huge tells whether the kernel agreed to use huge pages.
func (m *Mapping) Huge() bool { return m.huge }

// Close unmaps the memory; nothing may look at it any more.
func (m *Mapping) Close() {
	if m.bytes != nil {
		_ = syscall.Munmap(m.bytes)
		m.bytes = nil
	}
}

func mapBytes(n int) (Mapping, error) {
	n = max(n, 1)
	if n >= hugePage {
		n = (n + hugePage - 1) &^ (hugePage - 1)
	}
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return Mapping{}, fmt.Errorf("map %d bytes for a table: %w", n, err)
	}
	m := Mapping{bytes: b}
	m.huge = n >= hugePage && syscall.Madvise(b, adviseHuge) == nil
	_ = syscall.Madvise(b, adviseDontDump)
	return m, nil
}
