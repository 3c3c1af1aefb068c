package lower_test

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/lower"
)

// More rules than 16 bits can count, on more lines: each is there after it was
// written and read, with its name, its place and its port.
func TestMoreRulesThan16BitsCount(t *testing.T) {
	const rules = 70000
	src := diag.NewSource("p.toml", []byte(strings.Repeat("#\n", 2*rules)))
	p := &check.Policy{}
	all := []check.Set{{Any: true}}
	for i := range rules {
		p.Rules = append(p.Rules, &check.Rule{
			Name: fmt.Sprintf("r%05d", i), Allow: true, From: all, To: all, At: src.Span(4*i, 1),
			Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: uint16(i), DstHi: uint16(i)}},
		})
	}
	data, err := policy.Encode(lower.Policy(p, 0))
	if err != nil {
		t.Fatal(err)
	}
	rs, err := policy.Decode(data)
	if err != nil || len(rs.Rules) != rules {
		t.Fatalf("%v, %v", len(rs.Rules), err)
	}
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if r.Name != fmt.Sprintf("r%05d", i) || r.Line != uint32(2*i+1) || r.Ports[0].DstLo != uint16(i) {
			t.Fatalf("rule %d is %+v", i, r)
		}
	}
}
