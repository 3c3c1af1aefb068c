// Package classbench reads rule sets in the form of ClassBench (Taylor and
// Turner, ToN 2007), one 5-tuple a line, and writes them as a policy.
//
//	@10.0.0.0/8 <tab> 192.0.2.0/24 <tab> 0 : 65535 <tab> 80 : 80 <tab> 0x06/0xFF <tab> flags
//
// The first rule that matches a header decides. A line has no verdict, and the
// flags are not read: no policy names TCP flags.
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
}

// Read reads a rule set. Every mistake is reported, with its line.
func Read(r io.Reader) ([]Rule, error) {
	var rules []Rule
	var errs []error
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<10)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		rule, err := ParseRule(lines.Text())
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			if len(errs) == maxMistakes {
				return nil, errors.Join(append(errs, errors.New("and more; is it a ClassBench rule set?"))...)
			}
			continue
		}
		rule.Line = n
		rules = append(rules, rule)
	}
	return rules, errors.Join(append(errs, lines.Err())...)
}

// maxMistakes bounds what is said of a file that is something else.
const maxMistakes = 20

const form = `write "@src/len dst/len lo : hi lo : hi proto/mask"`

// ParseRule reads a line. Bits behind the length of a prefix are dropped, as
// ClassBench's own tools do.
func ParseRule(line string) (r Rule, err error) {
	f := strings.Fields(line)
	if len(f) < 9 || !strings.HasPrefix(f[0], "@") || f[3] != ":" || f[6] != ":" {
		return r, fmt.Errorf("%s is no rule; %s", brief(line), form)
	}
	var errs [5]error
	r.Src, errs[0] = prefix(f[0][1:])
	r.Dst, errs[1] = prefix(f[1])
	r.SrcLo, r.SrcHi, errs[2] = ports(f[2], f[4])
	r.DstLo, r.DstHi, errs[3] = ports(f[5], f[7])
	r.Proto, errs[4] = protocol(f[8])
	return r, inALine(errors.Join(errs[:]...))
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

func protocol(text string) (uint16, error) {
	number, mask, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 0, 8)
	m, err2 := strconv.ParseUint(mask, 0, 8)
	switch {
	case err != nil || err2 != nil:
		return 0, fmt.Errorf("%q is no protocol and mask, as 0x06/0xFF", text)
	case m == 0:
		return policy.AnyProto, nil
	case m == 0xff:
		return uint16(n), nil
	}
	return 0, fmt.Errorf("%q: a mask that is neither 0x00 nor 0xFF names protocols that have nothing in common", text)
}
