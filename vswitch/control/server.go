// Package control is the daemon's control API: HTTP with JSON on a unix
// socket, and the client that vsctl uses.
//
// Who may call it is decided by the kernel's word on who is at the other end
// (SO_PEERCRED), before a byte is read: root, the daemon's own user, and the
// members of one group, which the socket's mode (0660) lets in as well.
// Requests are bounded in size, number and time, so a caller that is slow or
// silent costs nobody anything. There is no TCP.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"bulkhead/vswitch/control/api"
)

// Bounds of the API.
const (
	maxBody    = 1 << 20
	maxCallers = 64
	headerTime = 5 * time.Second
	idleTime   = 30 * time.Second
)

// Switch is what the API controls. Errors are an *api.Error where the caller
// can mend them.
type Switch interface {
	Status() (*api.Status, error)
	Ports() ([]api.Port, error)
	FDB() ([]api.FDBEntry, error)
	Sessions(limit int) (*api.Sessions, error)
	Endpoints() ([]api.Endpoint, error)
	Policy() (*api.Policy, error)
	Counters() (*api.Counters, error)
	Trace(*api.TraceRequest) (*api.Trace, error)
	ChangeEndpoint(*api.EndpointChange) (*api.Done, error)
	LoadPolicy(*api.PolicyLoad) (*api.Done, error)
	Reload() (*api.Done, error)
	// Capture writes a pcapng stream until it is done or the context is.
	Capture(context.Context, *api.CaptureRequest, io.Writer) error
}

// Options is what a server needs.
type Options struct {
	Path   string // of the socket
	Group  string // whose members may call; empty: none but root and ourselves
	Switch Switch
	Log    *slog.Logger
}

// Server is the control API, listening.
type Server struct {
	http     *http.Server
	listener net.Listener
	path     string
	lock     *os.File
	log      *slog.Logger
}

// Listen takes the socket. A second daemon on one socket is an error; a socket
// left by one that was killed is taken over. A lock file beside the socket
// tells the two apart, so no daemon can take another's socket away.
func Listen(o Options) (*Server, error) {
	gid, err := groupID(o.Group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o750); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	lock, err := lockFile(o.Path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", o.Path, err)
	}
	_ = os.Remove(o.Path)
	listener, err := listenPrivately(o.Path)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if gid >= 0 {
		err = os.Chown(o.Path, -1, gid)
	}
	if err := errors.Join(err, os.Chmod(o.Path, 0o660)); err != nil {
		listener.Close()
		lock.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := &Server{path: o.Path, lock: lock, log: o.Log}
	s.listener = &guarded{Listener: listener, gid: gid, room: make(chan struct{}, maxCallers), log: o.Log}
	s.http = &http.Server{
		Handler:           routes(o.Switch),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Serve answers calls until Close.
func (s *Server) Serve() {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("control", "error", err)
	}
}

// Close ends every call and gives the socket up.
func (s *Server) Close() error {
	err := s.http.Close()
	s.listener.Close()
	_ = os.Remove(s.path)
	_ = os.Remove(s.path + ".lock")
	return errors.Join(err, s.lock.Close())
}

// routes is the API: a line a call; package api has what they take and answer.
func routes(sw Switch) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", get(sw.Status))
	mux.HandleFunc("GET /v1/ports", get(sw.Ports))
	mux.HandleFunc("GET /v1/fdb", get(sw.FDB))
	mux.HandleFunc("GET /v1/endpoints", get(sw.Endpoints))
	mux.HandleFunc("GET /v1/policy", get(sw.Policy))
	mux.HandleFunc("GET /v1/counters", get(sw.Counters))
	mux.HandleFunc("GET /v1/sessions", func(w http.ResponseWriter, r *http.Request) {
		limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil || limit < 1 || limit > maxSessions {
			limit = maxSessions
		}
		answer(w, func() (any, error) { return sw.Sessions(limit) })
	})
	mux.HandleFunc("POST /v1/trace", post(sw.Trace))
	mux.HandleFunc("POST /v1/endpoint", post(sw.ChangeEndpoint))
	mux.HandleFunc("POST /v1/policy", post(sw.LoadPolicy))
	mux.HandleFunc("POST /v1/reload", get(sw.Reload))
	mux.HandleFunc("POST /v1/capture", capture(sw))
	return mux
}

// maxSessions bounds one answer.
const maxSessions = 10000

// get answers a call without a body.
func get[T any](call func() (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(w, func() (any, error) { return call() })
	}
}

// post answers a call with a body of type B: unknown fields, more than one
// value or too much are refused.
func post[B, T any](call func(*B) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(w, func() (any, error) {
			b, err := body[B](w, r)
			if err != nil {
				return nil, err
			}
			return call(b)
		})
	}
}

func body[B any](w http.ResponseWriter, r *http.Request) (*B, error) {
	b := new(B)
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(b); err != nil {
		return nil, api.Invalid("the request's body: "+err.Error(), "send the one JSON object that the call takes, and only its fields")
	}
	if dec.More() {
		return nil, api.Invalid("the request's body holds more than one value", "send the one JSON object that the call takes, and only its fields")
	}
	return b, nil
}

// answer writes what a call returned.
func answer(w http.ResponseWriter, call func() (any, error)) {
	v, err := call()
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// fail writes an error.
func fail(w http.ResponseWriter, err error) {
	e := api.As(err)
	status := map[api.Code]int{
		api.CodeInvalid: http.StatusBadRequest, api.CodeNotFound: http.StatusNotFound,
		api.CodeConflict: http.StatusConflict, api.CodeBusy: http.StatusTooManyRequests,
	}[e.Code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e)
}

// capture streams frames, flushed as they come.
func capture(sw Switch) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := body[api.CaptureRequest](w, r)
		if err != nil {
			fail(w, err)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		out := &stream{w: w}
		if err := sw.Capture(r.Context(), b, out); err != nil && !out.begun {
			fail(w, err)
		}
	}
}

// stream flushes each write, and remembers whether there was one.
type stream struct {
	w     http.ResponseWriter
	begun bool
}

func (s *stream) Write(b []byte) (int, error) {
	if !s.begun {
		s.w.Header().Set("Content-Type", "application/x-pcapng")
		s.begun = true
	}
	control := http.NewResponseController(s.w)
	_ = control.SetWriteDeadline(time.Now().Add(headerTime))
	n, err := s.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, control.Flush()
}
