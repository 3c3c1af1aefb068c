package evpn

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bulkhead/vswitch/control/api"
)

var rewrite = flag.Bool("rewrite", false, "write what is true now into the scripts")

// scriptConfig is what every script goes by.
const scriptConfig = `
as = 65001
router_id = "192.0.2.1"
[[neighbours]]
address = "192.0.2.100"
as = 65000
[[neighbours]]
address = "192.0.2.101"
as = 65000
[[peers]]
name = "leaf1"
address = "192.0.2.11"
segments = ["front", "back"]
[[peers]]
name = "leaf2"
address = "192.0.2.12"
segments = ["front"]
[[peers]]
name = "leaf3"
address = "2001:db8::13"
segments = ["front"]
[[segments]]
name = "front"
max_endpoints = 3
[[segments]]
name = "back"
targets = ["65000:77", "192.0.2.9:5"]
[[labels]]
community = "65000:17"
labels = { tier = "web" }
peers = ["leaf1", "leaf2"]
[[labels]]
community = "65000:18"
labels = { tier = "db" }
peers = ["leaf1"]
`

// A script says what the switch has and what neighbours say, and after each step what
// comes of it, in lines that begin with ">". `go test ./vswitch/agent/evpn -run Script
// -rewrite` writes those anew; read the diff.
//
//	have PORT NAME SEGMENT MAC IP,IP [KEY=VALUE]   on a port here
//	away NAME SEGMENT MAC IP,IP PEER               moved away, by the operator's word
//	other SOURCE NAME SEGMENT MAC IP,IP            stated by another source
//	gone NAME                                      none of these any more
//	hear TYPE VTEP VNI [MAC [IP]] [seq=N] [sticky] [rt=T] [com=C] [stale]
//	silence [VTEP]                                 taken back, all or one VTEP's
//	after DURATION, unsettled, settled
//	step
func TestScript(t *testing.T) {
	files, _ := filepath.Glob("testdata/script/*.txt")
	if len(files) < 5 {
		t.Fatalf("there are %d scripts", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { newScript(t).run(file) })
	}
}

type script struct {
	t       *testing.T
	world   *World
	state   api.State
	heard   []Heard
	now     time.Time
	settled bool
}

func newScript(t *testing.T) *script {
	t.Helper()
	cfg, err := Parse("evpn.toml", []byte(scriptConfig))
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, world: NewWorld(cfg), now: time.Unix(1000, 0), settled: true}
	s.state = api.State{VTEP: []string{"192.0.2.1/24"}, Segments: []api.StateSegment{
		{Name: "front", VNI: 7701, Gateways: []string{"10.0.1.1/24", "fd00:1::1/64"}, GatewayMAC: "02:67:00:00:00:01", Source: "config"},
		{Name: "back", VNI: 7702, Gateways: []string{"10.0.2.1/24"}, GatewayMAC: "02:67:00:00:00:02", Source: "config"},
		{Name: "quiet", VNI: 7703, Gateways: []string{"10.0.3.1/24"}, GatewayMAC: "02:67:00:00:00:03", Source: "config"},
	}}
	return s
}

func (s *script) run(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for n, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if strings.HasPrefix(line, ">") {
			continue
		}
		out = append(out, line)
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		more, err := s.do(words)
		if err != nil {
			s.t.Fatalf("%s:%d: %v", file, n+1, err)
		}
		out = append(out, more...)
	}
	is := strings.Join(out, "\n") + "\n"
	switch {
	case is == string(text):
	case *rewrite:
		if err := os.WriteFile(file, []byte(is), 0o644); err != nil {
			s.t.Fatal(err)
		}
	default:
		s.t.Errorf("%s says otherwise; it is:\n%s", file, is)
	}
}

func (s *script) do(w []string) ([]string, error) {
	switch w[0] {
	case "have":
		e := api.StateEndpoint{Port: w[1], Name: w[2], Segment: w[3], MAC: w[4], IPs: strings.Split(w[5], ","), Source: "config"}
		for _, l := range w[6:] {
			k, v, _ := strings.Cut(l, "=")
			e.Labels = map[string]string{k: v}
		}
		s.state.Local = append(s.state.Local, e)
	case "away":
		s.state.Local = slices.DeleteFunc(s.state.Local, func(e api.StateEndpoint) bool { return e.Name == w[1] })
		s.state.Local = append(s.state.Local, api.StateEndpoint{Name: w[1], Segment: w[2], MAC: w[3], IPs: strings.Split(w[4], ","), Peer: w[5], Source: "api"})
	case "other":
		s.state.Stated = append(s.state.Stated, api.StateEndpoint{Source: w[1], Name: w[2], Segment: w[3], MAC: w[4], IPs: strings.Split(w[5], ","), Peer: "h2"})
	case "gone":
		is := func(e api.StateEndpoint) bool { return e.Name == w[1] }
		s.state.Local, s.state.Stated = slices.DeleteFunc(s.state.Local, is), slices.DeleteFunc(s.state.Stated, is)
	case "hear":
		return nil, s.hear(w[1:])
	case "silence":
		s.heard = slices.DeleteFunc(s.heard, func(h Heard) bool { return len(w) < 2 || h.VTEP.String() == w[1] })
	case "settled", "unsettled":
		s.settled = w[0] == "settled"
	case "after":
		d, err := time.ParseDuration(w[1])
		s.now = s.now.Add(d)
		return nil, err
	case "step":
		return s.step(), nil
	default:
		return nil, fmt.Errorf("%q is nothing to do", w[0])
	}
	return nil, nil
}

func (s *script) hear(w []string) error {
	h := Heard{From: netip.MustParseAddr("192.0.2.100")}
	kind, _ := strconv.Atoi(w[0])
	vni, _ := strconv.ParseUint(w[2], 10, 24)
	h.Kind, h.VTEP, h.VNI, h.RD = Kind(kind), netip.MustParseAddr(w[1]), uint32(vni), w[1]+":1"
	for i, word := range w[3:] {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch {
		case key == "seq":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 32)
			h.Sequence = uint32(n)
		case key == "rt":
			var t Target
			t, err = ParseTarget(value)
			h.Targets = append(h.Targets, t)
		case key == "com":
			var c uint32
			c, err = ParseCommunity(value)
			h.Communities = append(h.Communities, c)
		case word == "sticky":
			h.Sticky = true
		case word == "stale":
			h.Stale = true
		case i == 0:
			h.MAC, err = parseMAC(word)
		default:
			h.IP, err = netip.ParseAddr(word)
		}
		if err != nil {
			return err
		}
	}
	if h.Targets == nil {
		h.Targets = []Target{derived(65000, h.VNI)}
	}
	s.heard = slices.DeleteFunc(s.heard, func(o Heard) bool { return o.Key() == h.Key() })
	s.heard = append(s.heard, h)
	return nil
}

// step takes a step, and has the switch state what comes of it.
func (s *script) step() (lines []string) {
	out := s.world.Step(s.now, s.heard, &s.state, s.settled)
	s.state.Stated = slices.DeleteFunc(s.state.Stated, func(e api.StateEndpoint) bool { return e.Source == Source })
	s.state.Peers = nil
	for _, p := range out.Peers {
		lines = append(lines, fmt.Sprintf("> peer %s %s in %s", p.Name, p.Address, strings.Join(p.Segments, " ")))
		p.Source = Source
		s.state.Peers = append(s.state.Peers, p)
	}
	for _, e := range out.Endpoints {
		labels := ""
		for _, k := range slices.Sorted(maps.Keys(e.Labels)) {
			labels += " " + k + "=" + e.Labels[k]
		}
		lines = append(lines, fmt.Sprintf("> endpoint %s in %s at %s: %s %s%s", e.Name, e.Segment, e.Peer, e.MAC, strings.Join(e.IPs, ","), labels))
		e.Source = Source
		s.state.Stated = append(s.state.Stated, e)
	}
	for _, r := range out.Adverts {
		if r.Kind == Multicast {
			lines = append(lines, fmt.Sprintf("> say multicast rd=%s vtep=%s vni=%d rt=%v", r.RD, r.VTEP, r.VNI, r.Targets))
			continue
		}
		lines = append(lines, fmt.Sprintf("> say mac rd=%s vni=%d %s %s seq=%d sticky=%v rt=%v com=%#x", r.RD, r.VNI, r.MAC, r.IP, r.Sequence, r.Sticky, r.Targets, r.Communities))
	}
	for _, a := range out.Alarms {
		lines = append(lines, "> ALARM "+a)
	}
	if out.Skipped > 0 {
		lines = append(lines, fmt.Sprintf("> skipped %d", out.Skipped))
	}
	return lines
}
