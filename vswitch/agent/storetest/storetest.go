// Package storetest runs real stores for tests: an etcd server in the test's own
// process, on the loopback device, and a wire to it that can be cut.
package storetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/vswitch/agent/member"
	"bulkhead/vswitch/agent/store"
)

// Server is a store that runs.
type Server struct {
	t      testing.TB
	cfg    member.Config
	member *member.Member
}

// Start starts a store of one member with its data in a directory of the test's.
func Start(t testing.TB, more ...func(*member.Config)) *Server {
	t.Helper()
	scheme := "http"
	s := &Server{t: t, cfg: member.Config{Name: "m", Dir: t.TempDir()}}
	for _, f := range more {
		f(&s.cfg)
	}
	if s.cfg.Cert != "" {
		scheme = "https"
	}
	s.cfg.Client, s.cfg.Peer = scheme+"://"+freeAddress(t), scheme+"://"+freeAddress(t)
	s.Begin()
	t.Cleanup(s.End)
	return s
}

// freeAddress is a port of the loopback device that nobody listens at now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Begin starts the store, over the data that it had.
func (s *Server) Begin() {
	s.t.Helper()
	m, err := member.Start(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.member = m
}

// End stops it.
func (s *Server) End() {
	if s.member != nil {
		s.member.Stop()
		s.member = nil
	}
}

// URL is where it serves.
func (s *Server) URL() string { return s.cfg.Client }

// Client is a client of it that lives as long as the test.
func (s *Server) Client() *clientv3.Client {
	return Client(s.t, store.Config{Endpoints: []string{s.URL()}})
}

// Client is a client that lives as long as the test.
func Client(t testing.TB, cfg store.Config) *clientv3.Client {
	t.Helper()
	c, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Put writes a key.
func (s *Server) Put(key, value string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := s.Client().Put(ctx, key, value); err != nil {
		s.t.Fatal(err)
	}
}

// Wire is a way to a store that can be cut, and led to another.
type Wire struct {
	listener net.Listener

	mu    sync.Mutex // guards what follows
	to    string     // host:port; empty: cut
	conns map[net.Conn]bool
}

// NewWire makes a wire to a store without TLS.
func NewWire(t testing.TB, s *Server) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{listener: l, conns: map[net.Conn]bool{}}
	w.Join(s)
	go w.serve()
	t.Cleanup(func() { _ = l.Close(); w.Cut() })
	return w
}

// URL is the wire's near end.
func (w *Wire) URL() string { return fmt.Sprintf("http://%s", w.listener.Addr()) }

// Join leads the wire to a store.
func (w *Wire) Join(s *Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = s.URL()[len("http://"):]
}

// Cut ends every connection, and takes no more.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = ""
	for c := range w.conns {
		_ = c.Close()
	}
	clear(w.conns)
}

func (w *Wire) serve() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.carry(near)
	}
}

func (w *Wire) carry(near net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to == "" {
		_ = near.Close()
		return
	}
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		_ = near.Close()
		return
	}
	w.conns[near], w.conns[far] = true, true
	pipe := func(a, b net.Conn) { _, _ = io.Copy(a, b); _ = a.Close(); _ = b.Close() }
	go pipe(near, far)
	go pipe(far, near)
}

// Eventually waits until something holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
