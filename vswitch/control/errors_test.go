package control

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"bulkhead/vswitch/control/api"
)

// problem reads the error that an answer must be.
func problem(t *testing.T, resp *http.Response) *api.Error {
	t.Helper()
	e := new(api.Error)
	dec := json.NewDecoder(resp.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(e); err != nil || e.Message == "" || e.Cure == "" || statusOf[e.Code] != resp.StatusCode {
		t.Errorf("status %d with %+v, %v; want an api.Error with a cure", resp.StatusCode, e, err)
	}
	if kind := resp.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("content type %q", kind)
	}
	return e
}

// A path, a method, a parameter or a body that is wrong is answered with what
// is wrong and what to do, and nothing is changed.
func TestRefusals(t *testing.T) {
	sw := &fake{}
	client := on(serve(t, sw, callTime))
	large := `{"op":"del","name":"` + strings.Repeat("x", maxBody) + `"}`
	for _, c := range []struct {
		situation, method, path, text string
		code                          api.Code
		said                          string
	}{
		{"unknown path", "GET", "/v1/stats", "", api.CodeNotFound, "no \"/v1/stats\""},
		{"another version", "GET", "/v2/status", "", api.CodeNotFound, ""},
		{"the root", "GET", "/", "", api.CodeNotFound, ""},
		{"a path that wants cleaning", "GET", "//v1/status", "", api.CodeNotFound, ""},
		{"a path with dots", "GET", "/v1/x/../status", "", api.CodeNotFound, ""},
		{"a path with an end", "GET", "/v1/status/", "", api.CodeNotFound, ""},
		{"POST what is shown", "POST", "/v1/status", "", api.CodeMethod, "GET"},
		{"GET what changes", "GET", "/v1/reload", "", api.CodeMethod, "POST"},
		{"no such method", "BREW", "/v1/policy", "", api.CodeMethod, "GET or POST"},
		{"DELETE", "DELETE", "/v1/endpoint", "", api.CodeMethod, ""},
		{"a parameter that the call has not", "GET", "/v1/status?limit=1", "", api.CodeInvalid, "limit"},
		{"a parameter twice", "GET", "/v1/sessions?limit=1&limit=2", "", api.CodeInvalid, "once"},
		{"a limit of zero", "GET", "/v1/sessions?limit=0", "", api.CodeInvalid, "1 to 10000"},
		{"a limit too large", "GET", "/v1/sessions?limit=10001", "", api.CodeInvalid, "1 to 10000"},
		{"a limit that is a word", "GET", "/v1/sessions?limit=all", "", api.CodeInvalid, "1 to 10000"},
		{"an empty limit", "GET", "/v1/sessions?limit=", "", api.CodeInvalid, "1 to 10000"},
		{"a query that cannot be read", "GET", "/v1/sessions?limit=%zz", "", api.CodeInvalid, "query"},
		{"no body", "POST", "/v1/endpoint", "", api.CodeInvalid, "too early"},
		{"a body cut short", "POST", "/v1/endpoint", `{"op":"del","na`, api.CodeInvalid, "too early"},
		{"no JSON", "POST", "/v1/endpoint", "op=del", api.CodeInvalid, "not JSON"},
		{"null", "POST", "/v1/endpoint", "null", api.CodeInvalid, "not a JSON object"},
		{"a list", "POST", "/v1/endpoint", `[{"op":"del"}]`, api.CodeInvalid, "not a JSON object"},
		{"two objects", "POST", "/v1/endpoint", `{"op":"del","name":"a"}{}`, api.CodeInvalid, "more behind"},
		{"a bracket too many", "POST", "/v1/endpoint", `{"op":"del","name":"a"}]`, api.CodeInvalid, ""},
		{"an unknown field", "POST", "/v1/endpoint", `{"op":"del","nam":"a"}`, api.CodeInvalid, "op, name, segment"},
		{"a field in other letters", "POST", "/v1/endpoint", `{"OP":"del","name":"a"}`, api.CodeInvalid, "no field \"OP\""},
		{"a field twice", "POST", "/v1/endpoint", `{"op":"add","op":"del","name":"a"}`, api.CodeInvalid, "twice"},
		{"a field of null", "POST", "/v1/endpoint", `{"op":"del","name":null}`, api.CodeInvalid, "null"},
		{"a field of the wrong type", "POST", "/v1/endpoint", `{"op":"del","name":7}`, api.CodeInvalid, `field "name" does not take a number`},
		{"an unknown field of a field", "POST", "/v1/state", `{"source":"x","peers":[{"name":"p","adress":"192.0.2.1"}]}`, api.CodeInvalid, `no field "peers[0].adress"; the fields are name, address, segments`},
		{"a field of a field in other letters", "POST", "/v1/state", `{"source":"x","peers":[{"Name":"p"}]}`, api.CodeInvalid, `no field "peers[0].Name"`},
		{"a field of a field twice", "POST", "/v1/state", `{"source":"x","endpoints":[{"name":"a","name":"b"}]}`, api.CodeInvalid, `"endpoints[0].name" is there twice`},
		{"a label twice", "POST", "/v1/endpoint", `{"op":"add","name":"a","labels":{"app":"db","app":"web"}}`, api.CodeInvalid, `"labels.app" is there twice`},
		{"a label of null", "POST", "/v1/endpoint", `{"op":"add","name":"a","labels":{"app":null}}`, api.CodeInvalid, `"labels.app" is null`},
		{"null in a list", "POST", "/v1/state", `{"source":"x","endpoints":[null]}`, api.CodeInvalid, `"endpoints[0]" is null`},
		{"null in a list of texts", "POST", "/v1/state", `{"source":"x","remove_endpoints":["a",null]}`, api.CodeInvalid, `"remove_endpoints[1]" is null`},
		{"a list where an object is to be", "POST", "/v1/state", `{"source":"x","endpoints":[[1]]}`, api.CodeInvalid, `does not take a array`},
		{"very deep", "POST", "/v1/state", `{"source":"x","endpoints":[` + strings.Repeat("[", 200000) + strings.Repeat("]", 200000) + `]}`, api.CodeInvalid, "depth"},
		{"a number out of range", "POST", "/v1/trace", `{"port":"p","dst_port":65536}`, api.CodeInvalid, "dst_port"},
		{"too large", "POST", "/v1/endpoint", large, api.CodeInvalid, "more than 1048576 bytes"},
		{"a capture of less than nothing", "POST", "/v1/capture", `{"seconds":-1}`, api.CodeInvalid, "range"},
		{"a capture for ever and a day", "POST", "/v1/capture", `{"seconds":9223372036854775807}`, api.CodeInvalid, "range"},
	} {
		t.Run(c.situation, func(t *testing.T) {
			_, resp := ask(t, client, c.method, c.path, c.text)
			e := problem(t, resp)
			if e.Code != c.code || !strings.Contains(e.Message+"; "+e.Cure, c.said) || strings.Contains(e.Message, "api.") {
				t.Errorf("%+v; want %s with %q", e, c.code, c.said)
			}
			if c.code == api.CodeMethod && resp.Header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
	if n := sw.changes.Load(); n != 0 {
		t.Errorf("%d changes were made", n)
	}
}

// HEAD is GET without the body; a body in another content type is read: what
// curl -d sends works.
func TestWhatCurlSends(t *testing.T) {
	client := on(serve(t, &fake{}, callTime))
	if _, resp := ask(t, client, "HEAD", "/v1/status", ""); resp.StatusCode != 200 || resp.ContentLength == 0 {
		t.Errorf("HEAD: %d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
	resp, err := client.Post("http://x/v1/endpoint", "application/x-www-form-urlencoded", strings.NewReader(minimal["/v1/endpoint"]))
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v, %v", resp, err)
	}
}

// The limit reaches the switch; without one it is the largest.
func TestSessionsLimit(t *testing.T) {
	client := on(serve(t, &fake{}, callTime))
	for query, want := range map[string]int{"": maxSessions, "?limit=1": 1, "?limit=" + strconv.Itoa(maxSessions): maxSessions} {
		_, resp := ask(t, client, "GET", "/v1/sessions"+query, "")
		var s api.Sessions
		if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || len(s.Sessions) != want {
			t.Errorf("%s: %d sessions, %v", query, len(s.Sessions), err)
		}
	}
}

// A call that panics is a 500 with a cure, and the server goes on.
func TestPanicIsAnAnswer(t *testing.T) {
	sw := &fake{panics: true}
	client := on(serve(t, sw, callTime))
	_, resp := ask(t, client, "GET", "/v1/status", "")
	if e := problem(t, resp); e.Code != api.CodeInternal {
		t.Errorf("%+v", e)
	}
	sw.panics = false
	if _, resp := ask(t, client, "GET", "/v1/status", ""); resp.StatusCode != 200 {
		t.Errorf("after a panic: %d", resp.StatusCode)
	}
}

// What is no HTTP gets an answer or a hang-up in time, and holds nobody up.
func TestNoHTTP(t *testing.T) {
	path := serve(t, &fake{}, 300*time.Millisecond)
	for situation, text := range map[string]string{
		"nonsense": "\x00\xff\r\n\r\n", "a header too large": "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		"nothing": "", "half a line": "GET /v1/sta", "a body that does not come": "POST /v1/endpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"two lengths":      "POST /v1/endpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP of tomorrow": "GET /v1/status HTTP/9.9\r\n\r\n", "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		t.Run(situation, func(t *testing.T) {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = conn.Write([]byte(text))
			begun := time.Now()
			r := bufio.NewReader(conn)
			line, err := r.ReadString('\n')
			if err == nil && !strings.Contains(line, " 400 ") && !strings.Contains(line, " 431 ") && !strings.Contains(line, " 505 ") {
				t.Errorf("answered %q", line)
			}
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Errorf("still open after %v", time.Since(begun))
			}
		})
	}
}
