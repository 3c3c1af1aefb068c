package lookup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bulkhead/bench/classbench"
	rules "bulkhead/policyc/classbench"
)

// read makes rules of a text.
func read(t testing.TB, text string) []classbench.Rule {
	t.Helper()
	list, err := rules.Read(strings.NewReader(text), "set")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func link(t testing.TB, list []classbench.Rule) *Set {
	t.Helper()
	s, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func random(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Prefixes that are nested, meet and leave gaps.
var prefixes = []string{"0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.128/25", "10.0.0.255/32", "11.0.0.0/8", "255.255.255.255/32"}

var addresses = []uint32{0, 1, 0x0a000000, 0x0a00007f, 0x0a000080, 0x0a0000ff, 0x0a000100, 0x0bffffff, 0x0c000000, 0x7fffffff, 0x80000000, 0xffffffff}

// pick returns one of a list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// draw writes a rule set as strangers do: source ports, masks, ports of
// protocols that have none, rules twice.
func draw(r *rand.Rand, n int, withPorts bool) string {
	var lines []string
	ports := func() string {
		if !withPorts {
			return "0 : 65535"
		}
		lo := pick(r, 0, 0, 1, 80, 1023, 1024, 65535)
		return fmt.Sprintf("%d : %d", lo, max(lo, pick(r, 0, 80, 1023, 1024, 65535, 65535)))
	}
	for range n {
		if len(lines) > 0 && r.IntN(10) == 0 {
			lines = append(lines, pick(r, lines...))
			continue
		}
		lines = append(lines, fmt.Sprintf("@%s\t%s\t%s\t%s\t%s\t0x0000/0x0200", pick(r, prefixes...), pick(r, prefixes...), ports(), ports(),
			pick(r, "0x06/0xFF", "0x11/0xFF", "0x01/0xFF", "0x2f/0xFF", "0x00/0xFF", "0x00/0x00", "0x06/0xFE", "0x10/0xF0")))
	}
	return strings.Join(lines, "\n")
}

// corner is a header at the edges of what draw draws.
func corner(r *rand.Rand) classbench.Header {
	port := func() uint16 { return pick[uint16](r, 0, 1, 79, 80, 81, 1022, 1023, 1024, 1025, 65534, 65535) }
	return classbench.Header{Src: pick(r, addresses...), Dst: pick(r, addresses...), Sport: port(), Dport: port(), Proto: pick[uint8](r, 0, 1, 6, 7, 16, 17, 31, 47, 132, 255)}
}

// The tables say what the list says, for whatever strangers' sets have.
func TestAnswersAreThoseOfTheList(t *testing.T) {
	r := random(t)
	artifacts := 0
	for round := range 40 {
		s := link(t, read(t, draw(r, 1+r.IntN(80), round%2 == 0)))
		var trace []classbench.Header
		for range 500 {
			trace = append(trace, corner(r))
		}
		var expect []int
		for i := range trace {
			expect = append(expect, int(First(s.Rules, &trace[i])))
		}
		v, err := s.Judge(trace, expect, len(trace))
		if err != nil || v.Wrong() || v.Compared != 500 || v.Searched != 500 {
			t.Fatalf("round %d: %v, %+v", round, err, v.Different)
		}
		if s.Build.ArtifactBytes > 0 {
			artifacts++
		}
	}
	if artifacts < 20 {
		t.Errorf("only %d of 40 sets went through an artifact", artifacts)
	}
}

// First is the meaning of a line: each field, its edges, and the order.
func TestFirst(t *testing.T) {
	list := read(t, "@10.0.0.0/8 0.0.0.0/0 5 : 9 80 : 80 0x06/0xFF\n@0.0.0.0/0 0.0.0.0/0 0 : 65535 80 : 81 0x06/0xFE\n@10.0.0.0/8 0.0.0.0/0 5:9 80:80 6/255")
	for h, want := range map[classbench.Header]int32{
		{Src: 0x0a000000, Sport: 5, Dport: 80, Proto: 6}:  0,
		{Src: 0x0affffff, Sport: 9, Dport: 80, Proto: 6}:  0,
		{Src: 0x0b000000, Sport: 9, Dport: 80, Proto: 6}:  1,
		{Src: 0x0a000000, Sport: 4, Dport: 80, Proto: 6}:  1,
		{Src: 0x0a000000, Sport: 10, Dport: 81, Proto: 7}: 1,
		{Src: 0x0a000000, Sport: 5, Dport: 82, Proto: 6}:  -1,
		{Src: 0x0a000000, Sport: 5, Dport: 80, Proto: 8}:  -1,
	} {
		if got := First(list, &h); got != want {
			t.Errorf("%+v: rule %d, want %d", h, got, want)
		}
	}
}

// More rules than 16 bits count, each its own: the last are found, too.
func TestSeventyThousandRules(t *testing.T) {
	var text strings.Builder
	var trace []classbench.Header
	var expect []int
	for i := range 70_000 {
		fmt.Fprintf(&text, "@10.%d.%d.%d/32 0.0.0.0/0 0 : 65535 0 : 65535 0x06/0xFF\n", i>>16, i>>8&255, i&255)
		if i%7 == 0 || i > 65_500 {
			trace, expect = append(trace, classbench.Header{Src: 10<<24 | uint32(i), Proto: 6}), append(expect, i)
		}
	}
	s := link(t, read(t, text.String()))
	v, err := s.Judge(trace, expect, 20)
	if err != nil || v.Wrong() || s.Build.ArtifactBytes == 0 {
		t.Errorf("%v, %+v", err, v)
	}
}

// A wrong answer is counted and told; an expectation of something else refused.
func TestJudgeCounts(t *testing.T) {
	s := link(t, read(t, "@0.0.0.0/0 0.0.0.0/0 0:65535 80:80 6/255\n@0.0.0.0/0 0.0.0.0/0 0:65535 81:81 6/255"))
	trace := []classbench.Header{{Dport: 80, Proto: 6}, {Dport: 81, Proto: 6}, {Dport: 82, Proto: 6}}
	v, err := s.Judge(trace, []int{0, 0}, 3)
	if err != nil || v.Compared != 2 || v.Differ != 1 || v.Disagree != 0 || v.NoRule != 1 || !v.Wrong() {
		t.Fatalf("%+v, %v", v, err)
	}
	if len(v.Different) != 1 || v.Different[0] != (Difference{1, "expected", 1, 0}) {
		t.Errorf("%+v", v.Different)
	}
	s.Rules = s.Rules[1:] // another list: what is searched there disagrees
	if v, _ := s.Judge(trace, nil, 3); v.Disagree != 2 || !v.Wrong() {
		t.Errorf("%+v", v)
	}
	for _, bad := range [][]int{{0, 0, 0, 0}, {2}} {
		if _, err := s.Judge(trace, bad, 0); err == nil {
			t.Errorf("took %v", bad)
		}
	}
}

// A set that no artifact can have is told by its line.
func TestPortsOfNoneHaveNoArtifact(t *testing.T) {
	for line, artifact := range map[string]bool{
		"@0.0.0.0/0 0.0.0.0/0 1:1 2:2 6/255":       true,
		"@0.0.0.0/0 0.0.0.0/0 0:65535 2:2 1/255":   true,
		"@0.0.0.0/0 0.0.0.0/0 1:1 0:65535 1/255":   false,
		"@0.0.0.0/0 0.0.0.0/0 0:65535 2:2 47/255":  false,
		"@0.0.0.0/0 0.0.0.0/0 0:65535 2:2 0/0":     false,
		"@0.0.0.0/0 0.0.0.0/0 0:65535 2:2 6/0xFE":  false,
		"@0.0.0.0/0 0.0.0.0/0 0:65535 0:65535 0/0": true,
	} {
		b := link(t, read(t, "\n"+line)).Build
		if (b.ArtifactBytes > 0) != artifact || (b.NoArtifact == "") != artifact || !artifact && !strings.HasPrefix(b.NoArtifact, "line 2 ") {
			t.Errorf("%s: %+v", line, b)
		}
	}
}

// Both ways of asking are timed in every round, and a pass whose answers are
// not those known is no time.
func TestTime(t *testing.T) {
	s := link(t, read(t, "@0.0.0.0/0 0.0.0.0/0 0:65535 80:80 6/255"))
	trace := make([]classbench.Header, 3*Batch+1)
	var said []string
	o := Options{Rounds: 2, Progress: func(s string) { said = append(said, s) }}
	known := make([]int32, len(trace))
	for i := range known {
		known[i] = -1
	}
	single, batched, err := s.Time(context.Background(), trace, known, o)
	if err != nil || len(single.Rounds) != 2 || len(batched.Rounds) != 2 || single.Min() <= 0 || batched.Min() <= 0 || len(said) != 4 {
		t.Errorf("%+v, %+v, %v, %q", single, batched, err, said)
	}
	if _, _, err := s.Time(context.Background(), trace, known[1:], o); err == nil || !strings.Contains(err.Error(), "add up") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := s.Time(ctx, trace, known, o); err == nil {
		t.Error("went on without its context")
	}
}

// Neither way of asking allocates.
func TestAskAllocatesNothing(t *testing.T) {
	s := link(t, read(t, draw(random(t), 50, true)))
	parsed := Parse(make([]classbench.Header, Batch))
	var out [Batch]int32
	if n := testing.AllocsPerRun(10, func() { out[0] = s.Ask(&parsed, 0); s.AskBatch(parsed, out[:]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
