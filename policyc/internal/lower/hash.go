package lower

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strconv"

	"bulkhead/dataplane/policy"
)

// Hash is the SHA-256 of what the rules say, not of where they say it. Its text is
// that of fmt (TestHashIsOfTheTextThatFmtWrites), written by hand: for 100,000 rules
// fmt took a tenth of a build.
func Hash(rs *policy.Ruleset) [32]byte {
	h := sha256.New()
	room := make([]byte, 0, 1<<16)
	write := func(text []byte) {
		if room = text; len(room) > 1<<15 {
			h.Write(room)
			room = room[:0]
		}
	}
	for i := range rs.Sets {
		write(appendSet(room, &rs.Sets[i]))
	}
	for i := range rs.Rules {
		write(appendRule(room, &rs.Rules[i]))
	}
	h.Write(room)
	return [32]byte(h.Sum(nil))
}

// appendSet writes who is in a set.
func appendSet(b []byte, s *policy.Set) []byte {
	b = append(strconv.AppendUint(b, uint64(s.Kind), 10), ' ')
	b = append(appendQuoted(b, s.Name), ' ')
	b = appendList(b, s.Selector, func(b []byte, all policy.Requirements) []byte {
		return appendList(b, all, appendRequirement)
	})
	b = appendList(append(b, ' '), s.Prefixes, appendPrefix)
	b = appendList(append(b, ' '), s.Except, appendPrefix)
	return append(b, '\n')
}

func appendRequirement(b []byte, r policy.Requirement) []byte {
	b = appendQuoted(append(b, '{'), r.Key)
	b = strconv.AppendQuoteRune(append(b, ' '), rune(r.Op))
	return append(appendList(append(b, ' '), r.Values, appendQuoted), '}')
}

func appendPrefix(b []byte, p netip.Prefix) []byte { return p.AppendTo(b) }

func appendList[T any](b []byte, list []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ' ')
		}
		b = one(b, list[i])
	}
	return append(b, ']')
}

// appendRule writes what a rule says, and the marks of one that has any on a line
// of their own.
func appendRule(b []byte, r *policy.Rule) []byte {
	b = appendQuoted(b, r.Name)
	for _, n := range [4]uint64{uint64(r.Verdict), uint64(r.Tier), uint64(r.Precedence), uint64(r.Direction)} {
		b = strconv.AppendUint(append(b, ' '), n, 10)
	}
	b = appendSets(append(b, ' '), r.From)
	b = appendSets(append(b, ' '), r.To)
	b = append(b, " ["...)
	for i := range r.Ports {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendPort(b, &r.Ports[i])
	}
	b = append(b, "]\n"...)
	if r.Log || r.Audit || r.Stateless || !r.Valid.Always() || r.Owner != "" || r.Reason != "" {
		b = fmt.Appendf(b, "%t %t %t %d %d %q %q\n", r.Log, r.Audit, r.Stateless, r.Valid.From, r.Valid.Until, r.Owner, r.Reason)
	}
	return b
}

// appendQuoted writes a name as %q does: most need no escapes.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendSets(b []byte, list []policy.SetID) []byte {
	b = append(b, '[')
	for i, n := range list {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return append(b, ']')
}

// appendPort writes a port as its method String does.
func appendPort(b []byte, p *policy.Port) []byte {
	name, plain := portNames[p.Proto]
	if !plain || p.SrcLo > 0 || p.SrcHi < 65535 || p.DstLo == 0 && p.DstHi == 65535 {
		return append(b, p.String()...)
	}
	b = strconv.AppendUint(append(b, name...), uint64(p.DstLo), 10)
	if p.DstLo != p.DstHi {
		b = strconv.AppendUint(append(b, '-'), uint64(p.DstHi), 10)
	}
	return b
}

// portNames are what the ports of those protocols begin with that most rules name.
var portNames = map[uint16]string{6: "tcp/", 17: "udp/"}
