package lookup

import (
	"fmt"
	"net/netip"

	"bulkhead/bench/classbench"
)

// Difference is an answer that is not the one expected.
type Difference struct {
	Header   int    `json:"header"` // its place in the trace, from 0
	What     string `json:"what"`
	Got      int32  `json:"got"`      // number of the rule, from 0; -1 is none
	Expected int32  `json:"expected"` // the same
}

// Verdicts are the answers to a trace, held against what is known.
type Verdicts struct {
	Answers   []int32      // by header
	NoRule    int          // headers that no rule matches
	Compared  int          // with what was expected
	Differ    int          // of those
	Searched  int          // headers whose first match was searched in the list
	Disagree  int          // of those
	Unstable  int          // answered otherwise in a batch than alone
	Different []Difference // the first few of all of these
}

// shown is how many differences are kept.
const shown = 10

// Wrong tells whether any answer was.
func (v *Verdicts) Wrong() bool { return v.Differ+v.Disagree+v.Unstable > 0 }

// Judge answers every header, alone and in batches, and compares with what is
// expected of the first ones, and with a search of the list for so many headers
// spread over the trace. It refuses an expectation that cannot be of this trace
// and these rules.
func (s *Set) Judge(trace []classbench.Header, expect []int, search int) (*Verdicts, error) {
	if len(expect) > len(trace) {
		return nil, fmt.Errorf("%d answers are expected of %d headers: they are of another trace", len(expect), len(trace))
	}
	for i, want := range expect {
		if want >= len(s.Rules) {
			return nil, fmt.Errorf("answer %d is rule %d, of %d rules: it is of another rule set, or counts from 1", i+1, want, len(s.Rules))
		}
	}
	v := &Verdicts{Answers: make([]int32, len(trace)), Compared: len(expect)}
	s.answer(trace, v)
	for i, want := range expect {
		if v.Answers[i] != int32(want) {
			v.Differ++
			v.note(i, "expected", v.Answers[i], int32(want))
		}
	}
	s.search(trace, v, search)
	return v, nil
}

// answer asks in batches, and each header alone beside.
func (s *Set) answer(trace []classbench.Header, v *Verdicts) {
	parsed := Parse(trace)
	for at := 0; at < len(trace); at += Batch {
		part := parsed.part(at, Batch)
		s.AskBatch(part, v.Answers[at:at+part.Len()])
	}
	for i := range trace {
		alone := s.Ask(&parsed, i)
		if alone != v.Answers[i] {
			v.Unstable++
			v.note(i, "in a batch", v.Answers[i], alone)
		}
		if alone < 0 {
			v.NoRule++
		}
	}
}

func (v *Verdicts) note(header int, what string, got, expected int32) {
	if len(v.Different) < shown {
		v.Different = append(v.Different, Difference{header, what, got, expected})
	}
}

// search holds n answers, evenly spread, against the list.
func (s *Set) search(trace []classbench.Header, v *Verdicts, n int) {
	v.Searched = min(n, len(trace))
	for k := range v.Searched {
		i := k * len(trace) / v.Searched
		if want := First(s.Rules, &trace[i]); want != v.Answers[i] {
			v.Disagree++
			v.note(i, "searched", v.Answers[i], want)
		}
	}
}

// First searches the list as it stands in the file, by nothing but the numbers
// in it: the meaning of a rule set, and independent of all that is measured.
func First(rules []classbench.Rule, h *classbench.Header) int32 {
	for i := range rules {
		r := &rules[i]
		if r.SrcLo <= h.Sport && h.Sport <= r.SrcHi && r.DstLo <= h.Dport && h.Dport <= r.DstHi &&
			r.Names(h.Proto) && r.Src.Contains(addr(h.Src)) && r.Dst.Contains(addr(h.Dst)) {
			return int32(i)
		}
	}
	return -1
}

func addr(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}
