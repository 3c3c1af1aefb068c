package tap

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"bulkhead/vswitch/port/vnet"
)

// device is the descriptors of a TAP device: one a queue.
type device struct {
	name    string // the passing name, until it is placed
	fds     []int
	offload offload
}

// offload is what the kernel agreed to leave to us and to take from us.
type offload struct {
	tso, uso bool
}

func (o offload) String() string {
	var words []string
	if o.tso {
		words = append(words, "tso4", "tso6")
	}
	if o.uso {
		words = append(words, "uso")
	}
	if len(words) == 0 {
		return "checksum only"
	}
	return strings.Join(words, " ")
}

const tunPath = "/dev/net/tun"

// newDevice makes a device of a passing name in this namespace, down, with so
// many queues, that ends with its descriptors.
func newDevice(queues int) (d *device, err error) {
	name, err := create(queues > 1)
	if err != nil {
		return nil, err
	}
	d = &device{name: name}
	for range queues {
		fd, err := attach(name, queues > 1)
		if err != nil {
			d.discard(name)
			return nil, err
		}
		d.fds = append(d.fds, fd)
	}
	if err := d.setUp(); err != nil {
		d.discard(name)
		return nil, err
	}
	return d, nil
}

// create has water make a persistent device. The name is random, never the one
// asked for: to create a TAP of a name that exists is to take that one over.
//
// A device of several queues is one of 256 to the kernel, however many there come
// to be, with memory and a folder in /sys for each. So one queue is asked for as
// one.
func create(multi bool) (name string, err error) {
	var random [5]byte
	_, _ = rand.Read(random[:]) // never fails
	name = "bh" + hex.EncodeToString(random[:])
	made, err := water.New(water.Config{
		DeviceType: water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name: name, Persist: true, MultiQueue: multi,
		},
	})
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("create TAP device: %w (load the module: modprobe tun; in a container: --device %s)", err, tunPath)
	case errors.Is(err, os.ErrPermission):
		return "", fmt.Errorf("create TAP device: %w (needs root, or CAP_NET_ADMIN and access to %s)", err, tunPath)
	case err != nil:
		return "", fmt.Errorf("create TAP device: %w", err)
	}
	if err := made.Close(); err != nil {
		return "", fmt.Errorf("create TAP device: %w", err)
	}
	return name, nil
}

// attach opens one queue of the device.
func attach(name string, multi bool) (fd int, err error) {
	fd, err = unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", tunPath, err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if multi {
			flags |= unix.IFF_MULTI_QUEUE
		}
		req.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("attach a queue to %s: %w", name, err)
	}
	return fd, nil
}

// setUp ends the device's persistence and agrees on headers and offloads.
func (d *device) setUp() error {
	fd := d.fds[0]
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 0); err != nil {
		return fmt.Errorf("end persistence of %s: %w", d.name, err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnet.HeaderLen); err != nil {
		return fmt.Errorf("set header size of %s: %w", d.name, err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETLE, 1); err != nil {
		return fmt.Errorf("set header byte order of %s: %w", d.name, err)
	}
	const csum, tso, uso = unix.TUN_F_CSUM,
		unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN,
		unix.TUN_F_USO4 | unix.TUN_F_USO6
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, csum|tso|uso) == nil {
		d.offload = offload{tso: true, uso: true}
		return nil
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, csum|tso); err != nil { // before Linux 6.2
		return fmt.Errorf("set offloads of %s: %w", d.name, err)
	}
	d.offload = offload{tso: true}
	return nil
}

// close lets go of the device, and so ends it.
func (d *device) close() error {
	var errs []error
	for _, fd := range d.fds {
		errs = append(errs, unix.Close(fd))
	}
	d.fds = nil
	return errors.Join(errs...)
}
