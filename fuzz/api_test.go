package fuzz

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// served is a switch with ports in memory, and a client of its control API.
type served struct {
	client *http.Client
	routes []string // "GET /v1/status", and so on
}

const servedConfig = `
control = "s"
[limits]
frames = 256
sessions = 1024
[[segments]]
name = "front"
gateways = ["10.0.0.1/24", "fd00::1/64"]
[[ports]]
name = "web"
segment = "front"
mac = "02:00:00:00:00:0a"
ips = ["10.0.0.10", "fd00::10"]
labels = { app = "shop", tier = "web" }
[[ports]]
name = "spare"
segment = "front"
`

// nothing is a recording of no format: what is recorded is not what is tried.
type nothing struct{ io.Writer }

func (n nothing) Frame(_ time.Time, _, _ string, _ int, b []byte) error {
	_, err := n.Write(b)
	return err
}

// newServed starts the switch with the example's policy and serves its API.
func newServed(f *testing.F) *served {
	f.Helper()
	must := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	vswitch.NewRecording = func(w io.Writer, _ []string) (vswitch.Recording, error) { return nothing{w}, nil }
	dir := f.TempDir()
	source, err := os.ReadFile("../examples/three-tier/policy.toml")
	must(err)
	rs, _ := compile.Compile([]compile.Source{{Name: "p", Text: source}}, compile.Options{})
	artifact, err := policy.Encode(rs)
	must(err)
	must(os.WriteFile(filepath.Join(dir, "p.bhp"), artifact, 0o600))
	cfg, err := config.Parse(filepath.Join(dir, "c.toml"), []byte("policy = \"p.bhp\"\n"+servedConfig))
	must(err)
	log := slog.New(slog.DiscardHandler)
	sw, err := vswitch.New(cfg, func(c *config.Port, o vswitch.Opening) (port.Port, error) {
		return mem.New(mem.Config{Name: c.Name, Port: o.ID, MAC: c.MAC, MTU: c.MTU})
	}, log)
	must(err)
	must(sw.Start())
	server, err := control.Listen(control.Options{Path: cfg.Control, Log: log,
		Switch: sw.Control("fuzz", func() error { return sw.Reload(cfg) })})
	must(err)
	go server.Serve()
	f.Cleanup(func() { server.Close(); sw.Close() })
	s := &served{client: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", cfg.Control)
	}}}}
	s.readRoutes(f)
	return s
}

// readRoutes takes the routes from the API's own description.
func (s *served) readRoutes(f *testing.F) {
	var spec struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI, &spec); err != nil || len(spec.Paths) == 0 {
		f.Fatalf("%d paths, %v", len(spec.Paths), err)
	}
	for path, methods := range spec.Paths {
		for method := range methods {
			s.routes = append(s.routes, strings.ToUpper(method)+" "+path)
		}
	}
}

// call sends a request and returns the status and what was answered. A capture
// is left after a moment.
func (s *served) call(t *testing.T, method, path, query string, text []byte) (int, string, []byte) {
	t.Helper()
	ctx := context.Background()
	if path == "/v1/capture" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://x", bytes.NewReader(text))
	if err != nil {
		t.Skip("no HTTP method")
	}
	req.URL = &url.URL{Scheme: "http", Host: "x", Path: path, RawQuery: query}
	resp, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return http.StatusOK, "", nil
		}
		t.Skipf("not sent: %v", err) // what the client itself takes for no HTTP
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(bufio.NewReader(resp.Body))
	return resp.StatusCode, resp.Header.Get("Content-Type"), b
}

// state is what a refused call must leave as it was. A failed load of a policy
// is remembered as such, and that is all.
func (s *served) state(t *testing.T) string {
	t.Helper()
	var status api.Status
	_, _, b := s.call(t, "GET", "/v1/status", "", nil)
	if err := json.Unmarshal(b, &status); err != nil {
		t.Fatalf("status: %v: %s", err, b)
	}
	_, _, endpoints := s.call(t, "GET", "/v1/endpoints", "", nil)
	_, _, rules := s.call(t, "GET", "/v1/policy", "", nil)
	status.PolicyError = ""
	b, _ = json.Marshal(status)
	return string(b) + string(endpoints) + string(rules)
}

// FuzzAPI: any bytes to any route are answered: as the route answers, or with
// an error that has a code and a cure and leaves everything as it was. A
// switch that broke inside says so, and fails here.
func FuzzAPI(f *testing.F) {
	s := newServed(f)
	for _, seed := range []struct{ route, query, text string }{
		{"GET /v1/status", "", ""}, {"GET /v1/sessions", "limit=3", ""}, {"GET /v1/sessions", "limit=-1", ""}, {"PUT /v1/nowhere", "a=%zz", "x"},
		{"POST /v1/trace", "", `{"port":"web","to":"10.0.0.1","proto":"icmp"}`},
		{"POST /v1/trace", "", `{"port":"web","hex":"ffffffffffff02000000000a0806"}`},
		{"POST /v1/trace", "", `{"port":"web","to":"fd00::99","proto":"6","flags":["syn"],"ttl":1,"from":"fd00::10"}`},
		{"POST /v1/endpoint", "", `{"op":"add","name":"db","port":"spare","mac":"02:00:00:00:00:0b","ips":["10.0.0.11"],"labels":{"app":"shop"}}`},
		{"POST /v1/endpoint", "", `{"op":"add","name":"","port":"spare","mac":"01:00:00:00:00:0b","ips":["10.0.0.1","::ffff:1.2.3.4"]}`},
		{"POST /v1/endpoint", "", `{"op":"move","name":"web","port":"spare"}`}, {"POST /v1/endpoint", "", `{"op":"del","name":"web"}`},
		{"POST /v1/policy", "", `{"file":"/dev/zero"}`}, {"POST /v1/policy", "", `{"file":"p.bhp"}`}, {"POST /v1/reload", "", ""},
		{"POST /v1/capture", "", `{"reason":"no-rule","count":1}`}, {"POST /v1/capture", "", `{"seconds":1e9}`},
	} {
		f.Add(seed.route, seed.query, []byte(seed.text))
	}
	for _, route := range s.routes {
		f.Add(route, "", []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, route, query string, text []byte) {
		method, path, _ := strings.Cut(route, " ")
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		before := s.state(t)
		status, kind, answer := s.call(t, method, path, query, text)
		switch {
		case status == http.StatusOK:
			s.checkAnswer(t, method, path, kind, answer)
			return
		case status == http.StatusBadRequest && strings.HasPrefix(kind, "text/plain"):
			return // the HTTP server's own: no request came of it
		}
		if method != http.MethodHead {
			checkError(t, status, kind, answer)
		}
		if after := s.state(t); after != before {
			t.Fatalf("refused with %d, but\n%s\nbecame\n%s", status, before, after)
		}
	})
}

// checkAnswer: a call that is done answers JSON, from a route that there is.
func (s *served) checkAnswer(t *testing.T, method, path, kind string, answer []byte) {
	t.Helper()
	known := false
	for _, route := range s.routes {
		known = known || route == method+" "+path || method == http.MethodHead && route == "GET "+path
	}
	if !known {
		t.Fatalf("%s %s is answered and in no description", method, path)
	}
	if kind == "application/json" && method != http.MethodHead && !json.Valid(answer) {
		t.Fatalf("no JSON: %s", answer)
	}
}

// checkError: an error has a code that is known, a message and a cure.
func checkError(t *testing.T, status int, kind string, answer []byte) {
	t.Helper()
	var e api.Error
	dec := json.NewDecoder(bytes.NewReader(answer))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil || kind != "application/json" || reflect.ValueOf(e).Field(0).IsZero() || e.Message == "" || e.Cure == "" {
		t.Fatalf("%d, %s: %q: %v", status, kind, answer, err)
	}
	if e.Code == api.CodeInternal {
		t.Fatalf("the switch broke: %s", e.Message)
	}
}
