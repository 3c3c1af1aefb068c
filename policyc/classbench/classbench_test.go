package classbench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
)

func TestLines(t *testing.T) {
	p := netip.MustParsePrefix
	for situation, c := range map[string]struct {
		line string
		want Rule
	}{
		"tcp_one_port":             {"@10.1.2.3/8\t192.0.2.1/32\t0 : 65535\t80 : 80\t0x06/0xFF\t0x0000/0x0000\t", Rule{p("10.0.0.0/8"), p("192.0.2.1/32"), 0, 65535, 80, 80, 6, 0, 0}},
		"any_protocol":             {"@0.0.0.0/0\t0.0.0.0/0\t0 : 65535\t0 : 65535\t0x00/0x00\t0x0000/0x0000\t", Rule{p("0.0.0.0/0"), p("0.0.0.0/0"), 0, 65535, 0, 65535, policy.AnyProto, 0, 0}},
		"protocol_0_is_a_protocol": {"@0.0.0.0/0 0.0.0.0/0 0 : 65535 0 : 65535 0x00/0xFF", Rule{p("0.0.0.0/0"), p("0.0.0.0/0"), 0, 65535, 0, 65535, 0, 0, 0}},
		"without_flags":            {"@0.0.0.0/0 0.0.0.0/0 1 : 2 65535 : 65535 0x11/0xff", Rule{p("0.0.0.0/0"), p("0.0.0.0/0"), 1, 2, 65535, 65535, 17, 0, 0}},
		"a_mask_of_some_bits":      {"@0.0.0.0/0 0.0.0.0/0 0 : 65535 0 : 65535 0x07/0xFE", Rule{p("0.0.0.0/0"), p("0.0.0.0/0"), 0, 65535, 0, 65535, 6, 0, 0xfe}},
		"no_blanks":                {"@0.0.0.0/0\t0.0.0.0/0\t1:2\t3:4\t6/0xFF\t0x0/0x0", Rule{p("0.0.0.0/0"), p("0.0.0.0/0"), 1, 2, 3, 4, 6, 0, 0}},
		"blanks_everywhere":        {" @ 0.0.0.0/0 \t 0.0.0.0/0   1  :  2 3 :4 6 / 255\t\t\r", Rule{p("0.0.0.0/0"), p("0.0.0.0/0"), 1, 2, 3, 4, 6, 0, 0}},
		"ipv6":                     {"@fd00::1/16 ::/0 0 : 65535 0 : 65535 0x3A/0xFF", Rule{p("fd00::/16"), p("::/0"), 0, 65535, 0, 65535, 58, 0, 0}},
	} {
		if got, err := ParseRule(c.line); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", situation, got, err)
		}
	}
}

func TestLinesThatAreNone(t *testing.T) {
	for situation, c := range map[string]struct{ line, says string }{
		"no_at":        {"10.0.0.0/8 0.0.0.0/0 0 : 1 0 : 1 0x06/0xFF", "is no rule"},
		"no_colon":     {"@10.0.0.0/8 0.0.0.0/0 0 1 0 1 0x06/0xFF 0/0 x y", "is no rule"},
		"no_mask":      {"@10.0.0.0/8 0.0.0.0/0 0 : 1 0 : 1 6", "is no rule"},
		"too_short":    {"@10.0.0.0/8 0.0.0.0/0 0 : 1 0 : 1", "is no rule"},
		"bad_prefix":   {"@10.0.0/8 0.0.0.0/0 0 : 1 0 : 1 0x06/0xFF", `"10.0.0/8" is no prefix`},
		"backwards":    {"@10.0.0.0/8 0.0.0.0/0 0 : 1 2 : 1 0x06/0xFF", `"2 : 1" is no range`},
		"port_65536":   {"@10.0.0.0/8 0.0.0.0/0 0 : 65536 2 : 3 0x06/0xFF", `"0 : 65536" is no range`},
		"protocol_256": {"@10.0.0.0/8 0.0.0.0/0 0 : 1 1 : 1 0x100/0xFF", "is no protocol"},
		"two_mistakes": {"@10.0.0/8 0.0.0.0/0 0 : 1 2 : 1 0x06/0xFF", `"2 : 1" is no range`},
		"binary":       {"\x00\xff" + strings.Repeat("x", 100), "..."},
	} {
		if _, err := ParseRule(c.line); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", situation, err)
		}
	}
	_, err := Read(strings.NewReader(strings.Repeat("x\n", 100)), "set")
	if err == nil || strings.Count(err.Error(), "\n") != maxMistakes || !strings.HasPrefix(err.Error(), "set:1: ") {
		t.Errorf("%v", err)
	}
}

// draw draws rules whose edges meet, at both ends, of one protocol, of several and
// of all.
func draw(r *rand.Rand, n int) []Rule {
	prefixes := []string{"0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.128/25", "10.0.0.255/32", "11.0.0.0/8"}
	protos := []Rule{{Proto: 6}, {Proto: 17}, {Proto: 132}, {Proto: 1}, {Proto: 47}, {Proto: policy.AnyProto}, {Proto: 6, Mask: 0xfe}, {Proto: 1, Mask: 0x01}}
	edges := func() (lo, hi uint16) {
		if r.IntN(2) == 0 {
			return 0, 65535
		}
		lo = []uint16{0, 0, 80, 443, 65535}[r.IntN(5)]
		return lo, max(lo, []uint16{0, 80, 442, 65535}[r.IntN(4)])
	}
	var rules []Rule
	for i := range n {
		x := protos[r.IntN(len(protos))]
		x.Src, x.Dst, x.Line = netip.MustParsePrefix(prefixes[r.IntN(len(prefixes))]), netip.MustParsePrefix(prefixes[r.IntN(len(prefixes))]), i+1
		x.SrcLo, x.SrcHi = edges()
		x.DstLo, x.DstHi = edges()
		rules = append(rules, x)
	}
	return rules
}

// matches is the meaning of a line, in the plainest way.
func (r *Rule) matches(src, dst netip.Addr, proto uint8, sport, dport uint16) bool {
	return r.Src.Contains(src) && r.Dst.Contains(dst) && r.Names(proto) && r.SrcLo <= sport && sport <= r.SrcHi && r.DstLo <= dport && dport <= r.DstHi
}

// What is written compiles, and the first line that matches decides.
func TestWhatIsWrittenMeansTheSame(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 20 {
		rules := draw(r, 30)
		var text strings.Builder
		if err := Write(&text, rules, Alternate); err != nil {
			t.Fatal(err)
		}
		rs, findings := compile.Compile([]compile.Source{{Name: "c.toml", Text: []byte(text.String())}}, compile.Options{})
		if findings.Failed() {
			var said strings.Builder
			_ = findings.Render(&said)
			t.Fatalf("seed %d round %d: %s", seed, round, said.String())
		}
		edges := []uint16{0, 1, 79, 80, 81, 442, 443, 65535}
		for range 1000 {
			addrs := []string{"10.0.0.0", "10.0.0.127", "10.0.0.128", "10.0.0.255", "10.0.1.0", "11.0.0.0", "192.0.2.1"}
			src, dst := netip.MustParseAddr(addrs[r.IntN(len(addrs))]), netip.MustParseAddr(addrs[r.IntN(len(addrs))])
			proto, sport, dport := []uint8{6, 7, 17, 132, 1, 47, 99}[r.IntN(7)], edges[r.IntN(len(edges))], edges[r.IntN(len(edges))]
			if portedName[uint16(proto)] == "" {
				sport, dport = 0, 0
			}
			want := "none"
			if i := slices.IndexFunc(rules, func(x Rule) bool { return x.matches(src, dst, proto, sport, dport) }); i >= 0 {
				want = fmt.Sprintf("line-%06d", rules[i].Line)
			}
			if got := decided(rs, src, dst, proto, sport, dport); got != want {
				t.Fatalf("seed %d round %d: %s > %s %d/%d/%d: %s, want %s\n%s", seed, round, src, dst, proto, sport, dport, got, want, text.String())
			}
		}
	}
}

// decided is the line whose rule decides.
func decided(rs *policy.Ruleset, src, dst netip.Addr, proto uint8, sport, dport uint16) string {
	from, to := rs.NetworksOf(src), rs.NetworksOf(dst)
	has := func(named, sets []policy.SetID) bool {
		return slices.ContainsFunc(named, func(s policy.SetID) bool { return slices.Contains(sets, s) })
	}
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if has(r.From, from) && has(r.To, to) && slices.ContainsFunc(r.Ports, func(p policy.Port) bool { return p.Matches(proto, sport, dport) }) {
			return strings.TrimSuffix(r.Name, "-ports")
		}
	}
	return "none"
}

func TestPrioritiesAndVerdicts(t *testing.T) {
	rules := draw(rand.New(rand.NewPCG(1, 1)), 12)
	for i := range rules {
		rules[i].Proto, rules[i].Mask = 6, 0
	}
	rules[4].Proto, rules[4].DstLo, rules[4].DstHi = 47, 1, 1 // no packet is that
	for verdicts, want := range map[Verdicts][3]string{Allow: {"allow", "allow", "allow"}, Deny: {"deny", "deny", "deny"}, Alternate: {"allow", "deny", "deny"}} {
		var text strings.Builder
		if err := Write(&text, rules, verdicts); err != nil {
			t.Fatal(err)
		}
		for i, line := range [3]int{1, 2, 6} {
			head := fmt.Sprintf("name = \"line-%06d\"\npriority = %d\n%s = {", line, line-1, want[i])
			if !strings.Contains(text.String(), head) {
				t.Errorf("%s: no %q in\n%s", verdicts, head, text.String())
			}
		}
		if strings.Contains(text.String(), "line-000005") || !strings.Contains(text.String(), "# line 5: no packet matches it") || strings.Count(text.String(), "[[rules]]") != 11 {
			t.Errorf("%s: the line that no packet matches is not told\n%s", verdicts, text.String())
		}
	}
}

// Ten thousand rules, packed, become a policy in less than two seconds.
func TestTenThousandRulesInTwoSeconds(t *testing.T) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "@10.%d.%d.0/24\t192.0.%d.%d/32\t0 : 65535\t%d : %d\t0x06/0xFF\t0x0000/0x0000\t\n", i>>8, i&255, i&255, i>>8, i, i+5)
	}
	name := filepath.Join(t.TempDir(), "rules.zst")
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, z.EncodeAll([]byte(text.String()), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	in, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	rules, err := Read(in, "set")
	var out strings.Builder
	if err == nil {
		err = Write(&out, rules, Alternate)
	}
	if took := time.Since(start); err != nil || len(rules) != 10_000 || took > 2*time.Second {
		t.Errorf("%d rules in %v, %v", len(rules), took, err)
	}
}

// Read takes what editors and other tools make of a file, and counts rules, not
// lines; a line without end is refused by its number.
func TestReadTakesOddFiles(t *testing.T) {
	const rule = "@10.0.0.0/8\t0.0.0.0/0\t0 : 1\t0 : 1\t0x06/0xFF\t0x0000/0x0000"
	rules, err := Read(strings.NewReader("\ufeff"+rule+" \t\r\n\r\n# comment\r\n  "+rule), "set")
	if err != nil || len(rules) != 2 || rules[0].Line != 1 || rules[1].Line != 4 {
		t.Errorf("%+v, %v", rules, err)
	}
	if _, err := Read(strings.NewReader(rule+"\n"+strings.Repeat("x", maxLine+1)), "set"); err == nil || !strings.HasPrefix(err.Error(), "set:2: ") {
		t.Errorf("%v", err)
	}
}

// A mask names the protocols that are alike in its bits.
func TestMaskNamesProtocols(t *testing.T) {
	r, err := ParseRule("@0.0.0.0/0 0.0.0.0/0 0:65535 0:65535 0x06/0xFE")
	if err != nil {
		t.Fatal(err)
	}
	for proto := range 256 {
		if want := proto == 6 || proto == 7; r.Names(uint8(proto)) != want {
			t.Errorf("protocol %d: %v", proto, !want)
		}
	}
	if got := r.clauses(); len(got) != 1 || got[0].String() != `ports = ["tcp", "ip/7"]` {
		t.Errorf("a policy says %v", got)
	}
}

// What unpacks to more than may be is refused, not cut off.
func TestBoundedRefuses(t *testing.T) {
	if _, err := io.ReadAll(&bounded{strings.NewReader("1234"), 4}); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(&bounded{strings.NewReader("12345"), 4}); err == nil {
		t.Error("read more than it may")
	}
}
