// Package control is the daemon's control API: HTTP with JSON on a unix
// socket, and the client that vsctl uses.
//
// Who may call it is decided by the kernel's word on who is at the other end
// (SO_PEERCRED, SO_PEERGROUPS), before a byte is read: root, the daemon's own
// user, and processes in one group, which the socket's mode (0660) lets in as
// well. Requests are bounded in size, number and time, so a caller that is slow
// or silent costs nobody anything. There is no TCP.
//
// What can be called is one table, in routes.go; api/openapi.json is made of
// it and of package api, and a test holds it to both.
package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"bulkhead/vswitch/control/api"
)

// Bounds of the API.
const (
	maxBody      = 1 << 20
	maxHeader    = 16 << 10
	maxCallers   = 64
	maxRefused   = 64 // callers beyond these who are told so at once
	callTime     = 5 * time.Second
	idleTime     = 30 * time.Second
	maxSessions  = 10000 // in one answer
	maxCaptureBy = 365 * 24 * 3600
)

// Switch is what the API controls. Errors are an *api.Error where the caller
// can mend them.
type Switch interface {
	Status() (*api.Status, error)
	Workers() ([]api.Worker, error)
	Ports() ([]api.Port, error)
	FDB() ([]api.FDBEntry, error)
	Groups() ([]api.Group, error)
	Mirrors() ([]api.Mirror, error)
	Sessions(limit int) (*api.Sessions, error)
	Endpoints() ([]api.Endpoint, error)
	Policy() (*api.Policy, error)
	Counters() (*api.Counters, error)
	Trace(*api.TraceRequest) (*api.Trace, error)
	ChangeEndpoint(*api.EndpointChange) (*api.Done, error)
	State() (*api.State, error)
	ChangeState(*api.StateChange) (*api.Done, error)
	Report(*api.SourceReport) (*api.SourceOrders, error)
	AcceptDeletions(*api.SourceAccept) (*api.Done, error)
	LoadPolicy(*api.PolicyLoad) (*api.Done, error)
	Shadow() (*api.Shadow, error)
	ShadowPolicy(*api.PolicyLoad) (*api.Shadow, error)
	CommitShadow() (*api.Done, error)
	AbortShadow() (*api.Done, error)
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
	lock     *os.File
	log      *slog.Logger
}

// Listen takes the socket. A second daemon on one socket is an error; a socket
// left by one that was killed is taken over.
func Listen(o Options) (*Server, error) {
	return listen(o, callTime)
}

// listen is Listen with the time that a call may take to come and its answer
// to go, for the tests.
func listen(o Options, limit time.Duration) (*Server, error) {
	gid, err := groupID(o.Group)
	if err != nil {
		return nil, err
	}
	listener, lock, err := takeSocket(o.Path, gid)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, log: o.Log}
	s.listener = &guarded{
		Listener: listener, gid: gid, log: o.Log,
		room: make(chan struct{}, maxCallers), over: make(chan struct{}, maxRefused),
	}
	s.http = &http.Server{
		Handler:           &handler{calls: calls(o.Switch), limit: limit, log: o.Log},
		ReadHeaderTimeout: limit,
		ReadTimeout:       limit,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		ConnContext:       markRefused,
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
	if closed := s.listener.Close(); !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return errors.Join(err, dropLock(s.lock))
}

// refusedKey marks the context of a connection that there was no room for.
type refusedKey struct{}

func markRefused(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*counted); ok && c.over {
		return context.WithValue(ctx, refusedKey{}, true)
	}
	return ctx
}
