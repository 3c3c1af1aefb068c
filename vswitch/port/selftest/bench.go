package selftest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// end is one far end: a namespace with a device and its addresses. The namespace
// has no name, so that it goes with the process, and the veth with it.
type end struct {
	near   string // the device on this side
	ns     *sys.Netns
	v4, v6 net.IP
}

// bench is two ends, with ports between them.
type bench struct {
	ends  [2]end
	ports [2]port.Port
}

// ErrBench says that the test could not be made, which says nothing of the
// driver.
var ErrBench = errors.New("no place to test in")

var number atomic.Uint32

// newBench makes the namespaces and veths, and opens the ports. Whatever it has
// made is removed by close, also after an error.
func newBench(open Open, mtu int) (*bench, error) {
	b := &bench{}
	for i := range b.ends {
		if err := b.ends[i].make(i, mtu); err != nil {
			return b, fmt.Errorf("%w: %w", ErrBench, err)
		}
	}
	for i := range b.ports {
		p, err := open(b.ends[i].near, packet.PortID(i+1))
		if err != nil {
			return b, err
		}
		b.ports[i] = p
		if err := p.Up(); err != nil {
			return b, err
		}
	}
	for i := range b.ends {
		if err := b.ends[i].operational(); err != nil {
			return b, err
		}
	}
	return b, nil
}

// make makes end i: addresses of networks set aside for such tests (RFC 2544) and
// for local use (RFC 4193), in a namespace that nothing leads out of.
func (e *end) make(i, mtu int) (err error) {
	e.near = fmt.Sprintf("bt%d-%d", os.Getpid(), number.Add(1))
	e.v4, e.v6 = net.IPv4(198, 18, 77, byte(i+1)), net.IP{0xfd, 0xb4, 15: byte(i + 1)}
	if e.ns, err = sys.NewNetns(); err != nil {
		return err
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: e.near, MTU: mtu}, PeerName: "eth0", PeerNamespace: netlink.NsFd(e.ns.FD()), PeerMTU: uint32(mtu)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make a veth: %w", err)
	}
	return e.inside(func(h *netlink.Handle, eth0 netlink.Link) error {
		for _, a := range []*netlink.Addr{
			{IPNet: &net.IPNet{IP: e.v4, Mask: net.CIDRMask(24, 32)}},
			{IPNet: &net.IPNet{IP: e.v6, Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD},
		} {
			if err := h.AddrAdd(eth0, a); err != nil {
				return fmt.Errorf("give it %v: %w", a.IPNet, err)
			}
		}
		return h.LinkSetUp(eth0)
	})
}

// inside calls f with the far device.
func (e *end) inside(f func(*netlink.Handle, netlink.Link) error) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(e.ns.FD()), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	return f(h, eth0)
}

// operational waits until the far end may send: a moment after it has a carrier.
func (e *end) operational() error {
	return within(Patience, func() error {
		return e.inside(func(_ *netlink.Handle, eth0 netlink.Link) error {
			if state := eth0.Attrs().OperState; state != netlink.OperUp {
				return fmt.Errorf("the device is %v", state)
			}
			return nil
		})
	})
}

// close closes the ports, and removes all that newBench made.
func (b *bench) close() error {
	var errs []error
	for _, p := range b.ports {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	for i := range b.ends {
		e := &b.ends[i]
		if dev, err := netlink.LinkByName(e.near); err == nil && e.near != "" {
			errs = append(errs, netlink.LinkDel(dev))
		}
		if e.ns != nil {
			errs = append(errs, e.ns.Close())
		}
	}
	return errors.Join(errs...)
}
