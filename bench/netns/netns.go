// Package netns measures traffic between two network namespaces: through
// vswitchd with TAP ports and a policy, and beside it, in the same rounds and
// on the same machine, through what the kernel itself has: a bridge, and
// routed forwarding with stateful nftables (where the kernel can track
// connections on a bridge, on the bridge).
//
// It needs root. All traffic stays in namespaces that it makes, under names of
// this process, and removes, also when it is interrupted.
package netns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bulkhead/dataplane/policy"
)

// Subject is a way to connect two namespaces.
type Subject struct {
	Name string
	Note string
	up   func(*Rig) error
}

// Rig is two namespaces, A and B, connected by a subject.
type Rig struct {
	ctx     context.Context
	a, b, s string // namespaces; s is the middle, for subjects of the kernel
	dir     string
	daemon  string // path of vswitchd
	undo    []func()
	target  string // B's address
}

// NewRig connects two fresh namespaces by the subject. Close removes them.
func NewRig(ctx context.Context, subject Subject, vswitchd string) (*Rig, error) {
	dir, err := os.MkdirTemp("", "vsbench.")
	if err != nil {
		return nil, err
	}
	tag := fmt.Sprintf("vsb%d", os.Getpid())
	r := &Rig{ctx: ctx, a: tag + "a", b: tag + "b", s: tag + "s", dir: dir, daemon: vswitchd, target: "10.99.0.2"}
	r.undo = append(r.undo, func() { os.RemoveAll(dir) })
	for _, ns := range []string{r.a, r.b, r.s} {
		if err := r.run("ip", "netns", "add", ns); err != nil {
			r.Close()
			return nil, err
		}
		r.undo = append(r.undo, func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
		_ = r.run("ip", "-n", ns, "link", "set", "lo", "up")
	}
	if err := subject.up(r); err != nil {
		r.Close()
		return nil, fmt.Errorf("%s: %w", subject.Name, err)
	}
	return r, nil
}

// Close undoes everything, last first.
func (r *Rig) Close() {
	for i := len(r.undo) - 1; i >= 0; i-- {
		r.undo[i]()
	}
	r.undo = nil
}

func (r *Rig) run(name string, args ...string) error {
	cmd := exec.CommandContext(r.ctx, name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// all runs lines of commands, words split by blanks.
func (r *Rig) all(lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if err := r.run(words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// Subjects are the switch and the peers that need only the kernel.
func Subjects() []Subject {
	return []Subject{
		{Name: "bulkhead tap", Note: "policy on, stateful", up: (*Rig).upTAP},
		{Name: "kernel bridge", Note: "no policy", up: (*Rig).upBridge},
		{Name: "kernel nftables", Note: nftNote, up: (*Rig).upNFT},
	}
}

const nftNote = "routed, inet table: this kernel tracks no connections on a bridge"

// upBridge connects A and B by veths on a bridge.
func (r *Rig) upBridge() error {
	s, a, b := r.s, r.a, r.b
	return r.all(
		"ip -n "+s+" link add br0 type bridge",
		"ip -n "+s+" link set br0 up",
		"ip link add eth0 netns "+a+" type veth peer name pa netns "+s,
		"ip link add eth0 netns "+b+" type veth peer name pb netns "+s,
		"ip -n "+s+" link set pa master br0 up", "ip -n "+s+" link set pb master br0 up",
		"ip -n "+a+" addr add 10.99.0.1/24 dev eth0", "ip -n "+b+" addr add 10.99.0.2/24 dev eth0",
		"ip -n "+a+" link set eth0 up", "ip -n "+b+" link set eth0 up",
	)
}

// upNFT connects A and B by routing with a stateful ruleset: what is allowed
// is the same connection that the switch's policy allows.
func (r *Rig) upNFT() error {
	s, a, b := r.s, r.a, r.b
	r.target = "10.99.2.2"
	if err := r.all(
		"ip link add eth0 netns "+a+" type veth peer name pa netns "+s,
		"ip link add eth0 netns "+b+" type veth peer name pb netns "+s,
		"ip -n "+s+" addr add 10.99.1.1/24 dev pa", "ip -n "+s+" addr add 10.99.2.1/24 dev pb",
		"ip -n "+s+" link set pa up", "ip -n "+s+" link set pb up",
		"ip -n "+a+" addr add 10.99.1.2/24 dev eth0", "ip -n "+b+" addr add 10.99.2.2/24 dev eth0",
		"ip -n "+a+" link set eth0 up", "ip -n "+b+" link set eth0 up",
		"ip -n "+a+" route add default via 10.99.1.1", "ip -n "+b+" route add default via 10.99.2.1",
		"ip netns exec "+s+" sysctl -qw net.ipv4.ip_forward=1",
	); err != nil {
		return err
	}
	rules := filepath.Join(r.dir, "nft")
	text := `table inet bench {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		ct state new ip saddr 10.99.1.2 ip daddr 10.99.2.2 tcp dport 5201-5210 accept
		ct state new ip saddr 10.99.1.2 ip daddr 10.99.2.2 udp dport 5201-5210 accept
	}
}
`
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		return err
	}
	return r.run("ip", "netns", "exec", s, "nft", "-f", rules)
}

// upTAP connects A and B by vswitchd.
func (r *Rig) upTAP() error {
	if r.daemon == "" {
		return errors.New("vswitchd is not known; build it, and name it with --vswitchd")
	}
	if err := r.writePolicy(); err != nil {
		return err
	}
	config := fmt.Sprintf(`policy = "policy.bhp"
control = "vswitchd.sock"
metrics = ""
[[segments]]
name = "bench"
gateways = ["10.99.0.254/24"]
[[ports]]
name = "a"
segment = "bench"
netns = %q
device = "eth0"
mac = "02:99:00:00:00:01"
ips = ["10.99.0.1"]
labels = { s = "a" }
[[ports]]
name = "b"
segment = "bench"
netns = %q
device = "eth0"
mac = "02:99:00:00:00:02"
ips = ["10.99.0.2"]
labels = { s = "b" }
`, r.a, r.b)
	file := filepath.Join(r.dir, "bulkhead.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(r.dir, "log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(r.daemon, "run", "-c", file)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	r.undo = append(r.undo, func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		log.Close()
	})
	return r.waitReady(filepath.Join(r.dir, "log"))
}

// waitReady waits until the daemon says that it is ready.
func (r *Rig) waitReady(log string) error {
	for range 100 {
		text, err := os.ReadFile(log)
		if err == nil && strings.Contains(string(text), `"ready"`) {
			return nil
		}
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	text, _ := os.ReadFile(log)
	return fmt.Errorf("vswitchd is not ready after 5 s: %s", text)
}

func (r *Rig) writePolicy() error {
	ports := []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: 5201, DstHi: 5210}, {Proto: 17, SrcHi: 65535, DstLo: 5201, DstHi: 5210}}
	service := func(name string) policy.Set {
		return policy.Set{Kind: policy.KindService, Name: name, Selector: policy.Selector{{{Key: "s", Op: policy.OpIn, Values: []string{name}}}}}
	}
	rs := &policy.Ruleset{
		Sets:  []policy.Set{{Kind: policy.KindAny, Name: "any"}, service("a"), service("b")},
		Rules: []policy.Rule{{Name: "a-to-b", Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{2}, Ports: ports}},
	}
	data, err := policy.Encode(rs)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, "policy.bhp"), data, 0o600)
}

// server starts a program in B, and waits a moment for it to listen.
func (r *Rig) server(args ...string) (stop func(), err error) {
	cmd := exec.CommandContext(r.ctx, "ip", append([]string{"netns", "exec", r.b}, args...)...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	time.Sleep(300 * time.Millisecond)
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}, nil
}

// iperf is what we read of iperf3's JSON.
type iperf struct {
	Error string
	End   struct {
		SumReceived struct {
			BitsPerSecond float64 `json:"bits_per_second"`
		} `json:"sum_received"`
		Sum struct {
			BitsPerSecond float64 `json:"bits_per_second"`
			Packets       float64 `json:"packets"`
			LostPercent   float64 `json:"lost_percent"`
			Seconds       float64 `json:"seconds"`
		} `json:"sum"`
	}
}

func (r *Rig) iperf(args ...string) (*iperf, error) {
	stop, err := r.server("iperf3", "-s", "-p", "5201", "-1")
	if err != nil {
		return nil, err
	}
	defer stop()
	full := append([]string{"netns", "exec", r.a, "iperf3", "-c", r.target, "-p", "5201", "-J"}, args...)
	out, err := exec.CommandContext(r.ctx, "ip", full...).Output()
	result := new(iperf)
	if e := json.Unmarshal(out, result); e != nil {
		return nil, fmt.Errorf("iperf3: %w", errors.Join(err, e))
	}
	if result.Error != "" {
		return nil, errors.New("iperf3: " + result.Error)
	}
	return result, nil
}

// TCP returns the throughput of one connection, in Gb/s.
func (r *Rig) TCP(seconds int) (float64, error) {
	out, err := r.iperf("-t", fmt.Sprint(seconds))
	if err != nil {
		return 0, err
	}
	return out.End.SumReceived.BitsPerSecond / 1e9, nil
}

// Packets returns how many 64-byte frames a second arrive of as many UDP
// datagrams as one sender can send, in thousands.
func (r *Rig) Packets(seconds int) (float64, error) {
	out, err := r.iperf("-u", "-b", "0", "-l", "18", "-t", fmt.Sprint(seconds))
	if err != nil {
		return 0, err
	}
	s := out.End.Sum
	if s.Seconds == 0 {
		return 0, errors.New("iperf3 measured no time")
	}
	return s.Packets * (1 - s.LostPercent/100) / s.Seconds / 1e3, nil
}
