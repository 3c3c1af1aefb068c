package packet

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
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

// guard sets the filters. The link must be down: whatever filters there were are
// taken away first, a killed switch's or another's that might let frames by.
func guard(index int) error {
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

// guarded tells whether both filters are there.
func guarded(index int) bool {
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

// unguard takes all filters of the device away.
func unguard(index int) error {
	err := netlink.QdiscDel(clsact(index))
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV) {
		return nil // there were none, or there is no device
	}
	return fmt.Errorf("take the device's filters away: %w", err)
}
