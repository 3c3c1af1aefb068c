// Package netdev is what drivers share that sit on a device which is there
// already: the host's end of a veth, a NIC. It keeps the host from speaking on
// it, and follows whether it is up and whether it is there.
//
// Its functions call the kernel by netlink and need CAP_NET_ADMIN, but for Look
// and Watch. They may be called from any goroutine.
package netdev

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Silence takes a workload's device out of the host's hands before its port is
// opened: opening does it, too, but device by device, and until the last is open
// the host's stack would go on forwarding between the others. A device that is
// not there is for the opening to report.
func Silence(device string) error {
	dev, err := netlink.LinkByName(device)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("device %q: %w", device, err)
	}
	return Quiet(dev)
}

// Quiet takes the link down and keeps the host from speaking on it: a veth's
// host end otherwise sends neighbour discovery to the workload by itself.
func Quiet(dev netlink.Link) error {
	if err := netlink.LinkSetDown(dev); err != nil {
		return fmt.Errorf("set %s down: %w", dev.Attrs().Name, err)
	}
	// Without IPv6 in the kernel there is nothing to silence.
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+dev.Attrs().Name+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("disable IPv6 on %s: %w", dev.Attrs().Name, err)
	}
	return nil
}

// Down sets a device's link down. It fails if the link may be up still; a device
// that is no more has none.
func Down(index int) error {
	dev, err := netlink.LinkByIndex(index)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err == nil {
		err = netlink.LinkSetDown(dev)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("set device %d down: %w", index, err)
	}
	return nil
}

// Hardware tells whether a device is a piece of hardware, or what a hypervisor
// gives for one: it has a bus that it is on.
func Hardware(device string) (bool, error) {
	dev, err := netlink.LinkByName(device)
	if err != nil {
		return false, fmt.Errorf("device %q: %w; create it before the switch starts", device, err)
	}
	return dev.Attrs().ParentDevBus != "", nil
}

// State is what a device is now.
type State struct {
	Gone bool         // it is no more
	Up   bool         // it is up and has a carrier
	Err  error        // it could not be asked
	Link netlink.Link // what else the kernel says of it; Look only, nil if it is gone or Err is set
}

// Look asks the kernel about a device by its index.
func Look(index int) State {
	dev, err := netlink.LinkByIndex(index)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return State{Gone: true}
	case err != nil:
		return State{Err: err}
	}
	return State{Up: carries(dev.Attrs()), Link: dev}
}

// carries tells whether a device is up and has a carrier. Its operational
// state would say so up to a second later.
func carries(a *netlink.LinkAttrs) bool {
	const wanted = unix.IFF_UP | unix.IFF_LOWER_UP
	return a.RawFlags&wanted == wanted
}
