package policy

import "testing"

// shopRules are rules as people write them, and one that allows a little to
// everybody.
func shopRules() *Ruleset {
	tcp := func(lo, hi uint16) Port { return Port{Proto: 6, SrcHi: 65535, DstLo: lo, DstHi: hi} }
	udp := Port{Proto: 17, SrcHi: 65535, DstLo: 7, DstHi: 7}
	return &Ruleset{
		Sets: []Set{{Name: "any"}, {Name: "api"}, {Name: "db"}, {Name: "web"}},
		Rules: []Rule{
			{Name: "no-telnet", Verdict: Deny, From: []SetID{Any}, To: []SetID{Any}, Ports: []Port{tcp(23, 23)}},
			{Name: "api-to-db", Verdict: Allow, From: []SetID{1}, To: []SetID{2}, Ports: []Port{udp, tcp(23, 23), tcp(5432, 5432), tcp(6000, 6100)}},
			{Name: "echo", Verdict: Allow, From: []SetID{Any}, To: []SetID{Any}, Ports: []Port{udp}},
			{Name: "to-web", Verdict: Allow, From: []SetID{1, 2}, To: []SetID{3}, Ports: []Port{{Proto: AnyProto, SrcHi: 65535, DstHi: 65535}}},
		},
	}
}

func TestNearest(t *testing.T) {
	rs := shopRules()
	for _, c := range []struct {
		situation string
		from, to  []SetID
		proto     uint8
		port      uint16
		want      string
	}{
		{"another_port", []SetID{Any, 1}, []SetID{Any, 2}, 6, 443, "api-to-db, if it used tcp/23, tcp/5432 or tcp/6000-6100"},
		{"another_protocol", []SetID{Any, 1}, []SetID{Any, 2}, 47, 0, "api-to-db, if it used udp/7, tcp/23, tcp/5432 or tcp/6000-6100"},
		{"another_source", []SetID{Any, 3}, []SetID{Any, 2}, 6, 5432, "api-to-db, if it came from api"},
		{"another_destination", []SetID{Any, 1}, []SetID{Any}, 6, 5432, "api-to-db, if it went to db"},
		{"nobody_knows_the_source", []SetID{Any}, []SetID{Any, 3}, 6, 80, "to-web, if it came from api or db"},
		{"source_and_port", []SetID{Any, 3}, []SetID{Any, 2}, 6, 443, "api-to-db, if it came from api and used tcp/23, tcp/5432 or tcp/6000-6100"},
		{"what_everybody_may_is_near_to_its_own_protocol_only", []SetID{Any}, []SetID{Any}, 17, 8, "echo, if it used udp/7"},
		{"nothing_to_do_with_any_rule", []SetID{Any}, []SetID{Any}, 47, 0, ""},
	} {
		t.Run(c.situation, func(t *testing.T) {
			got := ""
			if near, found := rs.Nearest(c.from, c.to, c.proto, 0, c.port); found {
				got = near.Describe(rs)
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestOverruled(t *testing.T) {
	rs := shopRules()
	if rule, found := rs.Overruled([]SetID{Any, 1}, []SetID{Any, 2}, 6, 0, 23); !found || rs.Rules[rule].Name != "api-to-db" {
		t.Errorf("%v, %v", rule, found)
	}
	if rule, found := rs.Overruled([]SetID{Any, 3}, []SetID{Any, 2}, 6, 0, 23); found {
		t.Errorf("%v", rs.Rules[rule].Name)
	}
}

// A rule with a thousand ports is described in a line.
func TestDescribeIsALine(t *testing.T) {
	rs := shopRules()
	for i := range uint16(1000) {
		rs.Rules[1].Ports = append(rs.Rules[1].Ports, Port{Proto: 132, SrcHi: 65535, DstLo: 2 * i, DstHi: 2 * i})
	}
	near, _ := rs.Nearest([]SetID{Any, 1}, []SetID{Any, 2}, 132, 0, 1)
	if got, want := near.Describe(rs), "api-to-db, if it used sctp/0, sctp/2, sctp/4, sctp/6, sctp/8 or 995 others"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
