package xdp

import (
	"errors"
	"fmt"

	axdp "github.com/asavie/xdp"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// Actions of XDP (linux/bpf.h).
const (
	xdpDrop = 1
	xdpPass = 2
)

// everything is the program of a workload's port: every frame goes to the
// socket of its queue, and where there is none it is dropped.
func everything(sockets int) asm.Instructions {
	return append(asm.Instructions{asm.Mov.Reg(ctx, asm.R1)}, redirect(sockets)...)
}

// hasFrags says that a program takes frames in pieces (BPF_F_XDP_HAS_FRAGS of
// linux/bpf.h).
const hasFrags = 1 << 5

// newProgram makes the program and its map of sockets. A filter leaves to the
// host what is not for the VTEP; without one everything is the switch's.
func newProgram(c *Config) (*axdp.Program, error) {
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "bulkhead_xsks", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(c.Queues),
	})
	if err != nil {
		return nil, fmt.Errorf("make the map of sockets: %w; it needs CAP_BPF", err)
	}
	instructions := everything(sockets.FD())
	if c.Uplink != nil {
		instructions = c.Uplink.instructions(sockets.FD())
	}
	spec := &ebpf.ProgramSpec{Name: "bulkhead_port", Type: ebpf.XDP, License: "Apache-2.0", Instructions: instructions}
	if c.jumbo() {
		spec.Flags |= hasFrags
	}
	program, err := ebpf.NewProgram(spec)
	if err != nil {
		sockets.Close()
		return nil, fmt.Errorf("load the XDP program: %w", err)
	}
	return &axdp.Program{Program: program, Sockets: sockets}, nil
}

// attachment is a program on a device, by a link that is pinned.
type attachment struct {
	link link.Link
	path string
	mode string
}

// attach puts the program on the device. A pinned link that an earlier switch
// left is taken over: its program is changed in place, so that the device is
// never without one. A workload's has to outlive us.
func attach(program *ebpf.Program, device string, index int, mode string, workload bool) (*attachment, error) {
	if err := preparePins(workload); err != nil {
		return nil, err
	}
	path, err := pinPath(index)
	if err != nil {
		return nil, err
	}
	if a := adopt(program, path, index, mode); a != nil {
		return a, nil
	}
	l, got, err := attachNew(program, index, mode)
	if err != nil {
		return nil, fmt.Errorf("attach to %s: %w; is another XDP program on it? ip link show %s tells, ip link set %s xdp off removes it", device, err, device, device)
	}
	if err := l.Pin(path); err != nil {
		l.Close()
		return nil, fmt.Errorf("pin the link at %s: %w", path, err)
	}
	return &attachment{link: l, path: path, mode: got}, nil
}

// adopt takes over the link pinned at path, if it is of this device still and
// runs in the mode that is asked for.
func adopt(program *ebpf.Program, path string, index int, mode string) *attachment {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return nil
	}
	got := modeOf(index)
	info, err := l.Info()
	if err == nil && info.XDP() != nil && int(info.XDP().Ifindex) == index && (mode == "auto" || mode == got) && l.Update(program) == nil {
		return &attachment{link: l, path: path, mode: got}
	}
	_ = l.Unpin() // of a device that is gone, or of another mode
	l.Close()
	return nil
}

// modeOf tells how a device runs the program that is on it.
func modeOf(index int) string {
	dev, err := netlink.LinkByIndex(index)
	if err == nil && dev.Attrs().Xdp != nil && dev.Attrs().Xdp.AttachMode == nl.XDP_ATTACHED_SKB {
		return "generic"
	}
	return "native"
}

// attachNew tries the driver's own mode first, unless one mode is asked for.
func attachNew(program *ebpf.Program, index int, mode string) (link.Link, string, error) {
	var errs []error
	for _, m := range []struct {
		name  string
		flags link.XDPAttachFlags
	}{{"native", link.XDPDriverMode}, {"generic", link.XDPGenericMode}} {
		if mode != "auto" && mode != m.name {
			continue
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: index, Flags: m.flags})
		if err == nil {
			return l, m.name, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
	}
	return nil, "", errors.Join(errs...)
}

// remove takes the program off the device, for good.
func (a *attachment) remove() error {
	return errors.Join(a.link.Unpin(), a.link.Close())
}
