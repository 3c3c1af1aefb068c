// Package classbench reads rule sets in the form of ClassBench (Taylor and
// Turner, ToN 2007), one 5-tuple a line, and writes them as a policy.
//
//	@10.0.0.0/8 <tab> 192.0.2.0/24 <tab> 0 : 65535 <tab> 80 : 80 <tab> 0x06/0xFF <tab> flags
//
// The first rule that matches a header decides. A line has no verdict, and the
// flags are not read: no policy names TCP flags. Blanks may stand anywhere
// between the numbers, or nowhere; lines may end as Windows ends them; a line
// that begins with # is a comment.
//
// It is pure but for what it reads and writes; one goroutine.
package classbench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"bulkhead/dataplane/policy"
)

// Rule is a line of a rule file; earlier ones are stronger.
type Rule struct {
	Src, Dst     netip.Prefix
	SrcLo, SrcHi uint16
	DstLo, DstHi uint16
	Proto        uint16 // policy.AnyProto for a mask of zero
	Line         int
	Mask         uint8 // the bits of Proto that count; 0: all of them
}

// Names tells whether a rule is for a protocol.
func (r *Rule) Names(proto uint8) bool {
	switch {
	case r.Proto == policy.AnyProto:
		return true
	case r.Mask != 0:
		return proto&r.Mask == uint8(r.Proto)&r.Mask
	}
	return r.Proto == uint16(proto)
}

// ReadFile reads the rule set in a file, unpacking one that is called .zst. A
// file without a rule is a mistake, too: it is some other file.
func ReadFile(name string) ([]Rule, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, name)
}

// Read reads a rule set that is called name. Every mistake is reported, with its
// line.
func Read(r io.Reader, name string) ([]Rule, error) {
	var rules []Rule
	var errs []error
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 1
	for ; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), byteOrderMark))
		if line == "" || line[0] == '#' {
			continue
		}
		rule, err := ParseRule(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, n, err))
			if len(errs) == maxMistakes {
				return nil, errors.Join(append(errs, errors.New("and more; is it a ClassBench rule set?"))...)
			}
			continue
		}
		rule.Line = n
		rules = append(rules, rule)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		errs = append(errs, fmt.Errorf("%s:%d: the line has more than %d bytes; %s", name, n, maxLine, form))
	case err != nil:
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	if len(rules)+len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: no rule is in it; %s", name, form))
	}
	return rules, errors.Join(errs...)
}

// maxLine bounds a line: twenty times the longest that means something.
const maxLine = 4 << 10

// byteOrderMark is what some editors begin a text with.
const byteOrderMark = "\ufeff"

// maxMistakes bounds what is said of a file that is something else.
const maxMistakes = 20

const form = `write "@src/len dst/len lo : hi lo : hi proto/mask"`

// apart puts blanks around what stands between numbers.
var apart = strings.NewReplacer(":", " : ", "/", " / ")

// ParseRule reads a line. Bits behind the length of a prefix are dropped, as
// ClassBench's own tools do, and so are bits of a protocol that its mask does
// not count.
func ParseRule(line string) (r Rule, err error) {
	src, rest := word(strings.TrimPrefix(strings.TrimSpace(line), "@"))
	dst, rest := word(rest)
	f := strings.Fields(apart.Replace(rest))
	if !strings.HasPrefix(strings.TrimSpace(line), "@") || len(f) < 9 || f[1] != ":" || f[4] != ":" || f[7] != "/" {
		return r, fmt.Errorf("%s is no rule; %s", brief(line), form)
	}
	var errs [5]error
	r.Src, errs[0] = prefix(src)
	r.Dst, errs[1] = prefix(dst)
	r.SrcLo, r.SrcHi, errs[2] = ports(f[0], f[2])
	r.DstLo, r.DstHi, errs[3] = ports(f[3], f[5])
	r.Proto, r.Mask, errs[4] = protocol(f[6], f[8])
	return r, inALine(errors.Join(errs[:]...))
}

// word cuts the first word off.
func word(text string) (first, rest string) {
	text = strings.TrimLeft(text, " \t")
	if end := strings.IndexAny(text, " \t"); end >= 0 {
		return text[:end], text[end:]
	}
	return text, ""
}

// inALine says several mistakes in one line.
func inALine(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

func brief(line string) string {
	if len(line) > 60 {
		return strconv.Quote(line[:60]) + "..."
	}
	return strconv.Quote(line)
}

func prefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no prefix, as 10.0.0.0/8", text)
	}
	return p.Masked(), nil
}

func ports(low, high string) (lo, hi uint16, err error) {
	l, err := strconv.ParseUint(low, 10, 16)
	h, err2 := strconv.ParseUint(high, 10, 16)
	if err != nil || err2 != nil || l > h {
		return 0, 0, fmt.Errorf("\"%s : %s\" is no range of ports", low, high)
	}
	return uint16(l), uint16(h), nil
}

// protocol reads a number and a mask. A mask that counts some bits stands for
// the protocols that are alike in them.
func protocol(number, mask string) (proto uint16, bits uint8, err error) {
	n, err := strconv.ParseUint(number, 0, 8)
	m, err2 := strconv.ParseUint(mask, 0, 8)
	switch {
	case err != nil || err2 != nil:
		return 0, 0, fmt.Errorf("\"%s/%s\" is no protocol and mask, as 0x06/0xFF", number, mask)
	case m == 0:
		return policy.AnyProto, 0, nil
	case m == 0xff:
		return uint16(n), 0, nil
	}
	return uint16(n & m), uint8(m), nil
}
