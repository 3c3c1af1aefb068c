package lower_test

import (
	"reflect"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
)

func build(t *testing.T, text string) *policy.Ruleset {
	t.Helper()
	rs, findings := compile.Compile([]compile.Source{{Name: "a/b/p.toml", Text: []byte("version = 1\n" + text)}}, compile.Options{Generation: 7})
	if findings.Failed() {
		var out strings.Builder
		_ = findings.Render(&out)
		t.Fatal(out.String())
	}
	return rs
}

const both = `[services.b]
labels = { b = "1" }
[services.a]
labels = { a = "1" }
[networks.n]
cidrs = ["192.0.2.0/24"]
[services.unused]
labels = { u = "1" }
[[rules]]
name = "z"
allow = { from = ["n", "b", "a"], to = ["a", "any", "b"], ports = ["tcp/1"] }
[[rules]]
name = "y"
allow = { from = ["a"], to = ["b"], ports = ["tcp/1"] }
[[rules]]
name = "zz"
deny = { from = ["a"], to = ["b"], ports = ["tcp/1"] }
`

// Deny first, then by name; sets by kind and name; what no rule names is left
// out; any swallows the others; a place is a file's name, not its path.
func TestOrder(t *testing.T) {
	rs := build(t, both)
	var rules, sets []string
	for i := range rs.Rules {
		rules = append(rules, rs.Rules[i].Name)
	}
	for i := range rs.Sets {
		sets = append(sets, rs.Sets[i].Name)
	}
	if got := strings.Join(rules, " "); got != "zz y z" {
		t.Errorf("rules %s", got)
	}
	if got := strings.Join(sets, " "); got != "any a b n" {
		t.Errorf("sets %s", got)
	}
	if z := rs.Rules[2]; len(z.To) != 1 || z.To[0] != policy.Any || len(z.From) != 3 || z.File != "p.toml" || z.Line != 10 {
		t.Errorf("z is %+v", z)
	}
	if rs.Generation != 7 {
		t.Errorf("generation %d", rs.Generation)
	}
}

func TestPortsAreMerged(t *testing.T) {
	for ports, want := range map[string]string{
		`"tcp/1-5", "tcp/6-9"`:                   "tcp/1-9",
		`"tcp/6-9", "tcp/1-5", "tcp/3-7"`:        "tcp/1-9",
		`"tcp/1-5", "tcp/7-9"`:                   "tcp/1-5 tcp/7-9",
		`"tcp/65535", "tcp/0", "tcp/65534"`:      "tcp/0 tcp/65534-65535",
		`"tcp/0-65534", "tcp/65535"`:             "tcp",
		`"tcp/5", "udp/6"`:                       "tcp/5 udp/6",
		`"tcp/5", "any", "icmp"`:                 "any",
		`"icmp4/3", "icmp4/4", "icmp4/3/4"`:      "icmp4/3 icmp4/4",
		`"icmp4/3/255", "icmp4/4/0"`:             "icmp4/3/255 icmp4/4/0",
		`"icmp", "icmp/echo", "icmp6/1/1"`:       "icmp4 icmp6",
		`"gre", "ip/47", "esp", "ip/6", "tcp/1"`: "tcp ip/47 ip/50",
	} {
		rs := build(t, "[[rules]]\nname = \"r\"\nallow = { from = [\"any\"], to = [\"any\"], ports = ["+ports+"] }\n")
		var got []string
		for _, p := range rs.Rules[0].Ports {
			got = append(got, p.String())
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s are %s, want %s", ports, s, want)
		}
	}
}

// What the hash is of: everything that a policy says, nothing of where and how
// it says it.
func TestSourceHash(t *testing.T) {
	first := build(t, both).SourceHash
	for what, text := range map[string]string{
		"a comment and a place": "# moved\n\n" + both,
		"a tier that passes":    "[tiers.security]\ndefault = \"pass\"\n" + both,
		"a rank that it has":    strings.Replace(both, `name = "z"`, "name = \"z\"\ntier = \"application\"\npriority = 1000", 1),
		"a service unused":      strings.Replace(both, `u = "1"`, `u = "2"`, 1),
	} {
		if build(t, text).SourceHash != first {
			t.Errorf("%s changed the hash", what)
		}
	}
	for what, change := range map[string][2]string{
		"a label's value":  {`a = "1" }`, `a = "2" }`},
		"a label's key":    {`{ a = "1"`, `{ A = "1"`},
		"another label":    {`a = "1" }`, `a = "1", c = "1" }`},
		"a prefix":         {"192.0.2.0/24", "192.0.2.0/25"},
		"an exception":     {`.0/24"]`, ".0/24\"]\nexcept = [\"192.0.2.1/32\"]"},
		"a verdict":        {"deny", "allow"},
		"a rule's name":    {`"zz"`, `"zy"`},
		"a port":           {"tcp/1", "tcp/2"},
		"a tier":           {"name = \"z\"", "name = \"z\"\ntier = \"baseline\""},
		"a priority":       {"name = \"z\"", "name = \"z\"\npriority = 1001"},
		"a direction":      {"name = \"z\"", "name = \"z\"\ndirection = \"egress\""},
		"a pass":           {"deny", "pass"},
		"a tier's default": {"[services.b]", "[tiers.baseline]\ndefault = \"deny\"\n[services.b]"},
		"a condition":      {`labels = { a = "1" }`, "labels = { a = \"1\" }\nmatch = [\"exists c\"]"},
		"a port to a side": {`from = ["a"]`, `from = ["a", "n"]`},
	} {
		if text := strings.Replace(both, change[0], change[1], 1); text == both || build(t, text).SourceHash == first {
			t.Errorf("%s did not change the hash", what)
		}
	}
}

// A value that looks like the end of one label and the start of the next is
// another policy.
func TestSourceHashIsNotFooledByLabels(t *testing.T) {
	rule := "[[rules]]\nname = \"r\"\nallow = { from = [\"s\"], to = [\"any\"], ports = [\"any\"] }\n"
	two := build(t, "[services.s]\nlabels = { a = \"1\", b = \"2\" }\n"+rule)
	one := build(t, "[services.s]\nlabels = { a = \"1]} {b 0 [2\" }\n"+rule)
	if two.SourceHash == one.SourceHash {
		t.Error("two policies have one hash")
	}
}

// A group is the alternatives of its services, each once, and nothing of its
// own: it asks for nothing, and an alternative that does is met by nothing.
func TestAGroupIsNothingButItsServices(t *testing.T) {
	rs := build(t, `[services.a]
labels = { a = "1" }
[services.b]
match = ["exists b"]
[services.inner]
services = ["a", "b"]
[services.outer]
services = ["inner", "a"]
[[rules]]
name = "r"
allow = { from = ["outer"], to = ["any"], ports = ["any"] }
`)
	want := policy.Selector{{{Key: "a", Op: policy.OpIn, Values: []string{"1"}}}, {{Key: "b", Op: policy.OpExists}}}
	if got := rs.Sets[1]; got.Name != "outer" || !reflect.DeepEqual(got.Selector, want) {
		t.Errorf("%s is %q", got.Name, got.Selector)
	}
}
