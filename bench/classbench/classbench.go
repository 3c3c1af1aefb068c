// Package classbench reads the rule sets and header traces of ClassBench
// (Taylor and Turner, ToN 2007) and makes policies of them, so that the tables
// the switch uses can be held to, and timed on, rules that others use, too.
//
// The files are not part of this module. Dir says where they are looked for.
package classbench

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/classbench"
)

// Rule is a line of a rule file; earlier ones are stronger.
type Rule = classbench.Rule

// Dir returns where the files are: $CLASSBENCH, or shared/data/classbench
// beside the module that root is the root of.
func Dir(root string) string {
	if d := os.Getenv("CLASSBENCH"); d != "" {
		return d
	}
	return filepath.Join(root, "..", "shared", "data", "classbench")
}

// ReadRules reads rules/SET.zst under dir.
func ReadRules(dir, set string) ([]Rule, error) {
	return classbench.ReadFile(filepath.Join(dir, "rules", set+".zst"))
}

// ReadTrace reads the first headers, so many at the most, of
// traces/SET_KIND.zst under dir; KIND is trace or xtrace.
func ReadTrace(dir, set, kind string, most int) ([]Header, error) {
	trace, err := ReadTraceFile(filepath.Join(dir, "traces", set+"_"+kind+".zst"))
	return trace[:min(most, len(trace))], err
}

// ReadExpect reads traces/SET.expect.zst under dir: the first match of each
// header of the trace, by an independent search; -1 is none.
func ReadExpect(dir, set string) ([]int, error) {
	return ReadExpectFile(filepath.Join(dir, "traces", set+".expect.zst"))
}

// Ruleset makes a policy of rules: a network of every prefix, rule i under the
// RuleID i, called by its line. Even rules allow.
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
		rs.Rules = append(rs.Rules, policy.Rule{Name: fmt.Sprintf("line %d", r.Line), Precedence: uint32(i), Verdict: verdict,
			From: []policy.SetID{number[r.Src]}, To: []policy.SetID{number[r.Dst]}, Ports: ports(r)})
	}
	return rs
}

// ports says in a policy's terms what a rule's ports are: as an import says it,
// but for ports of protocols that have none, which are left as they are, for in a
// trace every protocol comes with every port.
func ports(r Rule) []policy.Port {
	if r.AnyPorts() {
		return r.Ports()
	}
	p := policy.Port{SrcLo: r.SrcLo, SrcHi: r.SrcHi, DstLo: r.DstLo, DstHi: r.DstHi}
	var out []policy.Port
	for proto := range 256 {
		if r.Names(uint8(proto)) {
			p.Proto = uint16(proto)
			out = append(out, p)
		}
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
func Addr(a uint32) (out packet.Addr) {
	SetAddr(&out, a)
	return out
}

// SetAddr is Addr in place, as the switch's parser does it.
func SetAddr(out *packet.Addr, a uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], a)
	out.Set4(&b)
}
