package analyze_test

import (
	"strings"
	"testing"
)

// What a diff compares is a part of two policies, and who is in nothing that the
// part names may be in what the rest does: 10.0.0.0, which no network of these
// has, is outside, and no rule that differs says so. So "others" is no word here,
// not even for who is left out.
func TestDiffOfPartsSaysNothingOfOthers(t *testing.T) {
	const text = `version = 1
[services.s1]
labels = { b = "1", c = "2" }
match = ["not exists d"]
[services.s2]
labels = { a = "1" }
match = ["c in (2, 4)"]
[networks.n2]
cidrs = ["10.0.0.66/32"]
[[rules]]
name = "r0"
tier = "security"
allow = { from = ["host", "n2"], to = ["s2"], ports = ["tcp"] }
[[rules]]
name = "r1"
allow = { from = ["s2"], to = ["s1"], ports = ["tcp/65535"] }
[[rules]]
name = "r2"
tier = "security"
allow = { from = ["host"], to = ["outside"], ports = ["ip/253"] }
[services.p0]
labels = { a = "1" }
ports = { own = "tcp/80" }
[services.p1]
labels = { b = "1" }
ports = { own = "tcp/85-100" }
[[rules]]
name = "by name"
allow = { from = ["any"], to = ["p0", "p1"], ports = ["own"] }
`
	d := diff(t, must(t, text), must(t, strings.Replace(text, "allow = { from = [\"host\"", "pass = { from = [\"host\"", 1)))
	if len(d.Denied) == 0 {
		t.Fatal("nothing differs")
	}
	for _, c := range d.Denied {
		if words := strings.Join(append(c.From, c.To...), ", "); strings.Contains(words, "others") {
			t.Errorf("%v %v -> %v: who are others?", c.Ports, c.From, c.To)
		}
	}
}
