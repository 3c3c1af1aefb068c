package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// What a file can be instead of a policy. Decode wraps one of them.
var (
	// ErrForeign: not a file of policyc's.
	ErrForeign = errors.New("this is no compiled policy; make one with policyc build")
	// ErrVersion: of another format, older or newer.
	ErrVersion = errors.New("another format version; compile the source again with this release's policyc")
	// ErrTruncated: shorter, or longer, than it says it is.
	ErrTruncated = errors.New("not as long as it says it is; copy or compile it again")
	// ErrCorrupt: altered, or not made by policyc.
	ErrCorrupt = errors.New("altered or damaged; copy or compile it again")
)

// Decode reads a file. A file that is not whole and unaltered is refused, with
// one of the errors above and the place.
func Decode(data []byte) (*Ruleset, error) {
	rs, err := decode(data)
	if err != nil {
		return nil, err
	}
	if err := rs.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return rs, nil
}

func decode(data []byte) (*Ruleset, error) {
	if len(data) < len(magic) || string(data[:len(magic)]) != magic {
		return nil, ErrForeign
	}
	if len(data) < 12 {
		return nil, fmt.Errorf("%w: %d bytes", ErrTruncated, len(data))
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != version {
		age := "an older release's"
		if v > version {
			age = "a newer release's"
		}
		return nil, fmt.Errorf("%w: it is %s, version %d; this release reads %d", ErrVersion, age, v, version)
	}
	if len(data) < headerSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrTruncated, len(data))
	}
	if n := binary.LittleEndian.Uint64(data[16:]); n != uint64(len(data)) {
		return nil, fmt.Errorf("%w: %d bytes of %d", ErrTruncated, len(data), n)
	}
	if !sumRight(data) {
		return nil, fmt.Errorf("%w: the checksum is wrong", ErrCorrupt)
	}
	sections, counts, err := sectionsOf(data)
	if err != nil {
		return nil, err
	}
	rs := &Ruleset{Generation: binary.LittleEndian.Uint64(data[24:]), SourceHash: [32]byte(data[32:64])}
	return rs, readSections(rs, sections, counts)
}

func sumRight(data []byte) bool {
	sum := sha256.New()
	sum.Write(data[:sumAt])
	sum.Write(make([]byte, sha256.Size))
	sum.Write(data[sumAt+sha256.Size:])
	return bytes.Equal(sum.Sum(nil), data[sumAt:sumAt+sha256.Size])
}

// sectionsOf cuts the file into its sections: all of them, in order, and
// nothing but zeros between.
func sectionsOf(data []byte) (bodies [sectionEnd - 1][]byte, counts [sectionEnd - 1]uint32, err error) {
	if n := binary.LittleEndian.Uint32(data[12:]); n != uint32(len(bodies)) || len(data) < headerSize+sectionSize*len(bodies) {
		return bodies, counts, fmt.Errorf("%w: %d sections", ErrCorrupt, n)
	}
	at := uint64(headerSize + sectionSize*len(bodies))
	for i := range bodies {
		row := data[headerSize+sectionSize*i:]
		offset, length := binary.LittleEndian.Uint64(row[8:]), binary.LittleEndian.Uint64(row[16:])
		end := at
		at += -at & 7
		if at > uint64(len(data)) || slices.ContainsFunc(data[end:at], func(b byte) bool { return b != 0 }) {
			return bodies, counts, fmt.Errorf("%w: section %d is not where zeros end", ErrCorrupt, i+1)
		}
		if binary.LittleEndian.Uint32(row) != uint32(i+1) || offset != at || offset > uint64(len(data)) || length > uint64(len(data))-offset {
			return bodies, counts, fmt.Errorf("%w: section %d is out of place", ErrCorrupt, i+1)
		}
		bodies[i] = data[offset : offset+length]
		counts[i] = binary.LittleEndian.Uint32(row[4:])
		at = offset + length
	}
	if at != uint64(len(data)) {
		return bodies, counts, fmt.Errorf("%w: %d bytes belong to no section", ErrCorrupt, uint64(len(data))-at)
	}
	return bodies, counts, nil
}

func readSections(rs *Ruleset, bodies [sectionEnd - 1][]byte, counts [sectionEnd - 1]uint32) error {
	r := reader{b: bodies[0]}
	rs.Sets = list(&r, int(counts[0]), 17, r.set)
	if err := r.done("sets"); err != nil {
		return err
	}
	r = reader{b: bodies[1]}
	rs.Rules = list(&r, int(counts[1]), 43, r.rule)
	return r.done("rules")
}

// reader takes values off the front of a section. After a failure it gives
// zeros, and done reports it.
type reader struct {
	b      []byte
	failed bool
	// The lists of rules stand side by side, and so do the names that many have: a
	// table of 100,000 rules is a few hundred pieces of memory, not a million.
	sets  []SetID
	ports []Port
	names map[string]string
}

func (r *reader) done(what string) error {
	if r.failed || len(r.b) != 0 {
		return fmt.Errorf("%w: the section of %s", ErrCorrupt, what)
	}
	return nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.failed, r.b = true, nil
		return make([]byte, min(max(n, 0), 64))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte { return r.take(1)[0] }
func (r *reader) uint() int  { return int(binary.LittleEndian.Uint32(r.take(4))) }

func (r *reader) string() string {
	n := r.uint()
	if n > len(r.b) {
		r.failed, r.b = true, nil
		return ""
	}
	return string(r.take(n))
}

// often reads a string that other rules have, too, as the name of a file.
func (r *reader) often() string {
	n := r.uint()
	if n == 0 || n > len(r.b) {
		r.failed = r.failed || n != 0
		return ""
	}
	b := r.take(n)
	if known, found := r.names[string(b)]; found {
		return known
	}
	if r.names == nil {
		r.names = map[string]string{}
	}
	s := string(b)
	if len(r.names) < maxNames {
		r.names[s] = s
	}
	return s
}

// maxNames bounds the strings that are looked for.
const maxNames = 1 << 12

// list reads n values that take at least size bytes each: so a count that the
// bytes cannot hold is refused before memory is taken for it.
func list[T any](r *reader, n, size int, read func() T) []T {
	if n < 0 || n > len(r.b)/size {
		r.failed, r.b = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	out := make([]T, 0, min(n, 1<<17))
	for range n {
		if r.failed {
			return nil
		}
		out = append(out, read())
	}
	return out
}

// sideBySide is list for small lists, which have room in one slice.
func sideBySide[T any](r *reader, room *[]T, n, size int, read func() T) []T {
	if n < 0 || n > len(r.b)/size {
		r.failed, r.b = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	if n > cap(*room)-len(*room) {
		*room = make([]T, 0, max(n, 1024))
	}
	start := len(*room)
	for range n {
		*room = append(*room, read())
	}
	return (*room)[start:len(*room):len(*room)]
}

func (r *reader) set() Set {
	s := Set{Kind: SetKind(r.byte()), Name: r.string()}
	s.Selector = list(r, r.uint(), 4, func() Requirements {
		return list(r, r.uint(), 9, func() Requirement {
			return Requirement{Key: r.string(), Op: Op(r.byte()), Values: list(r, r.uint(), 4, r.string)}
		})
	})
	s.Prefixes = list(r, r.uint(), 18, r.prefix)
	s.Except = list(r, r.uint(), 18, r.prefix)
	return s
}

func (r *reader) prefix() netip.Prefix {
	family, bits := r.byte(), int(r.byte())
	a := netip.AddrFrom16([16]byte(r.take(16)))
	if family == 4 {
		a = a.Unmap()
	}
	p := netip.PrefixFrom(a, bits)
	if !p.IsValid() || a.Is4() != (family == 4) || a.Is4In6() || family != 4 && family != 6 {
		r.failed = true
	}
	return p
}

func (r *reader) rule() Rule {
	out := Rule{Name: r.string(), Verdict: Verdict(r.byte()), Direction: Direction(r.byte()), Tier: uint32(r.uint()), Precedence: uint32(r.uint())}
	out.From = sideBySide(r, &r.sets, r.uint(), 4, r.setID)
	out.To = sideBySide(r, &r.sets, r.uint(), 4, r.setID)
	out.Ports = sideBySide(r, &r.ports, r.uint(), 10, r.port)
	out.File, out.Line = r.often(), uint32(r.uint())
	r.marks(&out)
	out.Owner, out.Reason = r.often(), r.often()
	return out
}

func (r *reader) setID() SetID { return SetID(r.uint()) }

// marks reads the flags, and the times that they announce: a time of zero has
// no flag, so that a rule has one form.
func (r *reader) marks(out *Rule) {
	flags := r.byte()
	out.Log, out.Audit, out.Stateless = flags&flagLog != 0, flags&flagAudit != 0, flags&flagStateless != 0
	for _, t := range [2]struct {
		flag byte
		at   *int64
	}{{flagFrom, &out.Valid.From}, {flagUntil, &out.Valid.Until}} {
		if flags&t.flag == 0 {
			continue
		}
		*t.at = int64(binary.LittleEndian.Uint64(r.take(8)))
		r.failed = r.failed || *t.at == 0
	}
	r.failed = r.failed || flags >= flagsEnd
}

func (r *reader) port() Port {
	b := r.take(10)
	at := func(i int) uint16 { return binary.LittleEndian.Uint16(b[2*i:]) }
	return Port{Proto: at(0), SrcLo: at(1), SrcHi: at(2), DstLo: at(3), DstHi: at(4)}
}
