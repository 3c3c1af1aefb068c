package xdp

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bulkhead/vswitch/port"
)

// show is what a command in the host's namespace says.
func (s *shared) show(t *testing.T, command ...string) string {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"netns", "exec", s.hostName}, command...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", command, err, out)
	}
	return string(out)
}

// A tag that the device takes off would make a frame of one VLAN look like
// another's.
func TestOpenKeepsTagsOnTheFrames(t *testing.T) {
	root(t)
	s := newShared(t)
	for _, word := range []string{"rxvlan", "rx-vlan-stag-hw-parse"} {
		s.show(t, "ethtool", "-K", uplinkDevice, word, "on")
	}
	const off, stag = "rx-vlan-offload: off", "rx-vlan-stag-hw-parse: off"
	if now := s.show(t, "ethtool", "-k", uplinkDevice); strings.Contains(now, off) || strings.Contains(now, stag) {
		t.Fatalf("not set up: %s", now)
	}
	p, err := s.open("native", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	now := s.show(t, "ethtool", "-k", uplinkDevice)
	if !strings.Contains(now, off) || !strings.Contains(now, stag) {
		t.Errorf("tags are taken off: %s", now)
	}
	if strings.Contains(now, "tx-vlan-offload: off") {
		t.Error("another feature was turned off, too")
	}
}

// What a device says of itself is as ethtool has it.
func TestFeatures(t *testing.T) {
	root(t)
	s := newShared(t)
	if err := s.host.Do(func() error {
		names, err := features(uplinkDevice)
		if err != nil {
			return err
		}
		for _, name := range tagFeatures {
			if !slices.Contains(names, name) {
				t.Errorf("no feature %q of %q", name, names)
			}
		}
		active, err := activeFeatures(uplinkDevice, len(names))
		if err != nil {
			return err
		}
		// On a veth it is fixed: off.
		if i := slices.Index(names, "rx-vlan-filter"); i < 0 || active(i) {
			t.Error("rx-vlan-filter is active")
		}
		if i := slices.Index(names, "tx-lockless"); i >= 0 {
			if err := clearFeature(uplinkDevice, len(names), i); err == nil && active(i) {
				t.Error("a fixed feature went")
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// /sys shows another namespace's devices to a process that has changed its
// network namespace only, as under nsenter --net.
func TestQueuesAreCountedInTheRightNamespace(t *testing.T) {
	root(t)
	s := newShared(t)
	s.show(t, "ip", "link", "add", "many", "numrxqueues", "4", "numtxqueues", "4", "type", "veth", "peer", "name", "other", "numrxqueues", "4", "numtxqueues", "4")
	s.show(t, "ethtool", "-L", "many", "rx", "3")
	if err := s.host.Do(func() error {
		if n := receiveQueues("many"); n != 3 {
			t.Errorf("%d queues, want 3", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A workload's port hears what is for others; an uplink hears its neighbours'
// questions for the VTEP, and the host keeps its filter. Both stop at Close.
func TestWhatADeviceHears(t *testing.T) {
	root(t)
	s := newShared(t)
	// Destination 33:33:ff and the VTEP's last three bytes.
	const group = "33:33:ff:00:00:01"
	for _, c := range []struct {
		name        string
		filter      *Filter
		promiscuous bool
		joined      bool
	}{
		{"workload", nil, true, false},
		{"uplink", both(), false, true},
		{"uplink of IPv4", &Filter{Addrs: both().Addrs[:1], UDPPort: vxlanPort}, false, false},
	} {
		p, err := s.open("native", c.filter)
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string, promiscuous, joined bool) {
			t.Helper()
			link, groups := s.show(t, "ip", "-d", "link", "show", uplinkDevice), s.show(t, "ip", "maddr", "show", "dev", uplinkDevice)
			if strings.Contains(link, "promiscuity 1") != promiscuous || strings.Contains(groups, group) != joined {
				t.Errorf("%s, %s: %s%s", c.name, when, link, groups)
			}
		}
		check("open", c.promiscuous, c.joined)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		check("closed", false, false)
	}
}

// The kernel lets go of a queue a moment after its socket, or its process, is
// gone: who opens the device again at once waits for that. A socket that stays
// is an error.
func TestBindWaitsForAQueueThatIsLetGo(t *testing.T) {
	root(t)
	s := newShared(t)
	p, err := s.open("native", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	bind := func() error {
		return s.host.Do(func() error {
			other, err := openSocket(s.region)
			if err != nil {
				t.Fatal(err)
			}
			defer other.close()
			return other.bind(p.index, 0, false)
		})
	}
	if err := bind(); err == nil || !strings.Contains(err.Error(), "no other AF_XDP socket") {
		t.Errorf("a queue that is held: %v", err)
	}
	held := p.queues[0]
	p.queues = nil
	go func() {
		time.Sleep(letGo / 10)
		_ = held.shut()
	}()
	if err := bind(); err != nil {
		t.Errorf("a queue that is let go: %v", err)
	}
}

// A port that could not fill its ring would lose frames for no reason that
// anybody could see.
func TestOpenNeedsFrameMemory(t *testing.T) {
	root(t)
	s := newShared(t)
	var err error
	if s.region, err = port.NewRegion(mapped(t, (ringSize-1)*port.ChunkSize)); err != nil {
		t.Fatal(err)
	}
	p, err := s.open("native", nil)
	if err == nil {
		p.Close()
		t.Fatal("opened")
	}
	if !strings.Contains(err.Error(), "limits.frames") {
		t.Errorf("no cure in %q", err)
	}
	if s.region.Free() != s.region.Chunks() {
		t.Errorf("%d of %d chunks came back", s.region.Free(), s.region.Chunks())
	}
}

// A workload's device is the switch's, and gets the port's MTU; an uplink's is
// the host's, and must fit it: what does not would be lost without a word.
func TestMTUOfADevice(t *testing.T) {
	root(t)
	s := newShared(t)
	for _, c := range []struct {
		name        string
		device, mtu int
		filter      *Filter
		want        string // of the error
	}{
		{"workload, longer", 1500, 9000, nil, ""},
		{"workload, shorter", 9000, 1400, nil, ""},
		{"workload, too long", 1500, 9001, nil, "at most 9000"},
		{"uplink, as the device", 1500, 1500, both(), ""},
		{"uplink, jumbo", 9000, 9000, both(), ""},
		{"uplink, longer than the device", 1500, 1600, both(), "ip link set up0 mtu 1600"},
		{"uplink of a device with longer frames", 9000, 1500, both(), "set mtu = 9000"},
	} {
		s.show(t, "ip", "link", "set", uplinkDevice, "mtu", strconv.Itoa(c.device))
		ip(t, "-n", s.wireName, "link", "set", "eth0", "mtu", strconv.Itoa(min(c.mtu, 9000)))
		p, err := s.openMTU("native", c.filter, c.mtu)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: opened, or the error has no %q: %v", c.name, c.want, err)
		case c.want == "" && c.filter == nil && !strings.Contains(s.show(t, "ip", "link", "show", uplinkDevice), " mtu "+strconv.Itoa(c.mtu)+" "):
			t.Errorf("%s: not set", c.name)
		}
		if err == nil {
			p.Close()
		}
	}
}
