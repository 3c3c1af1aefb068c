package vswitch_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// Ports of all drivers are in one segment, with their offloads as the kernel
// sets them, and each sends the other, and one of its kind, more TCP than fits any
// buffer: every byte arrives, whoever has to cut superframes and to finish
// checksums on the way.
func TestSmokeEveryDriverWithEveryOther(t *testing.T) {
	root(t)
	t.Parallel()
	bin, dir := build(t), t.TempDir()
	writePolicy(t, filepath.Join(dir, "web.bhp"), "tcp/5100")
	config := filepath.Join(dir, "bulkhead.toml")
	text := "policy = \"web.bhp\"\ncontrol = \"s.sock\"\nmetrics = \"\"\n[[segments]]\nname = \"s\"\ngateways = [\"10.96.0.254/24\"]\n"
	own := namespace(t, "s")
	type end struct{ driver, netns, ip string }
	var ends []end
	for i, driver := range []string{"tap", "tap", "xdp", "xdp", "packet", "auto"} {
		e := end{driver, namespace(t, fmt.Sprint("e", i)), fmt.Sprintf("10.96.0.%d", i+1)}
		mac, host := fmt.Sprintf("02:96:00:00:00:0%d", i+1), fmt.Sprintf("d%d-%d", i, os.Getpid()%1000000)
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\ndriver = %q\nsegment = \"s\"\nmac = %q\nips = [%q]\n", i, driver, mac, e.ip)
		if driver == "tap" {
			text += fmt.Sprintf("netns = %q\ndevice = \"eth0\"\n", e.netns)
		} else {
			sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name eth0 netns %s address %s", host, own, e.netns, mac),
				fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", e.netns, e.ip), "ip -n "+e.netns+" link set eth0 up")
			text += fmt.Sprintf("device = %q\n", host)
		}
		ends = append(ends, e)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, bin, config, own)
	saysWhy(t, filepath.Join(dir, "s.sock"))
	for i, from := range ends {
		for j, to := range ends {
			if i != j && (i%2 == 0 || j%2 == 0) {
				transfer(t, from.netns, to.netns, to.ip, fmt.Sprintf("%s to %s", from.driver, to.driver))
			}
		}
	}
}

// saysWhy looks at the port of driver auto: what it has chosen, tried out, and why.
func saysWhy(t *testing.T, socket string) {
	t.Helper()
	var ports []api.Port
	if err := control.NewClient(socket).Get(context.Background(), "/v1/ports", &ports); err != nil {
		t.Fatal(err)
	}
	for _, p := range ports {
		if p.Name == "p5" && (p.Driver != "packet" || !strings.Contains(p.Mode, "auto: packet, a veth's TCP keeps its superframes, tested")) {
			t.Errorf("auto says: driver %s, %s", p.Driver, p.Mode)
		}
	}
}

// transfer sends 8 MB from one namespace to another, where they must arrive.
func transfer(t *testing.T, from, to, ip, what string) {
	t.Helper()
	const size = 8 << 20
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server := exec.CommandContext(ctx, "ip", "netns", "exec", to, "sh", "-c", "nc -l 5100 | sha256sum")
	out := &strings.Builder{}
	server.Stdout, server.WaitDelay = out, time.Second
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if listens(to) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	sum := sha256.New()
	client := exec.CommandContext(ctx, "ip", "netns", "exec", from, "nc", "-N", "-w", "10", ip, "5100")
	client.WaitDelay = time.Second
	client.Stdin = io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), sum)
	if text, err := client.CombinedOutput(); err != nil {
		t.Errorf("%s: send: %v %s", what, err, text)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("%s: receive: %v", what, err)
	}
	if want := fmt.Sprintf("%x", sum.Sum(nil)); !strings.HasPrefix(out.String(), want) {
		t.Errorf("%s: other bytes than were sent arrived: %s", what, out)
	}
}

// listens tells whether somebody listens at the port of the transfer.
func listens(netns string) bool {
	out, err := exec.Command("ip", "netns", "exec", netns, "ss", "-Hltn", "sport = :5100").Output()
	return err == nil && len(out) > 0
}
