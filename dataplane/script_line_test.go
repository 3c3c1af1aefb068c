package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// line is one line of a script: words, and options written key=value. Whoever
// reads it takes what it knows; what is left over is a mistake. The first
// mistake is kept, so that a reader need not ask after each word.
type line struct {
	text  string
	words []string
	opts  map[string]string
	err   error
}

func newLine(text string) *line {
	l := &line{text: text, opts: map[string]string{}}
	for _, w := range strings.Fields(text) {
		if key, value, found := strings.Cut(w, "="); found {
			l.opts[key] = value
		} else {
			l.words = append(l.words, w)
		}
	}
	return l
}

func (l *line) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// done returns the first mistake, or what nobody took.
func (l *line) done() error {
	if len(l.words) > 0 {
		l.fail("nobody reads %q", l.words[0])
	}
	for key := range l.opts {
		l.fail("nobody reads %s=", key)
	}
	return l.err
}

// word takes the next word.
func (l *line) word() string {
	if len(l.words) == 0 {
		l.fail("a word is missing at the end")
		return ""
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w
}

// rest takes all words that are left.
func (l *line) rest() []string {
	w := l.words
	l.words = nil
	return w
}

// flag takes a word, wherever it is, and tells whether it was there.
func (l *line) flag(name string) bool {
	i := slices.Index(l.words, name)
	if i >= 0 {
		l.words = slices.Delete(slices.Clone(l.words), i, i+1)
	}
	return i >= 0
}

// expect takes a word that must be there.
func (l *line) expect(name string) {
	if w := l.word(); w != name {
		l.fail("%q stands where %q should", w, name)
	}
}

// opt takes an option; empty if it is not there.
func (l *line) opt(key string) string {
	v := l.opts[key]
	delete(l.opts, key)
	return v
}

// list takes an option that is a list.
func (l *line) list(key string) []string {
	if v := l.opt(key); v != "" {
		return strings.Split(v, ",")
	}
	return nil
}

// number takes an option that is a number, decimal or 0x.
func (l *line) number(key string, otherwise uint64) uint64 {
	v := l.opt(key)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 0, 32)
	if err != nil {
		l.fail("%s=%s is no number", key, v)
	}
	return n
}

func (l *line) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		l.fail("%v", err)
	}
	return d
}

func (l *line) prefix(s string) netip.Prefix {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		l.fail("%v", err)
	}
	return p
}

func (l *line) addr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		l.fail("%v", err)
	}
	return a
}

func (l *line) mac(s string) packet.MAC {
	m, err := packet.ParseMAC(s)
	if err != nil {
		l.fail("%v", err)
	}
	return m
}

// socket reads an address with a port or without.
func (l *line) socket(s string) (packet.Addr, uint16) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return packet.AddrFrom(ap.Addr()), ap.Port()
	}
	return packet.AddrFrom(l.addr(s)), 0
}

var protocols = map[string]uint8{
	"tcp": packet.ProtoTCP, "udp": packet.ProtoUDP, "sctp": packet.ProtoSCTP,
	"icmp": packet.ProtoICMP, "icmp6": packet.ProtoICMPv6,
}

// ports reads a port of a rule: tcp/5432, udp/6000-6100, icmp/8, gre as 47, any.
func (l *line) ports(s string) policy.Port {
	p := policy.Port{SrcHi: 65535, DstHi: 65535}
	if s == "any" {
		p.Proto = policy.AnyProto
		return p
	}
	name, span, ranged := strings.Cut(s, "/")
	proto, known := protocols[name]
	if n, err := strconv.ParseUint(name, 10, 8); err == nil {
		proto, known = uint8(n), true
	}
	if !known {
		l.fail("%q is no protocol", name)
	}
	p.Proto = uint16(proto)
	if !ranged {
		return p
	}
	low, high, isRange := strings.Cut(span, "-")
	if !isRange {
		high = low
	}
	lo, err1 := strconv.ParseUint(low, 10, 16)
	hi, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil {
		l.fail("%q is no range of ports", span)
	}
	if p.DstLo, p.DstHi = uint16(lo), uint16(hi); proto == packet.ProtoICMP || proto == packet.ProtoICMPv6 {
		p.DstLo, p.DstHi = uint16(lo)<<8, uint16(hi)<<8|255
	}
	return p
}
