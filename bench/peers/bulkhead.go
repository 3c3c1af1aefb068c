package peers

import (
	"errors"
	"fmt"
	"strings"

	"bulkhead/bench/rig"
	"bulkhead/bench/traffic"
	"bulkhead/dataplane/policy"
)

// Both ends of the switch have MACs that are written down: its ports are bound
// to them.
const (
	macA = "02:99:00:00:00:01"
	macB = "02:99:00:00:00:02"
)

// ControlSocket is where in the rig's directory the switch's control API is.
const ControlSocket = "vswitchd.sock"

// workload is one port of the configuration.
type workload struct{ name, driver, mac, ip string }

// upSwitch compiles the policy, configures vswitchd and starts it.
func upSwitch(r *rig.Rig, ports ...workload) error { return upSwitchOf(r, ruleset(), "", ports...) }

// upSwitchOf does so with other rules, and other lines of the configuration before
// its segments: keys, then tables.
func upSwitchOf(r *rig.Rig, rs *policy.Ruleset, lines string, ports ...workload) error {
	return startSwitch(r, rs, configuration(lines, ports))
}

// startSwitch starts vswitchd with rules and a configuration.
func startSwitch(r *rig.Rig, rs *policy.Ruleset, config string) error {
	if r.VSwitchd == "" {
		return errors.New("vswitchd is not found; make build makes it beside vsbench, --vswitchd names another")
	}
	rules, err := policy.Encode(rs)
	if err != nil {
		return err
	}
	if _, err := r.Write("policy.bhp", rules); err != nil {
		return err
	}
	file, err := r.Write("bulkhead.toml", []byte(config))
	if err != nil {
		return err
	}
	return r.Daemon(r.VSwitchd, "run", "-c", file)
}

func configuration(lines string, ports []workload) string {
	var b strings.Builder
	fmt.Fprintf(&b, "policy = \"policy.bhp\"\ncontrol = %q\nmetrics = \"\"\n%s\n", ControlSocket, lines)
	b.WriteString("[[segments]]\nname = \"bench\"\ngateways = [\"10.99.0.254/16\"]\n")
	for _, p := range ports {
		fmt.Fprintf(&b, "[[ports]]\nname = %q\nsegment = \"bench\"\n%s\nmac = %q\nips = [\"%s\"]\nlabels = { bench = %q }\n", p.name, p.driver, p.mac, p.ip, p.name)
	}
	return b.String()
}

// ruleset allows what the other peers allow, and nothing else.
func ruleset() *policy.Ruleset {
	service := func(name string) policy.Set {
		return policy.Set{Kind: policy.KindService, Name: name, Selector: policy.Selector{{{Key: "bench", Op: policy.OpIn, Values: []string{name}}}}}
	}
	port := func(proto uint16) policy.Port {
		return policy.Port{Proto: proto, SrcHi: 65535, DstLo: traffic.FirstPort, DstHi: traffic.LastPort}
	}
	const tcp, udp = 6, 17
	return &policy.Ruleset{
		Sets:  []policy.Set{{Kind: policy.KindAny, Name: "any"}, service("a"), service("b")},
		Rules: []policy.Rule{{Name: "a-to-b", Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{2}, Ports: []policy.Port{port(tcp), port(udp)}}},
	}
}
