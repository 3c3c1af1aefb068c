package classbench

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"bulkhead/policyc/classbench"
)

// Header is a line of a trace.
type Header struct {
	Src, Dst     uint32
	Sport, Dport uint16
	Proto        uint8
}

// traceForm is what a line of a trace is. ClassBench's generator writes six
// columns, versions of it with flags seven; what is behind the protocol is not
// read: the rule that a header was drawn from need not be the first that
// matches it.
const traceForm = `write "src dst sport dport proto [flags] [rule]", addresses as decimal numbers or 10.0.0.1`

// ReadTraceFile reads a trace; one that is called .zst is unpacked. A mistake
// ends the reading and is named with file and line.
func ReadTraceFile(name string) (trace []Header, err error) {
	err = eachLine(name, func(words []string) error {
		h, err := parseHeader(words)
		trace = append(trace, h)
		return err
	})
	if err == nil && len(trace) == 0 {
		err = fmt.Errorf("%s: no header is in it; %s", name, traceForm)
	}
	if err != nil {
		return nil, err
	}
	return trace, nil
}

func parseHeader(words []string) (h Header, err error) {
	if len(words) < 5 || len(words) > 7 {
		return h, fmt.Errorf("%d columns; %s", len(words), traceForm)
	}
	var errs [5]error
	var numbers [5]uint32
	for i, bits := range []int{32, 32, 16, 16, 8} {
		if i < 2 {
			numbers[i], errs[i] = address(words[i])
			continue
		}
		v, err := strconv.ParseUint(words[i], 10, bits)
		if numbers[i] = uint32(v); err != nil {
			errs[i] = fmt.Errorf("%q is no number from 0 to %d; %s", words[i], uint32(1)<<bits-1, traceForm)
		}
	}
	for _, err := range errs {
		if err != nil {
			return h, err
		}
	}
	return Header{numbers[0], numbers[1], uint16(numbers[2]), uint16(numbers[3]), uint8(numbers[4])}, nil
}

// address reads an IPv4 address, as a number or as people write it.
func address(text string) (uint32, error) {
	if v, err := strconv.ParseUint(text, 10, 32); err == nil {
		return uint32(v), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return 0, fmt.Errorf("%q is no IPv4 address; %s", text, traceForm)
	}
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), nil
}

// ReadExpectFile reads what an independent search found: for each header of the
// trace, in order, the number of the first rule that matches, from 0; -1 is
// none. There may be fewer than headers.
func ReadExpectFile(name string) (expect []int, err error) {
	err = eachLine(name, func(words []string) error {
		n, err := strconv.ParseInt(words[0], 10, 32)
		if err != nil || n < -1 || len(words) > 1 {
			return fmt.Errorf("%q is no rule; write its number, from 0, or -1", strings.Join(words, " "))
		}
		expect = append(expect, int(n))
		return nil
	})
	if err == nil && len(expect) == 0 {
		err = fmt.Errorf("%s: nothing is expected in it", name)
	}
	if err != nil {
		return nil, err
	}
	return expect, nil
}

// eachLine hands over the words of each line, but for blank lines and comments.
func eachLine(name string, line func(words []string) error) error {
	text, err := classbench.Open(name)
	if err != nil {
		return err
	}
	defer text.Close()
	return scan(text, name, line)
}

func scan(text io.Reader, name string, line func(words []string) error) error {
	lines := bufio.NewScanner(text)
	n := 1
	for ; lines.Scan(); n++ {
		words := strings.Fields(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := line(words); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, n, err)
	}
	return nil
}
