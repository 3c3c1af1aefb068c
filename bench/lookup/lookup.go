// Package lookup asks the policy tables of the switch the headers of a trace,
// and times them: what `vsbench classify` does with the rule sets of strangers.
//
// A rule set takes the way of a policy: it is made a ruleset, written as an
// artifact, read back from it, and linked; addresses are found in the table
// that the switch finds them in. What is timed is the whole question: two
// addresses to identities, and the policy.
//
// There is one thing the artifact cannot have: ports of a protocol that has
// none. In ClassBench any protocol may have them; a set with such a rule is
// linked as it was made, and the result says so.
package lookup

import (
	"fmt"
	"time"

	"bulkhead/bench/classbench"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// Batch is how many headers are asked at a time, where they are asked in
// batches.
const Batch = 64

// Set is a rule set, linked.
type Set struct {
	Rules  []classbench.Rule
	Stats  classify.Stats
	Build  Build
	table  *identity.Table
	engine *classify.Engine
}

// Build is what making the tables took.
type Build struct {
	Ruleset       time.Duration // from the lines to a policy
	Artifact      time.Duration // written, and read back
	ArtifactBytes int           // 0: there is none
	NoArtifact    string        // why there is none
	Addresses     time.Duration // the table of the networks
	Link          time.Duration // the policy's tables
}

// Total is the whole of it.
func (b *Build) Total() time.Duration { return b.Ruleset + b.Artifact + b.Addresses + b.Link }

// New links a rule set. It refuses one whose tables would be over a bound of
// the classifier; the error names the bound.
func New(rules []classbench.Rule) (s *Set, err error) {
	s = &Set{Rules: rules}
	var rs *policy.Ruleset
	timed(&s.Build.Ruleset, func() { rs = classbench.Ruleset(rules) })
	timed(&s.Build.Artifact, func() { rs, err = s.throughArtifact(rs) })
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	timed(&s.Build.Addresses, func() { s.table, err = classbench.Identities(rs) })
	if err != nil {
		return nil, fmt.Errorf("table of the networks: %w", err)
	}
	timed(&s.Build.Link, func() { s.engine, err = classify.Link(rs, s.table.AllSets()) })
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	s.Stats = s.engine.Stats()
	return s, nil
}

func timed(took *time.Duration, f func()) {
	start := time.Now()
	f()
	*took = time.Since(start)
}

// throughArtifact writes the ruleset and reads it back, as it reaches a switch.
func (s *Set) throughArtifact(rs *policy.Ruleset) (*policy.Ruleset, error) {
	for i := range s.Rules {
		if r := &s.Rules[i]; portsOfNone(r) {
			s.Build.NoArtifact = fmt.Sprintf("line %d names ports of a protocol that has none, which no policy can", r.Line)
			return rs, nil
		}
	}
	data, err := policy.Encode(rs)
	if err != nil {
		return nil, err
	}
	s.Build.ArtifactBytes = len(data)
	return policy.Decode(data)
}

// portsOfNone tells whether a rule names ports of a protocol without ports.
// ICMP has none but in a place: type and code stand for the destination's.
func portsOfNone(r *classbench.Rule) bool {
	anySrc := r.SrcLo == 0 && r.SrcHi == 65535
	if r.AnyPorts() {
		return false
	}
	for proto := range 256 {
		if !r.Names(uint8(proto)) {
			continue
		}
		switch proto {
		case 6, 17, 132:
		case 1, 58:
			if !anySrc {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// Parsed is headers as the switch's parser leaves them: what the tables are asked.
type Parsed struct {
	Src, Dst []packet.Addr
	Headers  []classify.Header
}

// Parse makes them of the headers of a trace.
func Parse(trace []classbench.Header) Parsed {
	p := Parsed{make([]packet.Addr, len(trace)), make([]packet.Addr, len(trace)), make([]classify.Header, len(trace))}
	for i := range trace {
		h := &trace[i]
		p.Src[i], p.Dst[i] = classbench.Addr(h.Src), classbench.Addr(h.Dst)
		p.Headers[i] = classify.Header{Sport: h.Sport, Dport: h.Dport, Proto: h.Proto}
	}
	return p
}

// Len is how many they are.
func (p *Parsed) Len() int { return len(p.Headers) }

// part are those from at on, n at the most.
func (p *Parsed) part(at, n int) Parsed {
	end := min(at+n, p.Len())
	return Parsed{p.Src[at:end], p.Dst[at:end], p.Headers[at:end]}
}

// Ask returns the number of the first rule that matches header i; -1 is none.
func (s *Set) Ask(p *Parsed, i int) int32 {
	from, _ := s.table.Identify(0, &p.Src[i])
	to, _ := s.table.Identify(0, &p.Dst[i])
	h := &p.Headers[i]
	rule, _ := s.engine.Decide(from, to, h.Proto, h.Sport, h.Dport)
	return int32(rule)
}

// AskBatch answers up to Batch headers, in the batches that the switch's tables
// have: the processor has the misses of several under way. out is as long as in.
func (s *Set) AskBatch(in Parsed, out []int32) {
	var from, to [Batch]identity.ID
	var answers [Batch]classify.Answer
	n := in.Len()
	s.table.IdentifyAll(0, in.Src, from[:n])
	s.table.IdentifyAll(0, in.Dst, to[:n])
	s.engine.DecideAll(from[:n], to[:n], in.Headers, answers[:n])
	for i := range out {
		out[i] = int32(answers[i].Rule)
	}
}

// Bytes are those of all tables: the policy's and that of the networks.
func (s *Set) Bytes() int { return s.Stats.Bytes + s.table.OutsideBytes() }

// Touches are the loads of a question at the most, whatever the header: the
// policy's, and the steps for both addresses.
func (s *Set) Touches() int { return s.Stats.Touches + 2*s.table.OutsideTouches() }
