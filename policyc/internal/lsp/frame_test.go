package lsp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFraming(t *testing.T) {
	for _, k := range []struct{ situation, in, want string }{
		{"one", "Content-Length: 2\r\n\r\nab", "ab;"},
		{"two", "Content-Length: 2\r\n\r\nabContent-Length: 1\r\n\r\nc", "ab;c;"},
		{"other_headers_and_case", "content-type: x\r\ncontent-length:  2 \r\n\r\nab", "ab;"},
		{"bare_line_ends", "Content-Length: 2\n\nab", "ab;"},
		{"empty_lines_before", "\r\n\r\nContent-Length: 1\r\n\r\na", "a;"},
		{"no_length", "Content-Type: x\r\n\r\nContent-Length: 1\r\n\r\na", "<none>a;"},
		{"a_length_that_is_none", "Content-Length: -1\r\n\r\nContent-Length: x\r\n\r\nContent-Length: 1\r\n\r\na", "<none><none>a;"},
		{"a_length_that_overflows", "Content-Length: 99999999999999999999\r\n\r\n", "<none>"},
		{"cut_off", "Content-Length: 9\r\n\r\nab", ""},
		{"a_message_too_long", fmt.Sprintf("Content-Length: %d\r\n\r\n%sContent-Length: 1\r\n\r\na", MaxMessage+1, strings.Repeat("x", MaxMessage+1)), "<none>a;"},
	} {
		t.Run(k.situation, func(t *testing.T) {
			if got := frames(k.in); got != k.want {
				t.Errorf("%q, want %q", got, k.want)
			}
		})
	}
}

// frames reads all messages: each with a semicolon, and <none>, which JSON cannot hold
// bare, for what is none.
func frames(in string) string {
	var out strings.Builder
	for r := bufio.NewReader(strings.NewReader(in)); ; {
		body, err := readFrame(r)
		switch {
		case errors.Is(err, errFrame):
			out.WriteString("<none>")
		case err != nil:
			return out.String()
		default:
			out.WriteString(string(body) + ";")
		}
	}
}

// A header without end is given up, not kept.
func TestAHeaderHasABound(t *testing.T) {
	_, err := readFrame(bufio.NewReader(io.LimitReader(zeros{}, 1<<30)))
	if !errors.Is(err, errFrame) {
		t.Errorf("%v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// Whatever comes, the server ends when its input does, does not panic, and what
// it writes are messages. There is one goroutine, so that a run can be repeated.
func FuzzServe(f *testing.F) {
	frame := func(bodies ...string) []byte {
		var b bytes.Buffer
		for _, body := range bodies {
			_ = writeFrame(&b, []byte(body))
		}
		return b.Bytes()
	}
	hello := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`
	open := fmt.Sprintf(`{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"untitled:a","version":1,"text":%s}}}`, quote(good))
	f.Add(frame(hello, open, `{"jsonrpc":"2.0","id":2,"method":"textDocument/completion","params":{"textDocument":{"uri":"untitled:a"},"position":{"line":9,"character":20}}}`))
	f.Add(frame(hello, open, `{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"untitled:a","version":2},"contentChanges":[{"range":{"start":{"line":3,"character":9},"end":{"line":1,"character":2}},"text":"[\""}]}}`,
		`{"jsonrpc":"2.0","id":3,"method":"textDocument/hover","params":{"textDocument":{"uri":"untitled:a"},"position":{"line":1,"character":11}}}`,
		`{"jsonrpc":"2.0","id":4,"method":"textDocument/rename","params":{"textDocument":{"uri":"untitled:a"},"position":{"line":1,"character":11},"newName":"x"}}`))
	f.Add([]byte("Content-Length: 5\r\n\r\n{}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		s, r := New("fuzz", nil), bufio.NewReader(bytes.NewReader(in))
		s.out = &out
		for last := false; !last; {
			body, err := readFrame(r)
			last = s.take(read{body, err}, false)
		}
		if s.writeErr != nil {
			t.Fatal(s.writeErr)
		}
		if got := frames(out.String()); strings.Contains(got, "<none>") {
			t.Errorf("wrote %q", got)
		}
	})
}

// A position and its offset are each other's opposite, whatever the text.
func FuzzPositions(f *testing.F) {
	f.Add("a😀\r\né\xff\n", 3)
	f.Fuzz(func(t *testing.T, text string, off int) {
		d := newDocument("x", 0, text)
		off = min(max(off, 0), len(d.text))
		for off < len(d.text) && !utf8.RuneStart(d.text[off]) {
			off++ // nothing points into a character
		}
		p := d.position(off)
		back := d.offset(p)
		if again := d.position(back); again != p && !insideLineEnd(d, off) {
			t.Errorf("%d is %v, which is %d, which is %v", off, p, back, again)
		}
	})
}

// insideLineEnd tells whether an offset stands behind a carriage return: a
// place that no editor has.
func insideLineEnd(d *document, off int) bool {
	off = min(max(off, 0), len(d.text))
	return strings.Contains(d.text[d.lines[d.position(off).Line]:off], "\r")
}
