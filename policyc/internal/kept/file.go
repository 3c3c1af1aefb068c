package kept

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"sync"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/lower"
	"bulkhead/policyc/internal/source"
)

// magic begins a kept build. Behind it stand a SHA-256, how many bytes the index has,
// the index as JSON, and the table. The sum is of the size, the index and the head of
// the table, in which is a sum of the whole table.
const magic = "BHKEPT1\n"

const indexAt = len(magic) + sha256.Size + 4

// Build is a kept build.
type Build struct {
	index
	table []byte
	old   func() (*policy.Ruleset, error) // the table, decoded
}

type index struct {
	Tool  string // the policyc that kept it
	Size  int    // that parts have at the least, in bytes
	Files []file
	Of    []byte `json:",omitempty"` // of several files: that of each rule of the table, a number of 32 bits
	Asked []string
	Tests []test
}

// file is one of the sources: its head, and the parts behind it.
type file struct {
	Name string
	Head part
	Rest []part
}

// part is a stretch of a text.
type part struct {
	Size  int  // bytes
	Lines int  // ends of lines
	Vars  bool // a string in it may use a variable
	Tests bool // a test may be in it
	Sum   []byte
	// Beside are sets that its rules name beside any: in the table, and in no rule of it.
	Beside []string `json:",omitempty"`
}

// partOf measures a part. A backslash may stand for any other character.
func partOf(text []byte) part {
	sum := sha256.Sum256(text)
	has := func(word string) bool { return bytes.Contains(text, []byte(word)) || bytes.IndexByte(text, '\\') >= 0 }
	return part{Size: len(text), Lines: bytes.Count(text, []byte("\n")), Vars: has("${"), Tests: has("tests"), Sum: sum[:]}
}

// is tells whether a text is that of a part.
func (p *part) is(text []byte) bool {
	sum := sha256.Sum256(text)
	return bytes.Equal(p.Sum, sum[:])
}

// test is a test's two ends, as far as they decide which rules hold them.
type test struct{ From, To end }

type end struct {
	Endpoint bool
	Labels   map[string]string `json:",omitempty"`
	Addr     netip.Addr
}

func endOf(s *check.Subject) end { return end{s.Labels != nil, s.Labels, s.Addr} }

// Open reads a kept build; nil if it is none, damaged, or of another policyc.
func Open(data []byte, tool string) *Build {
	if len(data) < indexAt || string(data[:len(magic)]) != magic {
		return nil
	}
	size := int(binary.LittleEndian.Uint32(data[indexAt-4:]))
	if size > len(data)-indexAt {
		return nil
	}
	text, table := data[indexAt:][:size], data[indexAt+size:]
	if sum := sumOf(text, table); !bytes.Equal(sum[:], data[len(magic):][:sha256.Size]) {
		return nil
	}
	b := &Build{table: table}
	if json.Unmarshal(text, &b.index) != nil || b.Tool != tool || !b.sound() {
		return nil
	}
	b.old = sync.OnceValues(func() (*policy.Ruleset, error) { return policy.Decode(b.table) })
	go b.old() // while the caller finds out what has changed; it ends by itself
	return b
}

// sound tells whether no number of an index is what none can be. That its sum is right
// says who damaged it, not that nobody did.
func (b *Build) sound() bool {
	fine := b.Size > 0
	for _, f := range b.Files {
		for _, p := range append([]part{f.Head}, f.Rest...) {
			fine = fine && p.Size >= 0 && p.Lines >= 0 && p.Lines <= p.Size && p.Size <= source.MaxSize
		}
	}
	for i := 0; i+4 <= len(b.Of); i += 4 {
		fine = fine && binary.LittleEndian.Uint32(b.Of[i:]) < uint32(len(b.Files))
	}
	return fine && (b.Of != nil) == (len(b.Files) > 1)
}

// Bytes writes a kept build, as Open reads it, in pieces that follow each other: the
// table is one, and it is large.
func (b *Build) Bytes() ([][]byte, error) {
	text, err := json.Marshal(&b.index)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, indexAt, indexAt+len(text)), text...)
	copy(out, magic)
	binary.LittleEndian.PutUint32(out[indexAt-4:], uint32(len(text)))
	sum := sumOf(text, b.table)
	copy(out[len(magic):], sum[:])
	return [][]byte{out, b.table}, nil
}

func sumOf(text, table []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(text))))
	h.Write(text)
	h.Write(table[:min(len(table), policy.HeadSize)])
	return [sha256.Size]byte(h.Sum(nil))
}

// Why a build cannot be kept.
const (
	whyFindings = "the policy has warnings; without them the next build can use this one"
	whyNames    = "two files have one name"
	whyOrder    = "rules or tests do not stand behind all the rest of their file, each with a [[rules]] or [[tests]] at the beginning of a line"
)

// PartSize is how many bytes a part has at the least: some 500 rules, which take a few
// milliseconds to compile again.
const PartSize = 1 << 16

// Keep makes a kept build of a whole one, in parts of a size: its sources, the checked policy, which
// file states each rule of the table, the table, and what there was to say. nil: the
// next build could not use it, and why.
func Keep(tool string, size int, sources []*diag.Source, p *check.Policy, rs *policy.Ruleset, of []*diag.Source, table []byte, found *diag.List) (b *Build, why string) {
	if len(found.All) > 0 {
		return nil, whyFindings
	}
	b = &Build{index: index{Tool: tool, Size: size}, table: table}
	numbers, names := map[*diag.Source]uint32{}, map[string]bool{}
	for i, src := range sources {
		starts, fine := source.Parts(src, size)
		if !fine {
			return nil, whyOrder
		}
		if names[src.Name] {
			return nil, whyNames
		}
		names[src.Name], numbers[src] = true, uint32(i)
		b.Files = append(b.Files, file{Name: src.Name, Head: partOf(src.Text[:headOf(src, starts)]), Rest: partsOf(src.Text, starts)})
	}
	for _, r := range p.Rules {
		b.Files[numbers[r.At.Src]].beside(r, 0)
	}
	if !eachInTable(p, rs) {
		return nil, whyOrder
	}
	if len(sources) > 1 {
		for _, src := range of {
			b.Of = binary.LittleEndian.AppendUint32(b.Of, numbers[src])
		}
	}
	for name := range p.Asked {
		b.Asked = append(b.Asked, name)
	}
	slices.Sort(b.Asked)
	for _, t := range p.Tests {
		b.Tests = append(b.Tests, test{endOf(&t.From), endOf(&t.To)})
	}
	return b, ""
}

func headOf(src *diag.Source, starts []int) int {
	if len(starts) == 0 {
		return len(src.Text)
	}
	return starts[0]
}

func partsOf(text []byte, starts []int) []part {
	var out []part
	for i, from := range starts {
		to := len(text)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		out = append(out, partOf(text[from:to]))
	}
	return out
}

// beside notes which sets a rule names beside any, with the part that it is in; moved
// is how far the text that it was compiled of is from where it is in the file, behind
// the head.
func (f *file) beside(r *check.Rule, moved int) {
	names := lower.Beside(r)
	if len(names) == 0 || int(r.At.Off) < f.Head.Size {
		return // most; a rule of a head is compiled each time
	}
	left := int(r.At.Off) + moved - f.Head.Size
	for i := range f.Rest {
		if left < f.Rest[i].Size {
			f.Rest[i].Beside = append(f.Rest[i].Beside, names...)
			return
		}
		left -= f.Rest[i].Size
	}
}

// eachInTable tells whether each rule of a policy is in a table: so the names in the
// table are all that rules have.
func eachInTable(p *check.Policy, rs *policy.Ruleset) bool {
	names := make(map[string]bool, len(rs.Rules))
	for i := range rs.Rules {
		names[rs.Rules[i].Name] = true
	}
	n := len(p.Rules)
	for _, r := range p.Defaults {
		if r != nil {
			n++
		}
	}
	return len(names) == n
}

// numberOf is which file states a rule of the table.
func (b *Build) numberOf(rule int) uint32 {
	if b.Of == nil {
		return 0
	}
	return binary.LittleEndian.Uint32(b.Of[4*rule:])
}
