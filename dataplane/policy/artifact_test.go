package policy

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

func sample() *Ruleset {
	return &Ruleset{
		Generation: 7, SourceHash: [32]byte{1, 2, 3},
		Sets: []Set{
			{Kind: KindAny, Name: "any"},
			{Kind: KindService, Name: "db", Selector: Selector{{{Key: "app", Op: OpIn, Values: []string{"shop"}}, {Key: "old", Op: OpNotExists}}}},
			{Kind: KindNetwork, Name: "offices", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}, Except: []netip.Prefix{netip.MustParsePrefix("192.0.2.66/32")}},
		},
		Rules: []Rule{
			{Name: "no", Verdict: Deny, From: []SetID{0}, To: []SetID{0}, Ports: []Port{{Proto: AnyProto, SrcHi: 65535, DstHi: 65535}}, File: "p.toml", Line: 3},
			{Name: "yes", Verdict: Allow, From: []SetID{2}, To: []SetID{1}, Ports: []Port{{Proto: 6, SrcHi: 65535, DstLo: 5432, DstHi: 5432}}, File: "p.toml", Line: 9,
				Log: true, Stateless: true, Valid: Period{1767225600, 1782777600}, Owner: "team-shop", Reason: "PCI 1.2.1"},
		},
	}
}

func encoded(t *testing.T) []byte {
	t.Helper()
	data, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRoundTrip(t *testing.T) {
	rs, err := Decode(encoded(t))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(rs, sample()) {
		t.Errorf("came back as %+v", rs)
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	data := encoded(t)
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			if _, err := Decode(data); err == nil {
				t.Errorf("byte %d bit %d: loaded", i, bit)
			}
			data[i] ^= 1 << bit
		}
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	data := encoded(t)
	for n := range data {
		if _, err := Decode(data[:n]); err == nil {
			t.Errorf("%d bytes of %d: loaded", n, len(data))
		}
	}
	if _, err := Decode(append(data, 0)); !errors.Is(err, ErrTruncated) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestErrorsNameWhatTheFileIs(t *testing.T) {
	version := encoded(t)
	version[8] = 9
	altered := encoded(t)
	altered[len(altered)-1] ^= 1
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":   {nil, ErrForeign},
		"foreign": {[]byte("#!/bin/sh\n# not a policy\n"), ErrForeign},
		"version": {version, ErrVersion},
		"cut":     {encoded(t)[:50], ErrTruncated},
		"altered": {altered, ErrCorrupt},
	} {
		if _, err := Decode(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// For every address the longest atom around it has exactly the sets that hold
// the address.
func TestAtomsAgreeWithMembership(t *testing.T) {
	rs := sample()
	rs.Sets = append(rs.Sets, Set{Kind: KindNetwork, Name: "wide", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.0.0/16")}, Except: []netip.Prefix{netip.MustParsePrefix("192.0.2.64/26")}})
	atoms := rs.Atoms()
	for _, text := range []string{"192.0.2.0", "192.0.2.63", "192.0.2.64", "192.0.2.66", "192.0.2.67", "192.0.2.128", "192.0.3.0", "192.1.0.0", "191.255.255.255", "2001:db8::1", "2001:db9::"} {
		a := netip.MustParseAddr(text)
		got := []SetID{Any}
		for _, atom := range atoms { // short before long: the last is the longest
			if atom.Prefix.Contains(a) {
				got = atom.Sets
			}
		}
		if want := rs.NetworksOf(a); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: atoms say %v, networks %v", a, got, want)
		}
	}
}

func TestEmptySelectorSelectsNothing(t *testing.T) {
	labels := map[string]string{"app": "shop"}
	for _, s := range []Selector{nil, {}, {nil}, {{}}} {
		if s.Selects(labels) {
			t.Errorf("%v selects something", s)
		}
	}
}

// What is no promise of a ruleset's is neither written nor read.
func TestWhatIsNoRulesetIsNotWritten(t *testing.T) {
	for what, spoil := range map[string]func(*Ruleset){
		"a generation that JSON rounds":       func(rs *Ruleset) { rs.Generation = MaxGeneration + 1 },
		"a rule's name moves the cursor":      func(rs *Ruleset) { rs.Rules[0].Name = "no\x1b[2J" },
		"a rule's name is two lines":          func(rs *Ruleset) { rs.Rules[0].Name = "no\nyes" },
		"a rule's name is no text":            func(rs *Ruleset) { rs.Rules[0].Name = "\xff" },
		"a file's name moves the cursor":      func(rs *Ruleset) { rs.Rules[1].File = "\u202ep.toml" },
		"a set's name moves the cursor":       func(rs *Ruleset) { rs.Sets[1].Name = "d\bb" },
		"a verdict that there is not":         func(rs *Ruleset) { rs.Rules[0].Verdict = Pass + 1 },
		"a direction that there is not":       func(rs *Ruleset) { rs.Rules[0].Direction = Ingress + 1 },
		"a tier too many":                     func(rs *Ruleset) { rs.Rules[1].Tier = Tiers },
		"a set that there is not":             func(rs *Ruleset) { rs.Rules[1].To = []SetID{3} },
		"nobody to connect":                   func(rs *Ruleset) { rs.Rules[1].From = nil },
		"nothing to connect on":               func(rs *Ruleset) { rs.Rules[1].Ports = nil },
		"an allow before its tier's deny":     func(rs *Ruleset) { rs.Rules[0], rs.Rules[1] = rs.Rules[1], rs.Rules[0] },
		"a later rule before one of its tier": func(rs *Ruleset) { rs.Rules[0].Precedence = 1 },
		"a later tier before an earlier one":  func(rs *Ruleset) { rs.Rules[0].Tier = 1 },
		"a prefix with bits behind it":        func(rs *Ruleset) { rs.Sets[2].Prefixes[0] = netip.MustParsePrefix("192.0.2.1/24") },
		"IPv4 written as IPv6":                func(rs *Ruleset) { rs.Sets[2].Prefixes[0] = netip.MustParsePrefix("::ffff:192.0.2.0/120") },
		"an exception outside":                func(rs *Ruleset) { rs.Sets[2].Except[0] = netip.MustParsePrefix("192.0.3.66/32") },
		"a wider exception":                   func(rs *Ruleset) { rs.Sets[2].Except[0] = netip.MustParsePrefix("192.0.0.0/16") },
		"a condition on no label":             func(rs *Ruleset) { rs.Sets[1].Selector[0][0].Key = "" },
		"one of no values":                    func(rs *Ruleset) { rs.Sets[1].Selector[0][0].Values = nil },
		"absent, with a value":                func(rs *Ruleset) { rs.Sets[1].Selector[0][1].Values = []string{"x"} },
		"a comparison that there is not":      func(rs *Ruleset) { rs.Sets[1].Selector[0][1].Op = OpNotExists + 1 },
		"a second Any":                        func(rs *Ruleset) { rs.Sets[1].Kind = KindAny },
		"no Any":                              func(rs *Ruleset) { rs.Sets[0].Kind = KindService },
		"a network with labels":               func(rs *Ruleset) { rs.Sets[2].Selector = rs.Sets[1].Selector },
		"a service with prefixes":             func(rs *Ruleset) { rs.Sets[1].Prefixes = rs.Sets[2].Prefixes },
	} {
		rs := sample()
		spoil(rs)
		if _, err := Encode(rs); err == nil {
			t.Errorf("%s: was written", what)
		}
	}
	if _, err := Encode(sample()); err != nil {
		t.Errorf("what all are made of: %v", err)
	}
}
