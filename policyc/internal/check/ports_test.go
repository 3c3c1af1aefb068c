package check

import (
	"slices"
	"testing"

	"bulkhead/dataplane/policy"
)

// What a port is called in traces and tables is a word of the language, and
// means that port.
func TestAPortIsCalledWhatTheLanguageCallsIt(t *testing.T) {
	for _, word := range []string{
		"any", "tcp", "udp", "sctp", "tcp/0", "tcp/65535", "tcp/80-90", "udp/53", "sctp/36412", "tcp/1-65535",
		"icmp4", "icmp6", "icmp4/8", "icmp6/128", "icmp4/0", "icmp4/255", "icmp4/3/4", "icmp6/1/0", "icmp4/255/255",
		"gre", "esp", "ah", "ip/0", "ip/255", "ip/47", "ip/6", "ip/1", "ip/58",
		"icmp4/echo", "icmp6/echo", "icmp6/too-big", "icmp4/too-big", "icmp4/timestamp", "icmp6/parameter",
	} {
		ports, problem := ParsePorts(word)
		if problem != nil || len(ports) != 1 {
			t.Errorf("%s: %v, %v", word, ports, problem)
			continue
		}
		again, problem := ParsePorts(ports[0].String())
		if problem != nil || !slices.Equal(ports, again) {
			t.Errorf("%s is called %s, which is %v, %v", word, ports[0], again, problem)
		}
	}
}

// One name is the same message in both families (RFC 792, RFC 4443).
func TestICMPNamesAreOfBothFamilies(t *testing.T) {
	kind := func(proto uint16, lo, hi uint16) policy.Port {
		return policy.Port{Proto: proto, SrcHi: 65535, DstLo: lo, DstHi: hi}
	}
	for word, want := range map[string][]policy.Port{
		"icmp":               {kind(1, 0, 65535), kind(58, 0, 65535)},
		"icmp/echo":          {kind(1, 0x0800, 0x08ff), kind(58, 0x8000, 0x80ff)},
		"icmp/echo-reply":    {kind(1, 0x0000, 0x00ff), kind(58, 0x8100, 0x81ff)},
		"icmp/unreachable":   {kind(1, 0x0300, 0x03ff), kind(58, 0x0100, 0x01ff)},
		"icmp/too-big":       {kind(1, 0x0304, 0x0304), kind(58, 0x0200, 0x02ff)},
		"icmp/time-exceeded": {kind(1, 0x0b00, 0x0bff), kind(58, 0x0300, 0x03ff)},
		"icmp/parameter":     {kind(1, 0x0c00, 0x0cff), kind(58, 0x0400, 0x04ff)},
		"icmp/timestamp":     {kind(1, 0x0d00, 0x0dff)},
	} {
		got, problem := ParsePorts(word)
		if problem != nil || !slices.Equal(got, want) {
			t.Errorf("%s is %v (%v), want %v", word, got, problem, want)
		}
	}
}
