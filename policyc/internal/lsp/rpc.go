package lsp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Codes of errors: JSON-RPC 2.0 section 5.1, and those of the protocol.
const (
	codeParse          = -32700
	codeInvalid        = -32600
	codeNoMethod       = -32601
	codeParams         = -32602
	codeNotInitialized = -32002
	codeFailed         = -32803 // the request was right, and cannot be done
)

// message is a request, or a notification if it has no id.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	// Result and Error are of answers to requests of ours; there are none.
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// fault is an error as an answer has it.
type fault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (f *fault) Error() string { return f.Message }

func faultf(code int, format string, args ...any) *fault {
	return &fault{code, fmt.Sprintf(format, args...)}
}

// response has a result, null also, or an error.
type response struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  *any            `json:"result,omitempty"`
	Error   *fault          `json:"error,omitempty"`
}

type notification struct {
	Version string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

// read is what the reader hands over: a message, or what is wrong with it.
type read struct {
	body []byte
	err  error
}

// Serve answers until the editor says exit, or its pipe ends. It returns whether
// shutdown was asked for before, as it should be.
func (s *Server) Serve(in io.Reader, out io.Writer) (orderly bool, err error) {
	s.out = out
	queue, done := make(chan read, 16), make(chan struct{})
	defer close(done) // the reader ends, at the latest when its pipe does
	go readAll(in, queue, done)
	for r := range queue {
		if s.take(r, len(queue) > 0) {
			break
		}
	}
	return s.shutdown, s.writeErr
}

// take answers one message, more of which may wait, and tells whether it was
// the last.
func (s *Server) take(r read, more bool) (last bool) {
	s.typing = false
	switch {
	case errors.Is(r.err, errFrame):
		s.answer(nil, nil, faultf(codeParse, "%v", r.err))
	case r.err != nil:
		return true
	default:
		s.message(r.body)
	}
	if s.exit || s.writeErr != nil {
		return true
	}
	if !more || !s.typing {
		s.publish()
	}
	return false
}

func readAll(in io.Reader, queue chan<- read, done <-chan struct{}) {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		body, err := readFrame(r)
		select {
		case queue <- read{body, err}:
		case <-done:
			return
		}
		if err != nil && !errors.Is(err, errFrame) {
			return
		}
	}
}

// message answers one.
func (s *Server) message(body []byte) {
	var m message
	if !json.Valid(body) {
		s.answer(nil, nil, faultf(codeParse, "not JSON"))
		return
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Version != "2.0" || !goodID(m.ID) {
		s.answer(nil, nil, faultf(codeInvalid, "not a request of JSON-RPC 2.0"))
		return
	}
	if m.Method == "" {
		if m.Result == nil && m.Error == nil {
			s.answer(m.ID, nil, faultf(codeInvalid, "a request without a method"))
		}
		return
	}
	result, err := s.call(&m)
	if m.ID != nil {
		s.answer(m.ID, result, err)
	}
}

// goodID tells whether an id is a number, a string or absent.
func goodID(id json.RawMessage) bool {
	return len(id) == 0 || bytes.IndexByte([]byte(`"-0123456789`), id[0]) >= 0
}

// call finds the method. A notification that is not known means nothing.
func (s *Server) call(m *message) (any, *fault) {
	method, known := methods[m.Method]
	switch {
	case m.Method == "exit":
		s.exit = true
		return nil, nil
	case !known:
		return nil, faultf(codeNoMethod, "there is no method %q", m.Method)
	case s.shutdown:
		return nil, faultf(codeInvalid, "shutdown was asked for")
	case !s.initialized && m.Method != "initialize":
		return nil, faultf(codeNotInitialized, "initialize comes first")
	}
	return method(s, m.Params)
}

func (s *Server) answer(id json.RawMessage, result any, err *fault) {
	r := response{Version: "2.0", ID: id}
	if id == nil {
		r.ID = json.RawMessage("null")
	}
	if err != nil {
		r.Error = err
	} else {
		r.Result = &result
	}
	s.write(r)
}

func (s *Server) notify(method string, params any) {
	s.write(notification{"2.0", method, params})
}

func (s *Server) write(v any) {
	body, err := json.Marshal(v)
	if err == nil {
		err = writeFrame(s.out, body)
	}
	if s.writeErr == nil {
		s.writeErr = err
	}
}

// method answers a request: its result or what is wrong.
type method func(*Server, json.RawMessage) (any, *fault)

// with makes a method of a function of its parameters.
func with[P any](f func(*Server, *P) (any, *fault)) method {
	return func(s *Server, params json.RawMessage) (any, *fault) {
		var p P
		if len(params) > 0 {
			if err := json.Unmarshal(params, &p); err != nil {
				return nil, faultf(codeParams, "%v", err)
			}
		}
		return f(s, &p)
	}
}
