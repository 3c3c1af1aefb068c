package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"bulkhead/vswitch/config"
)

// All workloads' devices are down before the first of them is opened; an
// uplink, which is the host's too, and a TAP's name are left alone, and a
// device that is not there is no mistake yet.
func TestSilenceTakesEveryWorkloadDown(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for devices")
	}
	device := func(n int) string { return fmt.Sprintf("sil%dx%d", os.Getpid()%100000, n) }
	for n := range 3 {
		ip(t, "link add "+device(n)+" type veth peer name p"+device(n))
		t.Cleanup(func() { _ = exec.Command("ip", "link", "del", device(n)).Run() })
		ip(t, "link set "+device(n)+" up")
	}
	cfg := &config.Config{Ports: []config.Port{
		{Name: "a", Driver: "xdp", Role: config.RoleWorkload, Device: device(0)},
		{Name: "gone", Driver: "xdp", Role: config.RoleWorkload, Device: "nosuchdevice"},
		{Name: "up", Driver: "xdp", Role: config.RoleUplink, Device: device(1)},
		{Name: "b", Driver: "xdp", Role: config.RoleWorkload, Device: device(2)},
		{Name: "tap", Driver: "tap", Role: config.RoleWorkload, Device: device(1)},
	}}
	if err := silence(cfg, func(*config.Port) bool { return false }); err != nil {
		t.Fatal(err)
	}
	for n, want := range []bool{false, true, false} {
		dev, err := net.InterfaceByName(device(n))
		if err != nil {
			t.Fatal(err)
		}
		if up := dev.Flags&net.FlagUp != 0; up != want {
			t.Errorf("device %d: up is %v, want %v", n, up, want)
		}
	}
}

func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}
