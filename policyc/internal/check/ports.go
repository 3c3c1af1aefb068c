package check

import (
	"fmt"
	"strconv"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/cli/nearest"
)

// protocols that have names; those with ports are in ported.
var protocols = map[string]uint16{
	"tcp": 6, "udp": 17, "sctp": 132, "gre": 47, "esp": 50, "ah": 51, "igmp": 2, "ospf": 89, "vrrp": 112, "ipip": 4, "udplite": 136, "dccp": 33,
}

var ported = map[string]bool{"tcp": true, "udp": true, "sctp": true}

// icmpType is what one word means in ICMP and in ICMPv6; -1 is nothing there.
type icmpType struct{ v4, v6, v4code, v6code int }

// icmpTypes are ICMP's messages by name: one name for both families where both
// have it (RFC 792, RFC 4443).
var icmpTypes = map[string]icmpType{
	"echo":          {8, 128, -1, -1},
	"echo-reply":    {0, 129, -1, -1},
	"unreachable":   {3, 1, -1, -1},
	"time-exceeded": {11, 3, -1, -1},
	"parameter":     {12, 4, -1, -1},
	"too-big":       {3, 2, 4, -1},
	"timestamp":     {13, -1, -1, -1},
}

// ParsePorts reads one word of ports: "tcp/443", "tcp/6000-6100", "tcp",
// "icmp/echo", "icmp", "gre", "ip/47" or "any".
func ParsePorts(text string) ([]policy.Port, *Problem) {
	name, rest, more := strings.Cut(text, "/")
	switch {
	case text == "any":
		return []policy.Port{whole(policy.AnyProto)}, nil
	case text == "":
		return nil, &Problem{Text: "no port", Cure: portCure}
	case name == "any":
		return nil, &Problem{Text: fmt.Sprintf("%q: any is every protocol, and not all have ports", text), Cure: "name the protocol, as tcp/443 and udp/443"}
	case name == "ip":
		return parseNumbered(text, rest)
	case name == "icmp" || name == "icmp4" || name == "icmp6":
		return parseICMP(text, name, rest, more)
	}
	proto, known := protocols[name]
	if !known {
		return nil, unknownProtocol(name, rest)
	}
	if !more {
		return []policy.Port{whole(proto)}, nil
	}
	if !ported[name] {
		return nil, &Problem{Text: fmt.Sprintf("%s has no ports", name), Cure: fmt.Sprintf("write %q", name)}
	}
	return parseRange(text, rest, proto)
}

// unknownProtocol answers a word that begins with no protocol; many begin with
// the port.
func unknownProtocol(name, rest string) *Problem {
	if _, err := portNumber(name); err == nil {
		proto := "tcp"
		if ported[rest] {
			proto = rest
		}
		return &Problem{Text: fmt.Sprintf("%q does not begin with a protocol", name), Cure: portCure, Meant: proto + "/" + name}
	}
	names := []string{"any", "ip", "icmp", "icmp4", "icmp6"}
	for n := range protocols {
		names = append(names, n)
	}
	return &Problem{Text: fmt.Sprintf("protocol %q is not known", name), Cure: portCure, Meant: nearest.Name(name, names)}
}

const portCure = `write it as "tcp/443", "udp/6000-6100", "tcp", "icmp/echo", "ip/47" or "any"`

func whole(proto uint16) policy.Port {
	return policy.Port{Proto: proto, SrcHi: 65535, DstHi: 65535}
}

func parseNumbered(text, rest string) ([]policy.Port, *Problem) {
	n, err := strconv.ParseUint(rest, 10, 8)
	if err != nil {
		return nil, &Problem{Text: fmt.Sprintf("%q is no protocol number", text), Cure: "a number from 0 to 255, as ip/47"}
	}
	return []policy.Port{whole(uint16(n))}, nil
}

func parseRange(text, rest string, proto uint16) ([]policy.Port, *Problem) {
	low, high, isRange := strings.Cut(rest, "-")
	if !isRange {
		high = low
	}
	lo, err := portNumber(low)
	hi, err2 := portNumber(high)
	switch {
	case err != nil || err2 != nil:
		return nil, &Problem{Text: fmt.Sprintf("%q is no port", text), Cure: "numbers from 0 to 65535, as tcp/443 or tcp/6000-6100"}
	case lo > hi:
		return nil, &Problem{Text: fmt.Sprintf("%q runs backwards", text), Cure: fmt.Sprintf("write %d-%d", hi, lo)}
	}
	return []policy.Port{{Proto: proto, SrcHi: 65535, DstLo: lo, DstHi: hi}}, nil
}

func portNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}

// parseICMP reads icmp (both families), icmp4 and icmp6, whole or with a type
// by name; a number is allowed where the family is named, for the two count
// differently.
func parseICMP(text, name, rest string, more bool) ([]policy.Port, *Problem) {
	v4, v6 := name != "icmp6", name != "icmp4"
	if !more {
		return icmpPorts(v4, v6, icmpType{-1, -1, -1, -1}), nil
	}
	if t, known := icmpTypes[rest]; known {
		ports := icmpPorts(v4 && t.v4 >= 0, v6 && t.v6 >= 0, t)
		if len(ports) == 0 {
			return nil, &Problem{Text: fmt.Sprintf("%s has no %s", name, rest)}
		}
		return ports, nil
	}
	kind, code, hasCode := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(kind, 10, 8)
	c := uint64(0)
	if hasCode && err == nil {
		c, err = strconv.ParseUint(code, 10, 8)
	}
	if err != nil {
		names := make([]string, 0, len(icmpTypes))
		for n := range icmpTypes {
			names = append(names, n)
		}
		return nil, &Problem{Text: fmt.Sprintf("ICMP has no message %q", rest), Cure: "echo, unreachable, too-big, time-exceeded, parameter, or icmp4/8, icmp6/128", Meant: nearest.Name(rest, names)}
	}
	if name == "icmp" {
		return nil, &Problem{Text: fmt.Sprintf("%q: the number means another message in each family", text), Cure: "write icmp4/N and icmp6/N, or the name"}
	}
	t := icmpType{int(n), int(n), -1, -1}
	if hasCode {
		t.v4code, t.v6code = int(c), int(c)
	}
	return icmpPorts(v4, v6, t), nil
}

func icmpPorts(v4, v6 bool, t icmpType) []policy.Port {
	var out []policy.Port
	if v4 {
		out = append(out, icmpPort(1, t.v4, t.v4code))
	}
	if v6 {
		out = append(out, icmpPort(58, t.v6, t.v6code))
	}
	return out
}

// icmpPort writes a type and code as policy.Port has them; -1 is every one.
func icmpPort(proto uint16, kind, code int) policy.Port {
	p := whole(proto)
	if kind >= 0 {
		p.DstLo, p.DstHi = uint16(kind)<<8, uint16(kind)<<8|255
		if code >= 0 {
			p.DstLo |= uint16(code)
			p.DstHi = p.DstLo
		}
	}
	return p
}
