package sys

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a huge page, in bytes, on amd64 and arm64 (4 KiB
// granule).
const hugePage = 2 << 20

// MapAnonymous maps size bytes of zeroed memory that the garbage collector
// does not see. Pages come into being when first touched; huge pages are asked
// for, since frames and tables are walked at random and would otherwise cost a
// TLB miss each. Undo it with Unmap.
func MapAnonymous(size int) ([]byte, error) {
	if size <= 0 {
		return nil, fmt.Errorf("map %d bytes: must be positive", size)
	}
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of memory: %w", size, err)
	}
	advise(mem)
	return mem, nil
}

// MapShared maps size bytes of a new memory file (memfd) and returns the
// mapping and its descriptor. Whoever is handed the descriptor can map the
// same bytes: so frame memory outlives the process that made it. The file is
// sealed against shrinking, which would turn an access into SIGBUS. Undo it
// with Unmap and by closing the descriptor.
func MapShared(name string, size int) (mem []byte, fd int, err error) {
	if size <= 0 || size%os.Getpagesize() != 0 {
		return nil, -1, fmt.Errorf("map %d shared bytes: must be a positive multiple of the page size %d", size, os.Getpagesize())
	}
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, -1, fmt.Errorf("create memory file %q: %w", name, err)
	}
	if err = unix.Ftruncate(fd, int64(size)); err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("size memory file %q to %d bytes: %w", name, size, err)
	}
	if _, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("seal memory file %q: %w", name, err)
	}
	mem, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, -1, fmt.Errorf("map %d bytes of memory file %q: %w", size, name, err)
	}
	advise(mem)
	return mem, fd, nil
}

// MapDescriptor maps the whole memory file of a descriptor, as MapShared made it, and
// closes the descriptor. The file must be sealed against shrinking.
func MapDescriptor(fd int) ([]byte, error) {
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("size of a memory file: %w", err)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, fmt.Errorf("what was handed over is no memory file that keeps its size (seals %#x: %v)", seals, err)
	}
	if st.Size <= 0 || st.Size > maxShared {
		return nil, fmt.Errorf("memory file of %d bytes: must be 1 to %d", st.Size, maxShared)
	}
	mem, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of a memory file: %w", st.Size, err)
	}
	advise(mem)
	return mem, nil
}

// Monotonic reads CLOCK_MONOTONIC, in nanoseconds: it goes on from one process to the
// next, until the machine is started again.
func Monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0 // it cannot fail; times then begin at the start, and nothing kept is in the future
	}
	return t.Nano()
}

// maxShared bounds a memory file that somebody else has made.
const maxShared = 64 << 30

// advise asks for huge pages, and keeps frames, which are other people's data,
// out of core dumps. Both are hints: a kernel that knows neither still works.
func advise(mem []byte) {
	if len(mem) >= hugePage {
		_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	}
	_ = unix.Madvise(mem, unix.MADV_DONTDUMP)
}

// Unmap undoes MapAnonymous or MapShared. No slice of the memory may be used
// after it.
func Unmap(mem []byte) error {
	if err := unix.Munmap(mem); err != nil {
		return fmt.Errorf("unmap %d bytes: %w", len(mem), err)
	}
	return nil
}
