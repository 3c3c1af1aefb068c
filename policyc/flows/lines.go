package flows

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// maxLine bounds a line, in bytes.
const maxLine = 1 << 20

// lines reads a JSON object a line. Keys that it does not know are passed over:
// a log says more of a flow than a policy asks.
type lines struct {
	scan *bufio.Scanner
	n    int
}

func newLines(r io.Reader) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	return &lines{scan: s}
}

// Skipped is nothing: a line that is no flow is an error.
func (l *lines) Skipped() map[string]uint64 { return map[string]uint64{} }

// Next reads a line.
func (l *lines) Next() (*Flow, error) {
	for l.scan.Scan() {
		l.n++
		text := bytes.TrimSpace(l.scan.Bytes())
		if len(text) == 0 {
			continue
		}
		f, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.n, err)
		}
		return f, nil
	}
	if err := l.scan.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", l.n+1, err)
	}
	return nil, io.EOF
}

// line is a flow as a log has it.
type line struct {
	Time      json.RawMessage   `json:"time"` // of any form: no answer depends on it
	Src       netip.Addr        `json:"src"`
	Dst       netip.Addr        `json:"dst"`
	Proto     json.RawMessage   `json:"proto"`
	Sport     uint16            `json:"sport"`
	Dport     *uint16           `json:"dport"`
	Type      uint8             `json:"type"`
	Code      uint8             `json:"code"`
	Count     *uint64           `json:"count"`
	SrcLabels map[string]string `json:"src_labels"`
	DstLabels map[string]string `json:"dst_labels"`
}

const lineForm = `write {"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp", "sport": 40000, "dport": 443, "count": 1}`

func parseLine(text []byte) (*Flow, error) {
	var in line
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("%w; %s", err, lineForm)
	}
	if !in.Src.IsValid() || !in.Dst.IsValid() {
		return nil, fmt.Errorf("no src, or no dst; %s", lineForm)
	}
	src, dst := in.Src.Unmap().WithZone(""), in.Dst.Unmap().WithZone("")
	if src.Is4() != dst.Is4() {
		return nil, fmt.Errorf("%s and %s are of two families", src, dst)
	}
	proto, err := protocol(in.Proto)
	if err != nil {
		return nil, err
	}
	f := &Flow{Src: src, Dst: dst, Proto: proto, Sport: in.Sport, Count: 1, SrcLabels: in.SrcLabels, DstLabels: in.DstLabels}
	if in.Count != nil {
		f.Count = *in.Count
	}
	switch {
	case proto == icmp || proto == icmpv6:
		f.Sport, f.Dport = 0, uint16(in.Type)<<8|uint16(in.Code)
	case in.Dport != nil:
		f.Dport = *in.Dport
	case proto == tcp || proto == udp || proto == sctp:
		return nil, fmt.Errorf("no dport; %s", lineForm)
	}
	return f, nil
}

const icmp, tcp, udp, icmpv6, sctp = 1, 6, 17, 58, 132

var protocols = map[string]uint8{"icmp": icmp, "tcp": tcp, "udp": udp, "icmpv6": icmpv6, "icmp6": icmpv6, "sctp": sctp, "gre": 47, "esp": 50, "ah": 51}

// protocol reads a name or a number.
func protocol(raw json.RawMessage) (uint8, error) {
	text := strings.Trim(string(raw), `"`)
	if n, known := protocols[strings.ToLower(text)]; known {
		return n, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("proto %q is no protocol; tcp, udp, icmp, sctp, or a number", text)
	}
	return uint8(n), nil
}
