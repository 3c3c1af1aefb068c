package packet

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The guard drops what comes from the device before the host's stack has it, and
// what the host's stack would send. It is two filters of the kernel's traffic
// control (clsact), each a program of two instructions: a filter is kept by its
// device, whoever made it, so the guard outlives the process without a pin. The
// order of things in the kernel makes it work: __netif_receive_skb_core hands a
// frame to packet sockets and then to the filters of ingress; packet_direct_xmit
// goes to the device without those of egress.

const (
	guardName = "bulkhead"
	tcShot    = 2 // TC_ACT_SHOT
)

// clsact is the hook of a device's filters.
func clsact(index int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

// guard sets the filters. A killed switch's stay as they are, so that there is no
// moment without; any others, which might let frames by, are taken away first.
func guard(index int) error {
	if filtered(index) {
		return nil
	}
	if err := unguard(index); err != nil {
		return err
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: guardName, Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, tcShot), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("load the program that keeps the host's stack off the device: %w; it needs CAP_BPF and CAP_NET_ADMIN", err)
	}
	defer prog.Close() // the filters hold it
	if err := netlink.QdiscAdd(clsact(index)); err != nil {
		return fmt.Errorf("hook the device's filters (clsact): %w; the kernel needs CONFIG_NET_SCH_INGRESS (modprobe sch_ingress)", err)
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		err := netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs:  netlink.FilterAttrs{LinkIndex: index, Parent: parent, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL},
			Fd:           prog.FD(),
			Name:         guardName,
			DirectAction: true,
		})
		if err != nil {
			return errors.Join(fmt.Errorf("keep the host's stack off the device: %w; the kernel needs CONFIG_NET_CLS_BPF (modprobe cls_bpf)", err), unguard(index))
		}
	}
	return nil
}

// guarded tells whether the guard is whole: both filters are there and alone, and
// nothing has come before them.
func guarded(index int) bool {
	dev, err := netlink.LinkByIndex(index)
	return err == nil && filtered(index) && alone(dev) == nil
}

// filtered tells whether both filters are there, and no others.
func filtered(index int) bool {
	dev, err := netlink.LinkByIndex(index)
	if err != nil {
		return false
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(dev, parent)
		if err != nil || len(filters) != 1 {
			return false
		}
		if f, ok := filters[0].(*netlink.BpfFilter); !ok || f.Name != guardName || !f.DirectAction {
			return false
		}
	}
	return true
}

// alone says what else has its hands on a device. An XDP program has the frames
// before the packet socket and the guard, a tcx program before the guard: either
// may send them elsewhere. A bridge or bond would lose what it sends to the guard.
func alone(dev netlink.Link) error {
	a := dev.Attrs()
	if a.MasterIndex != 0 {
		return fmt.Errorf("device %q is a member of a bridge or bond: take it out (ip link set %s nomaster), or make a port of that", a.Name, a.Name)
	}
	if a.Xdp != nil && a.Xdp.Attached {
		return fmt.Errorf("device %q has an XDP program, which has its frames before the port and its guard: remove it (bpftool net detach xdp dev %s; one of this switch's is pinned under /sys/fs/bpf/bulkhead)", a.Name, a.Name)
	}
	for _, hook := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		found, err := link.QueryPrograms(link.QueryOptions{Target: a.Index, Attach: hook})
		switch {
		case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL): // before Linux 6.6 there is no tcx
		case err != nil:
			return fmt.Errorf("look for tcx programs on device %q: %w", a.Name, err)
		case len(found.Programs) > 0:
			return fmt.Errorf("device %q has a tcx program, which comes before the guard: detach it (bpftool net show dev %s names it)", a.Name, a.Name)
		}
	}
	return nil
}

// unguard takes all filters of the device away.
func unguard(index int) error {
	err := netlink.QdiscDel(clsact(index))
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV) {
		return nil // there were none, or there is no device
	}
	return fmt.Errorf("take the device's filters away: %w", err)
}
