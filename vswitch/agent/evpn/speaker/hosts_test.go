package speaker_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/vswitch"
	"bulkhead/vswitch/agent/evpn"
	"bulkhead/vswitch/agent/evpn/speaker"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// A host of a test is a real switch over ports in memory, its control API, and an agent
// of its own process that speaks BGP with the other host's over the loopback.
type host struct {
	t    *testing.T
	dir  string
	bgp  string // its configuration
	op   *vswitch.Operator
	stop func() // the agent
	end  func() // the switch
}

// newHost makes host number i of two; its workload is wI, 10.0.0.I. Host 1 listens.
func newHost(t *testing.T, i, bgpPort int) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), stop: func() {}}
	o := 3 - i
	listen := ""
	if i == 1 {
		listen = fmt.Sprintf("listen = \"127.0.0.1:%d\"", bgpPort)
	}
	h.bgp = fmt.Sprintf(`
as = 6500%d
router_id = "192.0.2.%d"
keep = "2s"
%s
[[neighbours]]
address = "127.0.0.%d"
source = "127.0.0.%d"
as = 6500%d
port = %d
password_file = "secret"
[[peers]]
name = "h%d"
address = "192.0.2.%d"
segments = ["s"]
[[segments]]
name = "s"
[[labels]]
community = "65000:1%d"
labels = { app = "w%d" }
peers = []
[[labels]]
community = "65000:1%d"
labels = { app = "w%d" }
peers = ["h%d"]
`, i, i, listen, o, i, o, bgpPort, o, o, i, i, o, o, o)
	for name, text := range map[string]string{"secret": "swordfish\n", "evpn.toml": h.bgp} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.beginSwitch(i)
	h.beginAgent()
	t.Cleanup(func() { h.stop(); h.end() })
	return h
}

func (h *host) socket() string { return filepath.Join(h.dir, "s.sock") }

func (h *host) beginSwitch(i int) {
	h.t.Helper()
	text := fmt.Sprintf(`
control = "s.sock"
metrics = ""
[[segments]]
name = "s"
vni = 7
gateways = ["10.0.0.254/24"]
[[ports]]
name = "up"
role = "uplink"
device = "u0"
[vtep]
addresses = ["192.0.2.%d/24"]
uplink = "up"
[[peers]]
name = "h3"
address = "192.0.2.3"
segments = ["s"]
[[ports]]
name = "w%d"
segment = "s"
mac = "02:00:00:00:00:%02x"
ips = ["10.0.0.%d"]
labels = { app = "w%d" }
`, i, i, i, i, i)
	cfg, err := config.Parse(filepath.Join(h.dir, "bulkhead.toml"), []byte(text))
	if err != nil {
		h.t.Fatal(err)
	}
	open := func(c *config.Port, o vswitch.Opening) (port.Port, error) {
		return mem.New(mem.Config{Name: c.Name, Port: o.ID, MTU: c.MTU, Queues: c.Queues, MAC: c.MAC})
	}
	log := slog.New(slog.DiscardHandler)
	sw, err := vswitch.New(cfg, open, log)
	if err == nil {
		err = sw.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.op = sw.Control("test", func() error { return nil })
	ctl, err := control.Listen(control.Options{Path: h.socket(), Switch: h.op, Log: log})
	if err != nil {
		h.t.Fatal(err)
	}
	go ctl.Serve()
	h.end = func() { _ = ctl.Close(); _ = sw.Close() }
}

// TestMain is an agent if a test has started this very binary as one: gobgp has
// variables of the process, and two servers in one would write them under each other.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EVPN_AGENT"); dir != "" {
		if err := runAgent(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runAgent runs an agent until its input ends.
func runAgent(dir string) error {
	cfg, err := evpn.Load(filepath.Join(dir, "evpn.toml"))
	if err != nil {
		return err
	}
	s, err := speaker.Start(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	return evpn.New(cfg, filepath.Join(dir, "s.sock"), s, slog.New(slog.DiscardHandler)).Run(ctx)
}

func (h *host) beginAgent() {
	h.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EVPN_AGENT="+h.dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.stop = func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			h.t.Errorf("agent: %v", err)
		}
		h.stop = func() {}
	}
}

// at says where the switch has the endpoint of a MAC, and with which labels.
func (h *host) at(mac string) string {
	list, err := h.op.Endpoints()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range list {
		if e.MAC == mac {
			return fmt.Sprint(e.Port, e.Peer, e.IPs, e.Labels)
		}
	}
	return "nowhere"
}

func (h *host) source() (s api.Source) {
	st, err := h.op.Status()
	if err == nil && len(st.Sources) == 1 {
		s = st.Sources[0]
	}
	return s
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("in 30 s it has not come to be that %s", what)
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

const mac1, mac2 = "02:00:00:00:00:01", "02:00:00:00:00:02"

// Two of our hosts tell each other of their workloads; one's agent dies, and nothing
// changes at the other before its time is over; it comes again, and says it anew.
func TestTwoHosts(t *testing.T) {
	p := freePort(t)
	one, two := newHost(t, 1, p), newHost(t, 2, p)
	eventually(t, "each has the other's workload, and who it is", func() bool {
		return one.at(mac2) == "h2[10.0.0.2] map[app:w2]" && two.at(mac1) == "h1[10.0.0.1] map[app:w1]"
	})
	eventually(t, "both say that they are current", func() bool { return one.source().State == "current" && two.source().State == "current" })

	if _, err := two.op.ChangeEndpoint(&api.EndpointChange{Op: api.EndpointDel, Name: "w2"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is gone there is gone here", func() bool { return one.at(mac2) == "nowhere" })
	if _, err := two.op.ChangeEndpoint(&api.EndpointChange{Op: api.EndpointAdd, Name: "w2", Port: "w2", MAC: mac2, IPs: []string{"10.0.0.2"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what has come there is here, with the labels that it has", func() bool { return one.at(mac2) == "h2[10.0.0.2] map[]" })

	two.stop()
	eventually(t, "one sees that it has lost two", func() bool { s := one.source(); return s.State == "stale" && strings.Contains(s.Detail, "127.0.0.2") })
	if at := one.at(mac2); at != "h2[10.0.0.2] map[]" {
		t.Errorf("with two's agent gone its workload is %s", at)
	}
	if at := two.at(mac1); at != "h1[10.0.0.1] map[app:w1]" {
		t.Errorf("without an agent two has one's workload %s", at)
	}
	eventually(t, "its time is over", func() bool { return one.at(mac2) == "nowhere" })
	two.beginAgent()
	eventually(t, "it is there again", func() bool { return one.at(mac2) == "h2[10.0.0.2] map[]" && one.source().State == "current" })
}

// What an operator has placed at a peer another peer does not get by saying its MAC and
// address; moved there by its operator, it is there.
func TestPlaced(t *testing.T) {
	p := freePort(t)
	one := newHost(t, 1, p)
	add := &api.EndpointChange{Op: api.EndpointAdd, Name: "db", Segment: "s", Peer: "h3", MAC: mac2, IPs: []string{"10.0.0.2", "10.0.0.3"}, Labels: map[string]string{"app": "db"}}
	if _, err := one.op.ChangeEndpoint(add); err != nil {
		t.Fatal(err)
	}
	newHost(t, 2, p)
	eventually(t, "somebody hears that another says it", func() bool {
		return strings.Contains(fmt.Sprint(one.source().Alarms), `is "db", placed at peer "h3" here, and is said to be at h2`)
	})
	if at := one.at(mac2); at != "h3[10.0.0.2 10.0.0.3] map[app:db]" {
		t.Errorf("what is placed at h3 is %s", at)
	}
	if _, err := one.op.ChangeEndpoint(&api.EndpointChange{Op: api.EndpointMove, Name: "db", Peer: "h2"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody complains of it where it is", func() bool { return len(one.source().Alarms) == 0 })
	if at := one.at(mac2); at != "h2[10.0.0.2 10.0.0.3] map[app:db]" {
		t.Errorf("what is moved to h2 is %s", at)
	}
}

// Who does not know the password is not spoken with.
func TestPassword(t *testing.T) {
	p := freePort(t)
	one, two := newHost(t, 1, p), newHost(t, 2, p)
	eventually(t, "they speak", func() bool { return one.at(mac2) != "nowhere" })
	two.stop()
	if err := os.WriteFile(filepath.Join(two.dir, "secret"), []byte("guess\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what two said is over", func() bool { return one.at(mac2) == "nowhere" })
	two.beginAgent()
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if one.source().State == "current" || one.at(mac2) != "nowhere" {
			t.Fatal("it is believed without the password")
		}
	}
}

// Who says more than max_routes is cut off, and what he said before stays for keep.
func TestMaxRoutes(t *testing.T) {
	p := freePort(t)
	one, two := newHost(t, 1, p), newHost(t, 2, p)
	eventually(t, "they speak", func() bool { return one.at(mac2) != "nowhere" })
	one.stop()
	text := strings.Replace(one.bgp, "password_file", "max_routes = 2\npassword_file", 1)
	if err := os.WriteFile(filepath.Join(one.dir, "evpn.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	one.beginAgent()
	eventually(t, "two is cut off, and one says why", func() bool { return strings.Contains(one.source().Detail, "max_routes") })
	eventually(t, "what two said is over", func() bool { return one.at(mac2) == "nowhere" })
	if at := two.at(mac2); !strings.HasPrefix(at, "w2[") {
		t.Errorf("two's own workload is %s", at)
	}
}
