package lsp

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"testing"
)

// client is an editor at the other end of two pipes.
type client struct {
	t     *testing.T
	to    *io.PipeWriter
	from  *bufio.Reader
	ids   int
	ended chan bool
	// findings are those last published of each document.
	findings map[string]publishParams
}

// connect starts a server and says hello.
func connect(t *testing.T, files ...string) *client {
	c := begin(t, files...)
	c.call("initialize", `{"capabilities": {}}`)
	c.tell("initialized", `{}`)
	return c
}

func begin(t *testing.T, files ...string) *client {
	t.Helper()
	in, to := io.Pipe()
	from, out := io.Pipe()
	c := &client{t: t, to: to, from: bufio.NewReader(from), ended: make(chan bool, 1), findings: map[string]publishParams{}}
	go func() {
		orderly, _ := New("test", files).Serve(in, out)
		in.Close() // what is written after the end goes nowhere
		out.Close()
		c.ended <- orderly
	}()
	t.Cleanup(func() {
		to.Close()
		from.Close()
	})
	return c
}

func (c *client) send(body string) {
	c.t.Helper()
	if err := writeFrame(c.to, []byte(body)); err != nil {
		c.t.Fatalf("send %s: %v", body, err)
	}
}

func (c *client) tell(method, params string) {
	c.t.Helper()
	c.send(fmt.Sprintf(`{"jsonrpc": "2.0", "method": %q, "params": %s}`, method, params))
}

type reply struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *fault          `json:"error"`
}

// next reads what the server says, and keeps findings.
func (c *client) next() reply {
	c.t.Helper()
	body, err := readFrame(c.from)
	if err != nil {
		c.t.Fatalf("the server went: %v", err)
	}
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		c.t.Fatalf("%s: %v", body, err)
	}
	if r.Method == "textDocument/publishDiagnostics" {
		var p publishParams
		if err := json.Unmarshal(r.Params, &p); err != nil {
			c.t.Fatal(err)
		}
		c.findings[p.URI] = p
	}
	return r
}

// answer is the next answer, past notifications.
func (c *client) answer() reply {
	c.t.Helper()
	for {
		if r := c.next(); r.Method == "" {
			return r
		}
	}
}

// ask calls a method, and returns the answer as it came.
func (c *client) ask(method, params string) reply {
	c.t.Helper()
	c.ids++
	c.send(fmt.Sprintf(`{"jsonrpc": "2.0", "id": %d, "method": %q, "params": %s}`, c.ids, method, params))
	r := c.answer()
	if string(r.ID) != fmt.Sprint(c.ids) {
		c.t.Fatalf("%s: the answer is to %s", method, r.ID)
	}
	return r
}

// call calls a method that must answer with a result.
func (c *client) call(method, params string) string {
	c.t.Helper()
	r := c.ask(method, params)
	if r.Error != nil {
		c.t.Fatalf("%s: %v", method, r.Error)
	}
	return string(r.Result)
}

// open opens a document and waits for its findings.
func (c *client) open(uri, text string) {
	c.t.Helper()
	c.tell("textDocument/didOpen", fmt.Sprintf(`{"textDocument": {"uri": %q, "languageId": "toml", "version": 1, "text": %s}}`, uri, quote(text)))
	c.published(uri, 1)
}

// published waits for the findings of a version.
func (c *client) published(uri string, version int) []diagnostic {
	c.t.Helper()
	for {
		if p, known := c.findings[uri]; known && p.Version != nil && *p.Version == version {
			return p.Diagnostics
		}
		c.next()
	}
}

func quote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// at writes the parameters of a question about a place, which counts from 0.
func at(uri string, line, character int) string {
	return fmt.Sprintf(`{"textDocument": {"uri": %q}, "position": {"line": %d, "character": %d}}`, uri, line, character)
}
