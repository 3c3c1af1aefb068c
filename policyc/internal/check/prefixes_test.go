package check

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
)

// manyPrefixes is a policy of two networks that come to so many prefixes, the second
// of a hundred, of which half the first has, too.
func manyPrefixes(n int) *checker {
	at := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i)))), 32)
	}
	a, b := &Network{Name: "a"}, &Network{Name: "b"}
	for i := range n - 50 {
		a.Prefixes = append(a.Prefixes, at(i))
	}
	for i := range 100 {
		b.Prefixes = append(b.Prefixes, at(n-100+i))
	}
	rule := &Rule{From: []Set{{Network: a}, {Network: b}}, To: []Set{{Any: true}}}
	return &checker{p: &Policy{Networks: []*Network{a, b}, Rules: []*Rule{rule}}, list: &diag.List{}}
}

// What a switch has no room for is refused where it is stated: as many prefixes as it
// has room for are not, however often they are written, nor those that no rule names.
func TestPrefixesBeyondASwitch(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it counts six million prefixes")
	}
	fits := manyPrefixes(policy.MaxPrefixes)
	if fits.bound(); fits.list.Failed() {
		t.Errorf("%d prefixes: %v", policy.MaxPrefixes, fits.list.All)
	}
	over := manyPrefixes(policy.MaxPrefixes + 1)
	over.bound()
	if len(over.list.All) != 1 || !strings.Contains(over.list.All[0].Message, fmt.Sprintf(`with network "b" rules name more than %d different prefixes`, policy.MaxPrefixes)) {
		t.Errorf("one more: %v", over.list.All)
	}
	unnamed := manyPrefixes(policy.MaxPrefixes + 1)
	unnamed.p.Rules[0].From = unnamed.p.Rules[0].From[:1]
	if unnamed.bound(); unnamed.list.Failed() {
		t.Errorf("one more that no rule names: %v", unnamed.list.All)
	}
}
