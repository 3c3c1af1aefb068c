package vswitch

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
)

// What a simulated policy means is said here a second time, without compiler, tables or
// switch: rules of one priority, of which one that denies is stronger; nothing else is
// allowed. It is what the frames that come out are held against.

// simRule is one rule. Empty lists are anybody.
type simRule struct {
	deny        bool
	from, to    []string // labels
	ports       []string // tcp/80
	since, till time.Time
}

// simPolicy is a policy with its number.
type simPolicy struct {
	generation uint64
	rules      []simRule
}

var (
	simLabels = []string{"a", "b", "c"}
	simPorts  = []string{"tcp/80", "tcp/81", "udp/53", "udp/54"}
)

// drawPolicy draws one. Windows begin and end within minutes of now.
func drawPolicy(rng *rand.Rand, generation uint64, now time.Time) *simPolicy {
	some := func(of []string) (list []string) {
		for _, s := range of {
			if rng.IntN(2) == 0 {
				list = append(list, s)
			}
		}
		return list
	}
	p := &simPolicy{generation: generation}
	for range rng.IntN(6) {
		r := simRule{deny: rng.IntN(4) == 0, from: some(simLabels), to: some(simLabels), ports: some(simPorts)}
		if len(r.ports) == 0 {
			r.ports = simPorts[:1]
		}
		if rng.IntN(4) == 0 {
			r.since = now.Add(time.Duration(rng.IntN(120)-60) * time.Second).Truncate(time.Second)
			r.till = r.since.Add(time.Duration(1+rng.IntN(90)) * time.Second)
		}
		p.rules = append(p.rules, r)
	}
	return p
}

// allows says whether a connection may be opened.
func (p *simPolicy) allows(from, to, port string, now time.Time) bool {
	if p == nil {
		return false
	}
	allowed := false
	for _, r := range p.rules {
		is := func(list []string, one string) bool { return len(list) == 0 || slices.Contains(list, one) }
		if !is(r.from, from) || !is(r.to, to) || !slices.Contains(r.ports, port) {
			continue
		}
		if !r.since.IsZero() && (now.Unix() < r.since.Unix() || now.Unix() >= r.till.Unix()) {
			continue
		}
		if r.deny {
			return false
		}
		allowed = true
	}
	return allowed
}

// text is the policy in its language.
func (p *simPolicy) text() string {
	var b strings.Builder
	b.WriteString("version = 1\n")
	for _, l := range simLabels {
		fmt.Fprintf(&b, "[services.%s]\nlabels = { app = %q }\n", l, l)
	}
	list := func(of []string) string {
		if len(of) == 0 {
			return `["any"]`
		}
		return `["` + strings.Join(of, `", "`) + `"]`
	}
	for i, r := range p.rules {
		fmt.Fprintf(&b, "[[rules]]\nname = \"r%d\"\n", i)
		if !r.since.IsZero() {
			fmt.Fprintf(&b, "valid = { from = %s, until = %s }\n", r.since.UTC().Format(time.RFC3339), r.till.UTC().Format(time.RFC3339))
		}
		verb := "allow"
		if r.deny {
			verb = "deny"
		}
		fmt.Fprintf(&b, "%s = { from = %s, to = %s, ports = %s }\n", verb, list(r.from), list(r.to), list(r.ports))
	}
	return b.String()
}

// artifact compiles and signs it.
func (p *simPolicy) artifact() ([]byte, error) {
	rules, findings := compile.Compile([]compile.Source{{Name: "p.toml", Text: []byte(p.text())}}, compile.Options{Generation: p.generation})
	if findings.Failed() {
		_ = findings.Render(os.Stderr)
		return nil, fmt.Errorf("does not compile:\n%s", p.text())
	}
	data, err := policy.Encode(rules)
	if err != nil {
		return nil, err
	}
	signature, err := policy.Sign(data, signer(1))
	if err != nil {
		return nil, err
	}
	return policy.Seal(data, []policy.Signature{signature})
}

// flow is who speaks to whom of a frame, read from its bytes by hand.
type simFlow struct {
	srcMAC, dstMAC [6]byte
	src, dst       byte // last byte of 10.0.0.x
	proto          string
	sport, dport   uint16
}

// port is what the policy calls the destination.
func (f *simFlow) port() string { return fmt.Sprintf("%s/%d", f.proto, f.dport) }

// back is the same the other way.
func (f *simFlow) back() simFlow {
	return simFlow{srcMAC: f.dstMAC, dstMAC: f.srcMAC, src: f.dst, dst: f.src, proto: f.proto, sport: f.dport, dport: f.sport}
}

// flowOf reads a frame: untagged, IPv4, its first fragment if it has several, TCP or UDP.
// Of all else it says no.
func flowOf(b []byte) (f simFlow, ok bool) {
	if len(b) < 14+20 || binary.BigEndian.Uint16(b[12:]) != 0x0800 || b[14]>>4 != 4 {
		return f, false
	}
	head := 14 + int(b[14]&15)*4
	if head < 34 || len(b) < head+4 || binary.BigEndian.Uint16(b[20:])&0x1fff != 0 || string(b[26:29]) != "\x0a\x00\x00" || string(b[30:33]) != "\x0a\x00\x00" {
		return f, false
	}
	f.proto = map[byte]string{6: "tcp", 17: "udp"}[b[23]]
	f.src, f.dst = b[29], b[33]
	copy(f.dstMAC[:], b)
	copy(f.srcMAC[:], b[6:])
	f.sport, f.dport = binary.BigEndian.Uint16(b[head:]), binary.BigEndian.Uint16(b[head+2:])
	return f, f.proto != ""
}
