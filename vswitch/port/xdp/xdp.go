package xdp

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"

	axdp "github.com/asavie/xdp"
	"github.com/vishvananda/netlink"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/netdev"
)

const (
	ethernetLen = 14
	vlanLen     = 4
	// chunkMTU is what fits a chunk behind the kernel's own headroom. Longer
	// frames come and go in pieces.
	kernelHeadroom = 256
	chunkMTU       = port.ChunkSize - kernelHeadroom - ethernetLen - 2*vlanLen
	maxMTU         = 9000
)

// Config describes an AF_XDP port.
type Config struct {
	Name   string // the port's name in the switch
	Device string // the device in the switch's namespace, e.g. the host's end of a veth
	Mode   string // auto, native, generic
	MTU    int    // bytes of IP a frame sent may carry
	Queues int    // sockets; the device must have as many queues, and no more
	Port   packet.PortID
	Region *port.Region
	// Lent: another process runs the queues, and gives them memory to receive into.
	Lent bool
	// Uplink says which frames are the switch's on a device that it shares with
	// the host. Nil is a workload's port: every frame is.
	Uplink *Filter
}

// jumbo tells whether frames may be longer than a chunk.
func (c *Config) jumbo() bool { return c.MTU > chunkMTU }

// Port is an open AF_XDP port.
type Port struct {
	info    port.Info
	index   int
	shared  bool     // with the host: an uplink
	lent    bool     // another process looks after program and link
	hearing *os.File // open while frames for others are to be heard
	program *axdp.Program
	attach  *attachment
	queues  []*queue
	watcher *netdev.Watcher
	mu      sync.Mutex // guards closed
	closed  bool
}

var _ port.Port = (*Port)(nil)

// Open attaches to the device; the link of a workload's is taken down, and
// stays so until Up. An uplink's stays as it is: the host's addresses and
// routes hang on it, and what is not for the VTEP goes on as before. What Open
// began it undoes on failure.
func Open(c Config) (p *Port, err error) {
	dev, err := netlink.LinkByName(c.Device)
	if err != nil {
		return nil, fmt.Errorf("device %q: %w; create it before the switch starts", c.Device, err)
	}
	if c.MTU > maxMTU {
		return nil, fmt.Errorf("MTU %d: at most %d", c.MTU, maxMTU)
	}
	if n := receiveQueues(c.Device); n != c.Queues {
		return nil, fmt.Errorf("device %q has %d receive queues and the port %d: frames of a queue without a socket would be lost; set queues = %d", c.Device, n, c.Queues, n)
	}
	if err := notTheHosts(c.Uplink); err != nil {
		return nil, err
	}
	if err := keepTags(c.Device); err != nil {
		return nil, err
	}
	p = &Port{index: dev.Attrs().Index, shared: c.Uplink != nil}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := p.prepare(&c, dev); err != nil {
		return p, err
	}
	if p.hearing, err = hear(p.index, c.Uplink); err != nil {
		return p, err
	}
	if p.program, err = newProgram(&c); err != nil {
		return p, err
	}
	if p.attach, err = attach(p.program.Program, c.Device, p.index, c.Mode, !p.shared); err != nil {
		return p, err
	}
	if err := p.openQueues(&c); err != nil {
		return p, err
	}
	p.describe(&c, dev)
	return p, p.watch()
}

// notTheHosts refuses a VTEP address that is the host's too: the answers to the
// ARP of both would reach the switch only.
func notTheHosts(f *Filter) error {
	if f == nil {
		return nil
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the host's addresses: %w", err)
	}
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		if slices.Contains(f.Addrs, ip.Unmap()) {
			return fmt.Errorf("the VTEP's address %s is the host's, too: answers to the host's ARP and ND would go to the switch; give the VTEP an address of its own in the underlay, or take it from the host: ip addr del %s dev %s",
				ip, a.IPNet, nameOf(a.LinkIndex))
		}
	}
	return nil
}

// nameOf returns a device's name, or its number if it has just gone.
func nameOf(index int) string {
	if dev, err := netlink.LinkByIndex(index); err == nil {
		return dev.Attrs().Name
	}
	return fmt.Sprint(index)
}

// prepare makes a workload's device ready, which is the switch's alone. Of an
// uplink the host decides.
func (p *Port) prepare(c *Config, dev netlink.Link) error {
	has := dev.Attrs().MTU
	switch {
	case !p.shared:
		if err := netdev.Quiet(dev); err != nil {
			return err
		}
		if err := netlink.LinkSetMTU(dev, c.MTU); err != nil {
			return fmt.Errorf("set the MTU of %s to %d: %w", c.Device, c.MTU, err)
		}
	case has < c.MTU:
		return fmt.Errorf("device %q has an MTU of %d and the port one of %d: longer frames would be lost; ip link set %s mtu %d, or set mtu = %d", c.Device, has, c.MTU, c.Device, c.MTU, has)
	case has > chunkMTU && !c.jumbo():
		return fmt.Errorf("device %q has an MTU of %d and the port one of %d: frames of more than %d bytes would be lost on receive; set mtu = %d", c.Device, has, c.MTU, chunkMTU, min(has, maxMTU))
	}
	return nil
}

func (p *Port) openQueues(c *Config) error {
	for i := range c.Queues {
		s, err := openSocket(c.Region)
		if err != nil {
			return err
		}
		q := newQueue(s, c)
		p.queues = append(p.queues, q)
		if !c.Lent {
			if err := q.fillUp(); err != nil {
				return err
			}
		}
		if err := s.bind(p.index, i, c.jumbo()); err != nil {
			return err
		}
		if err := p.program.Sockets.Put(uint32(i), uint32(s.fd)); err != nil {
			return fmt.Errorf("register the socket of queue %d: %w", i, err)
		}
	}
	return nil
}

// fillUp gives the kernel all the memory to receive into that its ring has room for.
func (q *queue) fillUp() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refill()
	if missing := q.fill.space(); missing > 0 {
		return fmt.Errorf("frame memory is used up: a queue receives into %d frames and %d are left; raise limits.frames, by 2048 for each queue of an xdp port", ringSize, ringSize-missing)
	}
	return nil
}

func (p *Port) describe(c *Config, dev netlink.Link) {
	copying := "zero-copy"
	if p.queues[0].copies() {
		copying = "copy"
	}
	p.info = port.Info{
		Name: c.Name, Driver: "xdp", Device: c.Device, MTU: c.MTU,
		Mode: fmt.Sprintf("%s, %s, %d queues", p.attach.mode, copying, c.Queues),
		Caps: port.Caps{PartialChecksum: true, MaxFrame: c.MTU + ethernetLen},
	}
	copy(p.info.MAC[:], dev.Attrs().HardwareAddr)
}

// watch follows the device: an AF_XDP socket is not told when it goes.
func (p *Port) watch() (err error) {
	p.watcher, err = netdev.Watch(p.index, func(s netdev.State) {
		for _, q := range p.queues {
			if s.Gone {
				q.gone.Store(true)
			}
			q.down.Store(!s.Up)
		}
	}, nil)
	return err
}

// Info implements port.Port.
func (p *Port) Info() port.Info { return p.info }

// Up implements port.Port.
func (p *Port) Up() error {
	dev, err := netlink.LinkByIndex(p.index)
	if err != nil {
		return fmt.Errorf("device %q: %w", p.info.Device, err)
	}
	if err := netlink.LinkSetUp(dev); err != nil {
		return fmt.Errorf("set %s up: %w", p.info.Device, err)
	}
	return nil
}

// Queues implements port.Port.
func (p *Port) Queues() []port.Queue {
	out := make([]port.Queue, len(p.queues))
	for i, q := range p.queues {
		out[i] = q
	}
	return out
}

// Status implements port.Port. It asks the kernel now, and Send goes by the
// answer: the watch may be a moment behind.
func (p *Port) Status() port.Status {
	s := netdev.Look(p.index)
	switch {
	case s.Gone || p.gone():
		return port.Status{Gone: true, Err: "the device is gone"}
	case s.Err != nil:
		return port.Status{Err: s.Err.Error()}
	}
	for _, q := range p.queues {
		q.down.Store(!s.Up)
	}
	if !s.Up {
		return port.Status{Err: "the link is down"}
	}
	return port.Status{Up: true}
}

// gone tells whether the watch, or a call, has seen the device go.
func (p *Port) gone() bool { return len(p.queues) > 0 && p.queues[0].gone.Load() }

// Stats implements port.Port. The six statistics of XDP are in Extra; those
// that mean lost frames are drops as well.
func (p *Port) Stats() (s port.Stats) {
	s.Extra = map[string]uint64{}
	for _, q := range p.queues {
		q.mu.Lock()
		c, open := q.stats, q.fd >= 0
		var x = map[string]uint64{}
		if open {
			st := q.statistics()
			x = map[string]uint64{
				"rx_dropped": st.Rx_dropped, "rx_invalid_descs": st.Rx_invalid_descs, "tx_invalid_descs": st.Tx_invalid_descs,
				"rx_ring_full": st.Rx_ring_full, "rx_fill_ring_empty_descs": st.Rx_fill_ring_empty_descs, "tx_ring_empty_descs": st.Tx_ring_empty_descs,
			}
		}
		q.mu.Unlock()
		for name := range maps.Keys(x) {
			s.Extra[name] += x[name]
		}
		s.Extra["kicks"] += c.kicks
		s.RxFrames, s.RxBytes = s.RxFrames+c.rxFrames, s.RxBytes+c.rxBytes
		s.TxFrames, s.TxBytes = s.TxFrames+c.txFrames, s.TxBytes+c.txBytes
		for r := range c.drops {
			s.Drops[r] += c.drops[r]
		}
		s.Drops[drop.RxOversize] += x["rx_dropped"]
		s.Drops[drop.RxError] += x["rx_ring_full"]
	}
	return s
}

// Counts tells where the chunks are that the port holds.
func (p *Port) Counts() (sum Counts) {
	for _, q := range p.queues {
		c := q.counts()
		sum.Receiving += c.Receiving
		sum.Sending += c.Sending
		sum.Pooled += c.Pooled
	}
	return sum
}

// Chunks implements port.Port.
func (p *Port) Chunks() int {
	c := p.Counts()
	return c.Receiving + c.Sending + c.Pooled
}

// Close implements port.Port: link down, program off, pin gone, memory back.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	var errs []error
	shut := true
	if !p.shared && !p.lent { // before the program goes: nothing passes by
		if err := netdev.Down(p.index); err != nil {
			errs, shut = append(errs, err), false
		}
	}
	p.watcher.Close()
	for _, q := range p.queues {
		errs = append(errs, q.shut())
	}
	switch {
	case p.attach == nil:
	case shut:
		errs = append(errs, p.attach.remove())
	default: // the link may be up: the pin keeps the program there
		errs = append(errs, p.attach.link.Close())
	}
	if p.hearing != nil {
		errs = append(errs, p.hearing.Close())
	}
	if p.program != nil {
		errs = append(errs, p.program.Sockets.Close(), p.program.Program.Close())
	}
	return errors.Join(errs...)
}
