package peers

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"bulkhead/bench/rig"
	"bulkhead/bench/traffic"
)

func TestFindKeepsTheOrderAndNamesWhatIsThere(t *testing.T) {
	got, err := Find("nftables", "bridge")
	if err != nil || len(got) != 2 || got[0].Name != "nftables" || got[1].Name != "bridge" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Find("bridge", "ovs2"); err == nil || !strings.Contains(err.Error(), `"ovs2"`) || !strings.Contains(err.Error(), "bulkhead-tap") {
		t.Errorf("%v", err)
	}
}

// Every peer is a row with all that is needed to run it and to tell of it.
func TestRowsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All() {
		if p.Name == "" || seen[p.Name] || p.Up == nil || len(p.Tools) == 0 {
			t.Errorf("%+v", p)
		}
		seen[p.Name] = true
		for _, tool := range p.Tools {
			if tool.Command == "" || tool.Package == "" {
				t.Errorf("%s: %+v", p.Name, tool)
			}
		}
	}
}

// Without the daemon the switch says how to get it, before anything runs.
func TestSwitchWithoutDaemon(t *testing.T) {
	if err := upSwitch(&rig.Rig{}); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("%v", err)
	}
}

// Every peer connects A and B; those with a policy let through the ports of the
// traffic and nothing else, from A to B and not from B to A; and nobody has
// touched the offloads.
func TestPeersConnectWhatThePolicyAllows(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces and devices")
	}
	daemon := build(t)
	for _, p := range All() {
		t.Run(p.Name, func(t *testing.T) {
			for _, tool := range p.Tools {
				if _, err := exec.LookPath(tool.Command); err != nil {
					t.Skipf("%v; apt-get install %s", err, tool.Package)
				}
			}
			r, err := rig.New(context.Background(), daemon)
			if err != nil {
				t.Fatal(err)
			}
			link, err := p.Up(r)
			if err == nil {
				check(t, r, p, link)
			}
			for _, err := range []error{err, r.Close()} {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func check(t *testing.T, r *rig.Rig, p Peer, link Link) {
	if link.Note == "" {
		t.Error("nothing is told of the peer")
	}
	const other = 6000
	cases := []struct {
		port    int
		reaches bool
	}{{traffic.FirstPort, true}, {traffic.LastPort, true}, {traffic.LastPort + 1, false}, {other, false}}
	for _, c := range cases {
		want := c.reaches || judgesNothing(p)
		if got := reaches(t, r.A, link.To.String(), c.port, want); got != want {
			t.Errorf("port %d reached: %v, want %v", c.port, got, want)
		}
	}
	back := strings.Replace(link.To.String(), "10.99.2.", "10.99.1.", 1)
	back = strings.Replace(back, "10.99.0.2", "10.99.0.1", 1)
	open := judgesNothing(p)
	if reaches(t, r.B, back, traffic.FirstPort, open) != open {
		t.Error("B reaches A")
	}
	for _, space := range []string{r.A, r.B} {
		out, err := exec.Command("ip", "netns", "exec", space, "ethtool", "-k", "eth0").CombinedOutput()
		if want := map[bool]string{false: "tx-checksumming: on", true: "tx-checksumming: off"}[p.OffloadsOff]; err != nil || !strings.Contains(string(out), want) && p.Name != ovsTAP.Name {
			t.Errorf("offloads of %s: %v\n%s", space, err, out)
		}
	}
}

// judgesNothing tells the peers without a policy.
func judgesNothing(p Peer) bool {
	return p.Name == bridge.Name || p.Name == vxlanBridge.Name || p.Name == testpmd.Name
}

// reaches tells whether a SYN gets to an address: nobody listens there, so the
// answer is a refusal. Where nothing lets it through there is no answer; that is
// waited for longer where one is expected.
func reaches(t *testing.T, space, ip string, port int, expected bool) bool {
	t.Helper()
	patience := 300 * time.Millisecond
	if expected {
		patience = 5 * time.Second
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // ends with its namespace
		h, err := netns.GetFromName(space)
		if err == nil {
			err = netns.Set(h)
			h.Close()
		}
		if err != nil {
			result <- err
			return
		}
		_, err = (&net.Dialer{Timeout: patience}).Dial("tcp4", net.JoinHostPort(ip, strconv.Itoa(port)))
		result <- err
	}()
	err := <-result
	switch {
	case err != nil && strings.Contains(err.Error(), "connection refused"):
		return true
	case err != nil && strings.Contains(err.Error(), "timeout"):
		return false
	}
	t.Fatalf("from %s to %s port %d: %v", space, ip, port, err)
	return false
}

func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vswitchd")
	cmd := exec.Command("go", "build", "-o", path, "bulkhead/vswitch/cmd/vswitchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build vswitchd: %v\n%s", err, out)
	}
	return path
}
