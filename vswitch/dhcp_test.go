package vswitch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Workloads that nobody has configured ask, and are told: an ordinary DHCP client
// gets IPv4, the kernel itself IPv6, by the router's advertisement: an address where
// the bound one is that which it makes of its MAC, a route by the gateway's link-local
// address, the MTU. Then they reach their gateway by both.
func TestSmokeWorkloadsConfigureThemselves(t *testing.T) {
	root(t)
	if _, err := exec.LookPath("udhcpc"); err != nil {
		t.Skip("needs udhcpc, an ordinary DHCP client: .ci/deps installs it")
	}
	t.Parallel()
	ns := namespace(t, "asks")
	dir := t.TempDir()
	config := filepath.Join(dir, "bulkhead.toml")
	text := `
control = "vswitchd.sock"
metrics = ""
[[segments]]
name = "s"
gateways = ["10.99.1.1/24", "fd99:1::1/64"]
dns = ["10.99.1.53", "fd99:1::53"]
mtu = 1400
lease = 120
[[ports]]
name = "asks"
segment = "s"
netns = "` + ns + `"
mac = "02:99:01:00:00:0a"
ips = ["10.99.1.10", "fd99:1::99:1ff:fe00:a"]
`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// What udhcpc does with what it is told is a script's.
	script := filepath.Join(dir, "bound")
	hook := "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr add $ip/$mask dev $interface\nip route add default via $router\n" +
		"echo $ip/$mask $router $dns $mtu $lease >" + filepath.Join(dir, "told") + "\n"
	if err := os.WriteFile(script, []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, build(t), config, "")
	// As a machine of its own finds its device: without anything.
	sh(t, "ip -n "+ns+" addr flush dev eth0", "ip -n "+ns+" route flush dev eth0", "ip -n "+ns+" link set eth0 down",
		"ip netns exec "+ns+" sysctl -qw net.ipv6.conf.eth0.accept_ra=1 net.ipv6.conf.eth0.autoconf=1 net.ipv6.conf.eth0.addr_gen_mode=0",
		"ip -n "+ns+" link set eth0 mtu 1500", "ip -n "+ns+" link set eth0 up")

	out, err := exec.Command("ip", "netns", "exec", ns, "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "1", "-s", script).CombinedOutput()
	if err != nil {
		t.Fatalf("udhcpc: %v: %s", err, out)
	}
	told, _ := os.ReadFile(filepath.Join(dir, "told"))
	if got, want := strings.TrimSpace(string(told)), "10.99.1.10/24 10.99.1.1 10.99.1.53 1400 120"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	shows := func(want string, command ...string) {
		t.Helper()
		var out []byte
		for range 60 { // duplicate address detection takes a second or two
			if out, _ = exec.Command("ip", append([]string{"-n", ns}, command...)...).CombinedOutput(); strings.Contains(string(out), want) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("ip %s has no %q: %s", strings.Join(command, " "), want, out)
	}
	shows("fd99:1::99:1ff:fe00:a/64", "-6", "addr", "show", "dev", "eth0", "scope", "global", "-tentative")
	shows("default via fe80::", "-6", "route")
	for _, gateway := range []string{"10.99.1.1", "fd99:1::1"} {
		if out, err := exec.Command("ip", "netns", "exec", ns, "ping", "-n", "-c", "1", "-W", "2", gateway).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", gateway, err, out)
		}
	}
	if mtu, _ := exec.Command("ip", "netns", "exec", ns, "cat", "/proc/sys/net/ipv6/conf/eth0/mtu").Output(); strings.TrimSpace(string(mtu)) != "1400" {
		t.Errorf("IPv6 goes by an MTU of %s", mtu)
	}
}
