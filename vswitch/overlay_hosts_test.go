package vswitch_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// Two switches, a host each, joined by a veth:
//
//	web ── a ══════ b ── db
//	 f1 ──┘├── f2   ├── f3
//	                └── router ── inside (10.69.0.0/24)
//
// web is in segment one, db and the router in two, and f1, f2, f3 in three,
// which floods. Both hosts have all segments, and the gateway of each.
const hostsPolicy = `version = 1
[services.web]
labels = { role = "web" }
[services.db]
labels = { role = "db" }
[services.chat]
labels = { role = "chat" }
[networks.inside]
cidrs = ["10.69.0.0/24"]
[networks.everybody]
cidrs = ["10.67.3.255/32"]
[[rules]]
name = "web-to-db"
allow = { from = ["web"], to = ["db"], ports = ["tcp/5100", "icmp/echo"] }
[[rules]]
name = "web-to-inside"
allow = { from = ["web"], to = ["inside"], ports = ["tcp/5100", "icmp/echo"] }
[[rules]]
name = "inside-to-web"
allow = { from = ["inside"], to = ["web"], ports = ["tcp/5100"] }
[[rules]]
name = "chat"
allow = { from = ["chat"], to = ["everybody"], ports = ["udp/5100"] }
`

const hostsCommon = `policy = "policy.bhp"
control = "s.sock"
metrics = ""
[[segments]]
name = "one"
vni = 100
gateways = ["10.67.1.254/24", "fd67:1::fe/64"]
[[segments]]
name = "two"
vni = 200
gateways = ["10.67.2.254/24", "fd67:2::fe/64"]
[[segments]]
name = "three"
vni = 300
gateways = ["10.67.3.254/24"]
broadcast = "flood"
[[routes]]
prefix = "10.69.0.0/24"
via = "10.67.2.9"
[vtep]
addresses = ["192.0.2.%d/24"]
uplink = "up"
[[peers]]
name = "other"
address = "192.0.2.%d"
segments = ["one", "two", "three"]
[[ports]]
name = "up"
driver = "xdp"
role = "uplink"
device = %q
`

// workload is an endpoint of the two hosts: n is the last byte of its MAC and
// addresses, segment the third.
type workload struct {
	name, segment, role string
	on                  int // the host
	third, n            int
	more                string
}

var workloads = []workload{
	{"web", "one", "web", 0, 1, 1, ""},
	{"f1", "three", "chat", 0, 3, 1, ""},
	{"f2", "three", "chat", 0, 3, 2, ""},
	{"db", "two", "db", 1, 2, 2, ""},
	{"f3", "three", "chat", 1, 3, 3, ""},
	{"router", "two", "router", 1, 2, 9, `prefixes = ["10.69.0.0/24"]`},
}

// configFor writes one host's view: its own workloads on ports, the other's
// behind the peer.
func configFor(t *testing.T, host int, device string, spaces map[string]string) string {
	t.Helper()
	text := fmt.Sprintf(hostsCommon, host+1, 2-host, device)
	for _, w := range workloads {
		who := fmt.Sprintf("name = %q\nsegment = %q\nmac = \"02:67:00:00:%02d:%02d\"\nips = [\"10.67.%d.%d\"", w.name, w.segment, w.third, w.n, w.third, w.n)
		if w.third < 3 {
			who += fmt.Sprintf(", \"fd67:%d::%d\"", w.third, w.n)
		}
		who += fmt.Sprintf("]\nlabels = { role = %q }\n%s\n", w.role, w.more)
		if w.on == host {
			text += fmt.Sprintf("[[ports]]\nnetns = %q\ndevice = \"eth0\"\n%s", spaces[w.name], who)
		} else {
			text += "[[endpoints]]\npeer = \"other\"\n" + who
		}
	}
	file := filepath.Join(t.TempDir(), "bulkhead.toml")
	write(t, file, text)
	return file
}

func TestSmokeOverlayOfTwoSwitches(t *testing.T) {
	root(t)
	bin, policy := build(t), buildPolicy(t, hostsPolicy)
	a, b, spaces := namespace(t, "a"), namespace(t, "b"), map[string]string{}
	for _, w := range workloads {
		spaces[w.name] = namespace(t, w.name)
	}
	inside := namespace(t, "in")
	// A pin is named for its device, so the two hosts' must differ.
	upA, upB := fmt.Sprintf("ua%d", os.Getpid()%100000), fmt.Sprintf("ub%d", os.Getpid()%100000)
	sh(t, fmt.Sprintf("ip link add %s netns %s type veth peer name %s netns %s", upA, a, upB, b))
	var clients []*control.Client
	for i, host := range []struct{ ns, device string }{{a, upA}, {b, upB}} {
		config := configFor(t, i, host.device, spaces)
		write(t, filepath.Join(filepath.Dir(config), "policy.bhp"), policy)
		start(t, bin, config, host.ns)
		clients = append(clients, control.NewClient(filepath.Join(filepath.Dir(config), "s.sock")))
	}
	router := spaces["router"]
	in(t, router, "sysctl -qw net.ipv4.ip_forward=1")
	sh(t, fmt.Sprintf("ip link add in0 netns %s type veth peer name eth0 netns %s", router, inside),
		"ip -n "+router+" addr add 10.69.0.254/24 dev in0", "ip -n "+router+" link set in0 up",
		"ip -n "+inside+" addr add 10.69.0.7/24 dev eth0", "ip -n "+inside+" link set eth0 up", "ip -n "+inside+" route add default via 10.69.0.254")

	t.Run("between segments and hosts", func(t *testing.T) {
		for _, address := range []string{"10.67.2.2", "fd67:2::2"} {
			pings(t, spaces["web"], address)
			exchange(t, spaces["web"], spaces["db"], address)
		}
		if ping(spaces["db"], "10.67.1.1", 56) {
			t.Error("db reaches web, which no rule allows")
		}
	})
	t.Run("through a router behind the other host", func(t *testing.T) {
		pings(t, spaces["web"], "10.69.0.7")
		exchange(t, spaces["web"], inside, "10.69.0.7")
		exchange(t, inside, spaces["web"], "10.67.1.1")
	})
	t.Run("flood", func(t *testing.T) { floods(t, spaces) })
	for i, client := range clients {
		var ports []api.Port
		if err := client.Get(context.Background(), "/v1/ports", &ports); err != nil {
			t.Fatal(err)
		}
		for _, p := range ports {
			if n := p.Drops["spoofed-remote"] + p.Drops["no-route"] + p.Drops["bad-checksum"] + p.Drops["bad-vxlan"]; n > 0 {
				t.Errorf("host %d, port %s: %v", i, p.Name, p.Drops)
			}
		}
		if t.Failed() {
			t.Logf("host %d: %+v", i, ports)
		}
	}
}

// exchange sends a megabyte there and, on the same connection, back.
func exchange(t *testing.T, from, to, address string) {
	t.Helper()
	var server net.Listener
	var client net.Conn
	within(t, to, func() (err error) { server, err = net.Listen("tcp", ":5100"); return err })
	defer server.Close()
	go func() {
		if c, err := server.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	within(t, from, func() (err error) {
		client, err = net.DialTimeout("tcp", net.JoinHostPort(address, "5100"), 3*time.Second)
		return err
	})
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(10 * time.Second))
	text := make([]byte, 1<<20)
	_, _ = rand.Read(text)
	sent := make(chan error, 1)
	go func() {
		_, err := client.Write(text)
		sent <- errors.Join(err, client.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(client)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%s: %d of %d bytes came back, or others: %v", address, len(got), len(text), err)
	}
}

// floods sends broadcasts of f1 and wants each once at f2, on the same host, and
// at f3, on the other; and at nobody twice, which is what a flood that comes
// back from a peer would do.
func floods(t *testing.T, spaces map[string]string) {
	const times = 5
	ears := map[string]net.PacketConn{}
	for _, name := range []string{"f1", "f2", "f3", "db"} {
		within(t, spaces[name], func() (err error) {
			ears[name], err = net.ListenPacket("udp4", ":5100")
			return err
		})
		defer ears[name].Close()
	}
	var mouth net.Conn
	within(t, spaces["f1"], func() (err error) { mouth, err = net.Dial("udp4", "10.67.3.255:5100"); return err })
	defer mouth.Close()
	for range times {
		if _, err := mouth.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"f1": 0, "f2": times, "f3": times, "db": 0} {
		// What is to come is waited for; then a moment more, for what is not.
		heard := hear(ears[name], want, 3*time.Second)
		heard += hear(ears[name], times, 200*time.Millisecond)
		// f1's own stack hands it its broadcast, if it does.
		if name != "f1" && heard != want || name == "f1" && heard != 0 && heard != times {
			t.Errorf("%s heard %d, want %d", name, heard, want)
		}
	}
}

// hear counts the datagrams that come, up to most, within some time.
func hear(ear net.PacketConn, most int, within time.Duration) (heard int) {
	buf := make([]byte, 100)
	_ = ear.SetReadDeadline(time.Now().Add(within))
	for heard < most {
		if _, _, err := ear.ReadFrom(buf); err != nil {
			break
		}
		heard++
	}
	return heard
}
