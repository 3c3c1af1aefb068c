package analyze_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

// What one changed rule or one changed service differs in, read back word by
// word, is exactly what differs: the rules that are left out had no say.
func TestDiffOfOneChangeIsWhatDiffers(t *testing.T) {
	differ, left := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		old := drawPolicy(t)
		changed := drawChange(t, old)
		a, b := must(t, old), must(t, changed)
		d := diff(t, a, b)
		whole, err := analyze.DiffWhole(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if d.Empty() != whole.Empty() {
			t.Fatalf("%+v, of the whole policies %+v\n%s\n%s", d, whole, old, changed)
		}
		words := reader{a, b}
		for _, p := range probes(t, a, b) {
			was, is := p.allowed(a), p.allowed(b)
			for _, c := range []struct {
				changes []analyze.Change
				want    bool
			}{{d.Allowed, is && !was}, {d.Denied, was && !is}} {
				told := slices.ContainsFunc(c.changes, func(c analyze.Change) bool {
					return c.Holds(p.flow, namedBy(a, b)) && words.in(c.From, p.from) && words.in(c.To, p.to)
				})
				if told != c.want {
					t.Fatalf("%+v: was %v, is %v, told %v\n%+v\n%s\n%s", p, was, is, told, c.changes, old, changed)
				}
				if c.want {
					differ++
				}
			}
		}
		left++
	})
	if differ < 100 || left < 50 {
		t.Errorf("only %d connections differed in %d policies: they prove little", differ, left)
	}
}

// ends are who a rule more may be from and to.
var ends = []string{`"any"`, `"s0"`, `"any", "s0"`}

// drawChange draws a policy that differs from another in one thing.
func drawChange(t *rapid.T, text string) string {
	// what only an allow says, and what a pass does not
	unmarked := strings.NewReplacer("stateless = true\n", "", "log = true\n", "").Replace(text)
	switch rapid.IntRange(0, 4).Draw(t, "change") {
	case 0: // another meaning of a name
		return strings.Replace(text, "[services.s0]\nlabels = { ", "[services.s0]\nlabels = { d = \"1\", ", 1)
	case 1: // another verdict
		return strings.Replace(unmarked, "allow = {", "deny = {", 1)
	case 2: // other source ports, if there are any
		if other := strings.Replace(text, `source_ports = ["53"`, `source_ports = ["54"`, 1); other != text {
			return other
		}
		fallthrough
	case 3: // a rule less, or another default
		return strings.Replace(strings.Replace(unmarked, "allow = { from", "pass = { from", 1), "default = \"allow\"", "default = \"deny\"", 1)
	}
	return text + fmt.Sprintf("[[rules]]\nname = \"more\"\n%s%s = { from = [%s], to = [%s], %s }\n", worlds.Rank(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "rank"), 0))),
		rapid.SampledFrom([]string{"allow", "deny"}).Draw(t, "verdict"), rapid.SampledFrom(ends).Draw(t, "from"), rapid.SampledFrom(ends).Draw(t, "to"),
		rapid.SampledFrom([]string{`ports = ["any"]`, `ports = ["tcp/80-90", "icmp/echo"]`, `ports = ["tcp", "udp/53"], source_ports = ["53", "1024-65535"]`}).Draw(t, "ports"))
}

// A rule is another rule where any of what it means is another, and the same
// where it is called otherwise or stands elsewhere. A field that is new to this
// test may be one that two rules can differ in: then ruleKey must hold it.
func TestRuleKeyHasAllThatARuleMeans(t *testing.T) {
	fields := func(of any) (names []string) {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			names = append(names, f.Name)
		}
		return names
	}
	for got, want := range map[string]string{
		fmt.Sprint(fields(check.Rule{})):  "[Name Allow Pass Tier Priority Direction Scope From To Ports Named At Log Audit Stateless Valid Dormant Owner Reason]",
		fmt.Sprint(fields(check.Set{})):   "[Any Outside Service Network]",
		fmt.Sprint(fields(policy.Port{})): "[Proto SrcLo SrcHi DstLo DstHi]",
	} {
		if got != want {
			t.Errorf("the fields are %s and were %s: add what is new to ruleKey, then here", got, want)
		}
	}
	rule := func() *check.Rule {
		return &check.Rule{Name: "r", From: []check.Set{{Any: true}}, To: []check.Set{{Any: true}}, Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: 1, DstHi: 2}}}
	}
	web := check.Set{Service: &check.Service{Name: "web"}}
	plain := analyze.RuleKey(rule())
	for what, change := range map[string]func(*check.Rule){
		"allow": func(r *check.Rule) { r.Allow = true }, "pass": func(r *check.Rule) { r.Pass = true }, "tier": func(r *check.Rule) { r.Tier = 1 },
		"priority": func(r *check.Rule) { r.Priority = 1 << 31 }, "direction": func(r *check.Rule) { r.Direction = policy.Egress },
		"scope": func(r *check.Rule) { r.Scope = web.Service }, "from": func(r *check.Rule) { r.From = []check.Set{web} },
		"outside": func(r *check.Rule) { r.To = []check.Set{{Outside: true}} },
		"named":   func(r *check.Rule) { r.Named = []check.NamedPorts{{Via: web, To: web.Service, Ports: r.Ports}} },
		"to":      func(r *check.Rule) { r.To = append(r.To, web) }, "proto": func(r *check.Rule) { r.Ports[0].Proto = 17 },
		"audit": func(r *check.Rule) { r.Audit = true }, "stateless": func(r *check.Rule) { r.Stateless = true },
		"dormant":      func(r *check.Rule) { r.Dormant = true },
		"least_source": func(r *check.Rule) { r.Ports[0].SrcLo = 1 }, "last_source": func(r *check.Rule) { r.Ports[0].SrcHi = 1 },
		"least_port": func(r *check.Rule) { r.Ports[0].DstLo = 0 }, "last_port": func(r *check.Rule) { r.Ports[0].DstHi = 3 },
	} {
		r := rule()
		if change(r); analyze.RuleKey(r) == plain {
			t.Errorf("another %s is the same rule", what)
		}
	}
	r := rule()
	if r.Name = "other"; analyze.RuleKey(r) != plain {
		t.Error("another name is another rule")
	}
}
