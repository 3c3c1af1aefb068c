package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/netdev"
	"bulkhead/vswitch/port/selftest"
)

// A port of driver auto gets the first driver that is right for where it is and
// that carries TCP, UDP and whole packets on this host, as tried out before
// anything depends on it.
//
//	with netns                 tap       the switch makes the workload's device
//	an uplink                  xdp       which leaves the host its frames
//	a NIC                      xdp, packet   frames go past the host's stack
//	a veth, or the like        packet, xdp   its TCP keeps superframes
//
// XDP is taken in native mode only: in generic mode a packet socket is better.

// candidate is a driver in the mode in which auto takes it.
type candidate struct{ driver, mode, why string }

var (
	tapFor    = candidate{driver: "tap", why: "it makes the workload's device"}
	uplinkFor = candidate{driver: "xdp", mode: "auto", why: "it shares an uplink with the host"}
	xdpOnNIC  = candidate{driver: "xdp", mode: "native", why: "it takes a NIC's frames before the host's stack"}
	packetFor = candidate{driver: "packet", why: "a veth's TCP keeps its superframes"}
	xdpOnVeth = candidate{driver: "xdp", mode: "native", why: "it takes frames before the host's stack"}
	packetNIC = candidate{driver: "packet", why: "it works with every device"}
)

// candidates are the drivers for a port, the best first.
func candidates(c *config.Port) ([]candidate, error) {
	switch {
	case c.Netns != "":
		return []candidate{tapFor}, nil
	case c.Role == config.RoleUplink:
		return []candidate{uplinkFor}, nil
	}
	hardware, err := netdev.Hardware(c.Device)
	if err != nil {
		return nil, err
	}
	if hardware {
		return []candidate{xdpOnNIC, packetNIC}, nil
	}
	return []candidate{packetFor, xdpOnVeth}, nil
}

// openAuto opens a port by the first candidate that works. What is said of the
// choice is in the port's mode.
func openAuto(c *config.Port, o vswitch.Opening) (port.Port, error) {
	list, err := candidates(c)
	if err != nil {
		return nil, err
	}
	var failed []string
	for _, k := range list {
		tested, err := try(k, c, o)
		if err == nil {
			var p port.Port
			if p, err = openPort(k.on(c), o); err == nil {
				return &chosen{p, strings.Join(append([]string{tested}, failed...), "; ")}, nil
			}
		}
		o.Log.Warn("driver-passed-over", "port", c.Name, "driver", k.driver, "error", err)
		failed = append(failed, fmt.Sprintf("%s failed: %v", k.driver, err))
	}
	return nil, fmt.Errorf("no driver works for device %q: %s", c.Device, strings.Join(failed, "; "))
}

// on is a port's configuration with a candidate's driver.
func (k candidate) on(c *config.Port) *config.Port {
	out := *c
	out.Driver, out.Mode = k.driver, k.mode
	return &out
}

// chosen is a port that says why its driver was chosen.
type chosen struct {
	port.Port
	why string
}

// Info implements port.Port.
func (p *chosen) Info() port.Info {
	i := p.Port.Info()
	i.Mode += "; auto: " + p.why
	return i
}

// Hand implements port.Giver.
func (p *chosen) Hand() (port.Handed, error) {
	g, is := p.Port.(port.Giver)
	if !is {
		return port.Handed{}, fmt.Errorf("a port of driver %s cannot be handed over", p.Port.Info().Driver)
	}
	h, err := g.Hand()
	h.Info = p.Info()
	return h, err
}

// results are what trying a driver out has shown, by driver, mode and MTU. What
// has worked works: the host's kernel does not change under us. A failure may be
// a busy moment's, or frame memory's that was used up: it is tried again, but not
// for each of a hundred ports.
var results = struct {
	sync.Mutex
	of map[string]result
}{of: map[string]result{}}

type result struct {
	err error
	at  time.Time
}

// failedFor is how long a failure counts.
const failedFor = time.Minute

// tried returns what trying a driver out shows, or has shown.
func tried(key string, now time.Time, try func() error) error {
	results.Lock()
	defer results.Unlock()
	r, known := results.of[key]
	if !known || r.err != nil && now.Sub(r.at) >= failedFor {
		r = result{try(), now}
		results.of[key] = r
	}
	return r.err
}

// try tells whether a candidate may be used, and what is to be said of it. A TAP
// and an uplink have no alternative; they are not tried.
func try(k candidate, c *config.Port, o vswitch.Opening) (tested string, err error) {
	if k == tapFor || k == uplinkFor {
		return k.driver + ", " + k.why, nil
	}
	err = tried(fmt.Sprint(k.driver, k.mode, c.MTU), time.Now(), func() error {
		region, done, err := testRegion(o)
		if err != nil {
			return err
		}
		defer done()
		return selftest.Run(func(device string, id packet.PortID) (port.Port, error) {
			opening := o
			opening.ID, opening.Loans = id, nil // no worker's: the test receives by itself
			opening.Region, opening.Lent = region, false
			return openPort(k.on(&config.Port{Name: "self-test", Device: device, MTU: c.MTU, Queues: 1}), opening)
		}, region, c.MTU)
	})
	if errors.Is(err, selftest.ErrBench) {
		return fmt.Sprintf("%s, %s, not tested: %v", k.driver, k.why, err), nil
	}
	return fmt.Sprintf("%s, %s, tested", k.driver, k.why), err
}

// testFrames is the frame memory of a test in the port helper, in chunks.
const testFrames = 8192

// testRegion is the frame memory that a test receives into: the switch's, but of its
// own where that belongs to another process.
func testRegion(o vswitch.Opening) (region *port.Region, done func(), err error) {
	if !o.Lent {
		return o.Region, func() {}, nil
	}
	mem, err := port.NewMemory(testFrames)
	if err != nil {
		return nil, nil, err
	}
	region, err = port.NewRegion(mem)
	return region, func() { port.FreeMemory(mem) }, err
}
