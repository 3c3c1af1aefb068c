// Package classbench reads the rule sets and header traces of ClassBench
// (Taylor and Turner, ToN 2007) and makes policies of them, so that the tables
// the switch uses can be held to, and timed on, rules that others use, too.
//
// The files are not part of this module. Dir says where they are looked for.
package classbench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/classbench"
)

// Rule is a line of a rule file; earlier ones are stronger.
type Rule = classbench.Rule

// Header is a line of a trace.
type Header struct {
	Src, Dst     uint32
	Sport, Dport uint16
	Proto        uint8
}

// Dir returns where the files are: $CLASSBENCH, or shared/data/classbench
// beside the module that root is the root of.
func Dir(root string) string {
	if d := os.Getenv("CLASSBENCH"); d != "" {
		return d
	}
	return filepath.Join(root, "..", "shared", "data", "classbench")
}

// errEnough, of a line, ends the reading.
var errEnough = errors.New("enough")

// read unpacks a file and hands each line over.
func read(name string, line func(string) error) error {
	text, err := classbench.Open(name)
	if err != nil {
		return err
	}
	defer text.Close()
	lines := bufio.NewScanner(text)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		if err := line(lines.Text()); err == errEnough {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	return lines.Err()
}

// ReadRules reads rules/SET.zst under dir.
func ReadRules(dir, set string) (rules []Rule, err error) {
	err = read(filepath.Join(dir, "rules", set+".zst"), func(line string) error {
		r, err := classbench.ParseRule(line)
		rules = append(rules, r)
		return err
	})
	return rules, err
}

// ReadTrace reads the first headers, so many at the most, of
// traces/SET_KIND.zst under dir; KIND is trace or xtrace.
func ReadTrace(dir, set, kind string, most int) (trace []Header, err error) {
	err = read(filepath.Join(dir, "traces", set+"_"+kind+".zst"), func(line string) error {
		var f [5]uint32
		fields := strings.Fields(line)
		if len(fields) < len(f) {
			return io.ErrUnexpectedEOF
		}
		for i := range f {
			v, err := strconv.ParseUint(fields[i], 10, 32)
			if err != nil {
				return err
			}
			f[i] = uint32(v)
		}
		trace = append(trace, Header{f[0], f[1], uint16(f[2]), uint16(f[3]), uint8(f[4])})
		if len(trace) == most {
			return errEnough
		}
		return nil
	})
	return trace, err
}

// ReadExpect reads traces/SET.expect.zst under dir: the first match of each
// header of the trace, by an independent search; -1 is none.
func ReadExpect(dir, set string) (expect []int, err error) {
	err = read(filepath.Join(dir, "traces", set+".expect.zst"), func(line string) error {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		expect = append(expect, n)
		return err
	})
	return expect, err
}

// Ruleset makes a policy of rules: a network of every prefix, rule i under the
// RuleID i. Even rules allow.
func Ruleset(rules []Rule) *policy.Ruleset {
	rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}
	number := map[netip.Prefix]policy.SetID{}
	for _, r := range rules {
		number[r.Src], number[r.Dst] = 0, 0
	}
	for p := range number {
		rs.Sets = append(rs.Sets, policy.Set{Kind: policy.KindNetwork, Name: p.String(), Prefixes: []netip.Prefix{p}})
	}
	slices.SortFunc(rs.Sets[1:], func(a, b policy.Set) int { return strings.Compare(a.Name, b.Name) })
	for i := range rs.Sets[1:] {
		number[rs.Sets[i+1].Prefixes[0]] = policy.SetID(i + 1)
	}
	for i, r := range rules {
		verdict := policy.Allow
		if i%2 == 1 {
			verdict = policy.Deny
		}
		rs.Rules = append(rs.Rules, policy.Rule{Name: fmt.Sprintf("r%d", i), Verdict: verdict,
			From: []policy.SetID{number[r.Src]}, To: []policy.SetID{number[r.Dst]}, Ports: ports(r)})
	}
	return rs
}

// ports says in a policy's terms what a rule's ports are. There every protocol
// comes with every port; so a rule for ports of any protocol names all 256.
func ports(r Rule) []policy.Port {
	p := policy.Port{Proto: r.Proto, SrcLo: r.SrcLo, SrcHi: r.SrcHi, DstLo: r.DstLo, DstHi: r.DstHi}
	whole := p == policy.Port{Proto: policy.AnyProto, SrcHi: 65535, DstHi: 65535}
	if r.Proto != policy.AnyProto || whole {
		return []policy.Port{p}
	}
	out := make([]policy.Port, 256)
	for i := range out {
		out[i] = p
		out[i].Proto = uint16(i)
	}
	return out
}

// Identities makes the table that finds the identity of an address.
func Identities(rs *policy.Ruleset) (*identity.Table, error) {
	b := identity.NewBuilder()
	for _, atom := range rs.Atoms() {
		sets := make([]uint32, len(atom.Sets))
		for i, s := range atom.Sets {
			sets[i] = uint32(s)
		}
		b.Outside(atom.Prefix, sets)
	}
	return b.Build()
}

// Addr is an address of a header as the switch has it.
func Addr(a uint32) packet.Addr {
	return packet.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}
