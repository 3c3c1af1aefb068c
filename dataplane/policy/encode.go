package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// HeadSize is how many bytes an artifact's head has, in which is the checksum of all
// of it.
const HeadSize = headerSize

const (
	magic       = "BHPOLICY"
	version     = 4
	headerSize  = 96
	sectionSize = 24
	sumAt       = 64
)

// The sections, in the order in which they stand.
const (
	sectionSets = iota + 1
	sectionRules
	sectionEnd
)

// Encode writes a ruleset as a file. It fails if the ruleset breaks one of the
// rules in the comments on its types.
func Encode(rs *Ruleset) ([]byte, error) {
	return EncodeHashed(rs, func() [32]byte { return rs.SourceHash })
}

// EncodeHashed is Encode, and asks for the hash of the source when all but the head is
// written: who makes it can do so meanwhile.
func EncodeHashed(rs *Ruleset, hash func() [32]byte) ([]byte, error) {
	if err := rs.Validate(); err != nil {
		return nil, fmt.Errorf("encode policy: %w", err)
	}
	out := make([]byte, headerSize+sectionSize*(sectionEnd-1), sizeOf(rs))
	out = appendSection(out, sectionSets, len(rs.Sets), func(b []byte) []byte {
		for i := range rs.Sets {
			b = appendSet(b, &rs.Sets[i])
		}
		return b
	})
	out = appendSection(out, sectionRules, len(rs.Rules), func(b []byte) []byte {
		for i := range rs.Rules {
			b = appendRule(b, &rs.Rules[i])
		}
		return b
	})
	copy(out, magic)
	binary.LittleEndian.PutUint32(out[8:], version)
	binary.LittleEndian.PutUint32(out[12:], sectionEnd-1)
	binary.LittleEndian.PutUint64(out[16:], uint64(len(out)))
	binary.LittleEndian.PutUint64(out[24:], rs.Generation)
	source := hash()
	copy(out[32:], source[:])
	sum := sha256.Sum256(out)
	copy(out[sumAt:], sum[:])
	return out, nil
}

// appendSection writes a section and its row in the table of sections.
func appendSection(out []byte, section, count int, body func([]byte) []byte) []byte {
	out = append(out, make([]byte, -len(out)&7)...)
	start := len(out)
	out = body(out)
	row := out[headerSize+sectionSize*(section-1):]
	binary.LittleEndian.PutUint32(row, uint32(section))
	binary.LittleEndian.PutUint32(row[4:], uint32(count))
	binary.LittleEndian.PutUint64(row[8:], uint64(start))
	binary.LittleEndian.PutUint64(row[16:], uint64(len(out)-start))
	return out
}

// sizeOf is about how many bytes a ruleset takes, rather more: a file of ten
// megabytes that is grown by doubling is three times in memory.
func sizeOf(rs *Ruleset) int {
	n := headerSize + 64*len(rs.Sets)
	for i := range rs.Rules {
		r := &rs.Rules[i]
		n += 64 + len(r.Name) + 4*(len(r.From)+len(r.To)) + 10*len(r.Ports) + len(r.File) + len(r.Owner) + len(r.Reason)
	}
	return n
}

func appendUint(b []byte, n int) []byte { return binary.LittleEndian.AppendUint32(b, uint32(n)) }

func appendString(b []byte, s string) []byte { return append(appendUint(b, len(s)), s...) }

func appendSet(b []byte, s *Set) []byte {
	b = append(b, byte(s.Kind))
	b = appendString(b, s.Name)
	b = appendUint(b, len(s.Selector))
	for _, alternative := range s.Selector {
		b = appendUint(b, len(alternative))
		for _, r := range alternative {
			b = append(appendString(b, r.Key), byte(r.Op))
			b = appendUint(b, len(r.Values))
			for _, v := range r.Values {
				b = appendString(b, v)
			}
		}
	}
	return appendPrefixes(appendPrefixes(b, s.Prefixes), s.Except)
}

func appendPrefixes(b []byte, list []netip.Prefix) []byte {
	b = appendUint(b, len(list))
	for _, p := range list {
		a := p.Addr().As16()
		family := byte(6)
		if p.Addr().Is4() {
			family = 4
		}
		b = append(b, family, byte(p.Bits()))
		b = append(b, a[:]...)
	}
	return b
}

func appendRule(b []byte, r *Rule) []byte {
	b = append(appendString(b, r.Name), byte(r.Verdict), byte(r.Direction))
	b = binary.LittleEndian.AppendUint32(b, r.Tier)
	b = binary.LittleEndian.AppendUint32(b, r.Precedence)
	for _, list := range [2][]SetID{r.From, r.To} {
		b = appendUint(b, len(list))
		for _, s := range list {
			b = appendUint(b, int(s))
		}
	}
	b = appendUint(b, len(r.Ports))
	for _, p := range r.Ports {
		for _, n := range [5]uint16{p.Proto, p.SrcLo, p.SrcHi, p.DstLo, p.DstHi} {
			b = binary.LittleEndian.AppendUint16(b, n)
		}
	}
	b = appendUint(appendString(b, r.File), int(r.Line))
	return appendString(appendString(appendMarks(b, r), r.Owner), r.Reason)
}

// What a rule says beside its verdict is a byte of flags, and behind it the
// times that two of them announce.
const (
	flagLog = 1 << iota
	flagAudit
	flagStateless
	flagFrom
	flagUntil
	flagsEnd
)

func appendMarks(b []byte, r *Rule) []byte {
	flags := byte(0)
	for i, set := range [5]bool{r.Log, r.Audit, r.Stateless, r.Valid.From != 0, r.Valid.Until != 0} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(b, flags)
	for _, at := range [2]int64{r.Valid.From, r.Valid.Until} {
		if at != 0 {
			b = binary.LittleEndian.AppendUint64(b, uint64(at))
		}
	}
	return b
}
