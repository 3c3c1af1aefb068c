package syntax

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// unquote is the text of a one-line string as written, quotes included. An
// escape that TOML does not know is kept as it is; the parser refuses it.
func unquote(raw string) string {
	body := raw[1 : len(raw)-1]
	if raw[0] == '\'' || !strings.Contains(body, `\`) {
		return body
	}
	var b strings.Builder
	for i := 0; i < len(body); {
		if body[i] != '\\' || i+1 >= len(body) {
			b.WriteByte(body[i])
			i++
			continue
		}
		text, n := escape(body[i:])
		b.WriteString(text)
		i += n
	}
	return b.String()
}

// escape reads one escape sequence: its text and its length.
func escape(s string) (string, int) {
	switch s[1] {
	case 'b':
		return "\b", 2
	case 't':
		return "\t", 2
	case 'n':
		return "\n", 2
	case 'f':
		return "\f", 2
	case 'r':
		return "\r", 2
	case 'e':
		return "\x1b", 2
	case '"', '\\':
		return s[1:2], 2
	case 'x':
		return codepoint(s, 2)
	case 'u':
		return codepoint(s, 4)
	case 'U':
		return codepoint(s, 8)
	}
	return s[:1], 1
}

func codepoint(s string, digits int) (string, int) {
	if len(s) < 2+digits {
		return s[:1], 1
	}
	n, err := strconv.ParseUint(s[2:2+digits], 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return s[:1], 1
	}
	return string(rune(n)), 2 + digits
}

// Quote is the canonical notation of a string: basic, on one line, escaping
// only what must be.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// QuoteKey is the canonical notation of one name of a key: bare if it may be.
func QuoteKey(s string) string {
	for i := 0; i < len(s); i++ {
		if !isBare(s[i]) {
			return Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

// Unquote is the text of a string as written, and false if it stands on several
// lines.
func Unquote(raw string) (string, bool) {
	if len(raw) < 2 || strings.HasPrefix(raw, `"""`) || strings.HasPrefix(raw, "'''") {
		return "", false
	}
	return unquote(raw), true
}
