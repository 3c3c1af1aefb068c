package xdp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/port"
)

// ringSize is the number of entries of each ring. The fill ring is kept full:
// half full, veths lose frames.
const ringSize = 1024

// socket is an AF_XDP socket with its four rings.
type socket struct {
	fd         int
	fill, done *ring[uint64]
	rx, tx     *ring[unix.XDPDesc]
	// wakeSend and wakeFill call the kernel to look at the transmit and the
	// fill ring. They are values so that a test can be the kernel; what they
	// stand before is a system call.
	wakeSend func(fd int) unix.Errno
	wakeFill func(fd int)
}

// openSocket makes a socket over the region. It is not bound yet.
func openSocket(region *port.Region) (s *socket, err error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("AF_XDP socket: %w; it needs CAP_NET_RAW and a kernel with CONFIG_XDP_SOCKETS", err)
	}
	s = &socket{fd: fd, wakeSend: kick, wakeFill: kickFill}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	reg := unix.XDPUmemReg{Addr: addressOf(region.Memory()), Len: uint64(len(region.Memory())), Size: port.ChunkSize}
	if err := setsockopt(fd, unix.XDP_UMEM_REG, &reg); err != nil {
		return nil, fmt.Errorf("register %d bytes of frame memory: %w; raise the limit on locked memory", len(region.Memory()), err)
	}
	size := uint32(ringSize)
	for _, option := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_RX_RING, unix.XDP_TX_RING} {
		if err := setsockopt(fd, option, &size); err != nil {
			return nil, fmt.Errorf("make a ring: %w", err)
		}
	}
	return s, s.mapRings()
}

func (s *socket) mapRings() error {
	var o unix.XDPMmapOffsets
	if err := getsockopt(s.fd, unix.XDP_MMAP_OFFSETS, &o); err != nil {
		return fmt.Errorf("ask for the rings' layout: %w", err)
	}
	var errs [4]error
	s.fill, errs[0] = mapRing[uint64](s.fd, unix.XDP_UMEM_PGOFF_FILL_RING, o.Fr, ringSize)
	s.done, errs[1] = mapRing[uint64](s.fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, o.Cr, ringSize)
	s.rx, errs[2] = mapRing[unix.XDPDesc](s.fd, unix.XDP_PGOFF_RX_RING, o.Rx, ringSize)
	s.tx, errs[3] = mapRing[unix.XDPDesc](s.fd, unix.XDP_PGOFF_TX_RING, o.Tx, ringSize)
	return errors.Join(errs[:]...)
}

// letGo bounds the time that the kernel may take to release a queue: it does
// so by a work queue after the socket, or the process, is gone.
const letGo = time.Second

// bind ties the socket to a queue of a device. Whether frames are copied is
// the driver's choice. A jumbo frame comes in pieces; that is asked for only
// where there may be one, because some drivers then copy.
func (s *socket) bind(index, queue int, jumbo bool) error {
	addr := &unix.SockaddrXDP{Flags: unix.XDP_USE_NEED_WAKEUP, Ifindex: uint32(index), QueueID: uint32(queue)}
	if jumbo {
		addr.Flags |= unix.XDP_USE_SG
	}
	err := unix.Bind(s.fd, addr)
	for begin := time.Now(); errors.Is(err, unix.EBUSY) && time.Since(begin) < letGo; err = unix.Bind(s.fd, addr) {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("bind to queue %d: %w; does the device have as many queues, and is no other AF_XDP socket on it?", queue, err)
	}
	return nil
}

// copies tells whether the kernel copies frames between driver and region.
func (s *socket) copies() bool {
	var options uint32
	return getsockopt(s.fd, unix.XDP_OPTIONS, &options) != nil || options&unix.XDP_OPTIONS_ZEROCOPY == 0
}

func (s *socket) statistics() (st unix.XDPStatistics) {
	_ = getsockopt(s.fd, unix.XDP_STATISTICS, &st)
	return st
}

func (s *socket) close() {
	unix.Close(s.fd)
	s.fill.unmap()
	s.done.unmap()
	s.rx.unmap()
	s.tx.unmap()
}
