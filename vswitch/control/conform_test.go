package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"bulkhead/vswitch/control/api"
)

// specification is what validates requests and answers by the description.
func specification(t *testing.T) validator.Validator {
	t.Helper()
	doc, err := libopenapi.NewDocument(api.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return v
}

// on makes a client of a socket.
func on(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

// The description is valid OpenAPI 3.1.
func TestOpenAPIIsValid(t *testing.T) {
	if ok, errs := specification(t).ValidateDocument(); !ok {
		for _, e := range errs {
			t.Errorf("%s: %s", e.Message, e.Reason)
		}
	}
}

// Every answer of a live server, good or bad, is as the description has it.
func TestEveryAnswerConforms(t *testing.T) {
	v := specification(t)
	sw := &fake{}
	client := on(serve(t, sw, callTime))
	errs := []error{
		nil, api.Invalid("m", "c"), api.NotFound("m", "c"), api.Conflict("m", "c"), api.Busy("m", "c"), errors.New("plain"),
	}
	for _, c := range calls(sw) {
		for _, sw.err = range errs {
			t.Run(c.method+c.path, func(t *testing.T) {
				text := ""
				if c.in != nil {
					text = minimal[c.path]
				}
				req, resp := ask(t, client, c.method, c.path, text)
				if ok, errs := v.ValidateHttpRequest(req); !ok {
					t.Errorf("the request: %v", errs[0])
				}
				if c.stream != "" && resp.StatusCode == http.StatusOK {
					if resp.Header.Get("Content-Type") != c.stream {
						t.Errorf("content type %q", resp.Header.Get("Content-Type"))
					}
					return
				}
				if ok, errs := v.ValidateHttpResponse(req, resp); !ok {
					t.Errorf("the answer, after %v: %v: %v", sw.err, errs[0], errs[0].SchemaValidationErrors)
				}
			})
		}
	}
}

// minimal is a request that each call takes.
var minimal = map[string]string{
	"/v1/trace": `{"port":"p"}`, "/v1/endpoint": `{"op":"del","name":"n"}`, "/v1/policy": `{"file":"/p"}`, "/v1/policy/shadow": `{"file":"/p"}`, "/v1/capture": `{}`,
	"/v1/state": `{"source":"agent"}`, "/v1/source": `{"source":"agent","state":"current"}`, "/v1/source/accept": `{"source":"agent"}`,
}

// ask calls the server; the bodies can be read again.
func ask(t *testing.T, client *http.Client, method, path, text string) (*http.Request, *http.Response) {
	t.Helper()
	req, err := http.NewRequest(method, "http://vswitchd"+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if text != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	req.Body, resp.Body = io.NopCloser(strings.NewReader(text)), io.NopCloser(bytes.NewReader(b))
	return req, resp
}

// The validation can fail: an answer with a field of the wrong type, or
// without one that is required, does not conform.
func TestConformanceCanFail(t *testing.T) {
	v := specification(t)
	req, resp := ask(t, on(serve(t, &fake{}, callTime)), "GET", "/v1/status", "")
	for _, wrong := range []string{`{}`, `{"version":1}`, `[]`} {
		resp.Body = io.NopCloser(strings.NewReader(wrong))
		if ok, _ := v.ValidateHttpResponse(req, resp); ok {
			t.Errorf("%s conforms to Status", wrong)
		}
	}
}
