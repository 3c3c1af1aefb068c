package source

import (
	"errors"
	"strings"

	"github.com/BurntSushi/toml"

	"bulkhead/policyc/internal/diag"
)

// mostLarge bounds how often a text is decoded again for a number that is too large.
const mostLarge = 16

// decode decodes a text. The TOML parser stops at a number that is too large, where
// the text goes on as ever: it is reported, and 0 read in its place, so that all else
// that is wrong is found, too. large is where such numbers stand.
func decode(src *diag.Source, list *diag.List) (decoded map[string]any, large map[int32]bool, err error) {
	text := string(src.Text)
	for {
		decoded = map[string]any{}
		_, err = toml.Decode(text, &decoded)
		off, n := tooLarge(text, err)
		if n == 0 || len(large) == mostLarge {
			return decoded, large, err
		}
		badSyntax(src, err, list)
		if large == nil {
			large = map[int32]bool{}
		}
		large[int32(off)] = true
		text = text[:off] + "0" + strings.Repeat(" ", n-1) + text[off+n:]
	}
}

// tooLarge is where the number stands that an error says is out of range, and how
// long it is; 0: the error is another, or it is not a number by itself.
func tooLarge(text string, err error) (off, n int) {
	var pe toml.ParseError
	if !errors.As(err, &pe) || !strings.Contains(pe.Message, "out of range") {
		return 0, 0
	}
	off, n = pe.Position.Start, pe.Position.Len
	if off <= 0 || n <= 0 || off+n > len(text) {
		return 0, 0
	}
	number := func(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEFox_+-.") == "" }
	if !number(text[off:off+n]) || number(text[off-1:off]) || off+n < len(text) && number(text[off+n:off+n+1]) {
		return 0, 0
	}
	return off, n
}

// spoil marks the values that stand at some offsets as bad.
func (n *node) spoil(at map[int32]bool) {
	n.bad = n.bad || n.kind == scalarNode && at[n.at.Off]
	for i := range n.entries {
		n.entries[i].node.spoil(at)
	}
	for _, item := range n.items {
		item.spoil(at)
	}
}
