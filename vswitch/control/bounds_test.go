package control

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/vswitch/control/api"
)

// hold opens connections that say nothing.
func hold(t *testing.T, path string, n int) []net.Conn {
	t.Helper()
	var all []net.Conn
	for range n {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		all = append(all, conn)
	}
	return all
}

// Callers past the bound are told so; when the others go there is room again.
func TestTooManyCallers(t *testing.T) {
	path := serve(t, &fake{}, 20*time.Second)
	held := hold(t, path, maxCallers)
	_, resp := ask(t, on(path), "GET", "/v1/status", "")
	if e := problem(t, resp); e.Code != api.CodeBusy {
		t.Errorf("the one too many: %+v", e)
	}
	more := hold(t, path, 2*maxRefused) // silent: the last of them are hung up on
	_ = more[len(more)-1].SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := more[len(more)-1].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("far too many: %d, %v", n, err)
	}
	for _, conn := range append(held, more...) {
		conn.Close()
	}
	eventually(t, "there is room again", func() bool {
		resp, err := on(path).Get("http://x/v1/status")
		return err == nil && resp.StatusCode == http.StatusOK
	})
}

// eventually waits for what the server does when it notices.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// Callers who send a byte now and then are hung up on in time, and all of
// their places are free again.
func TestSlowCallers(t *testing.T) {
	path := serve(t, &fake{}, 300*time.Millisecond)
	for _, text := range []string{"GET /v1/status HTTP/1.1\r\nX: ", "POST /v1/endpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"} {
		var wg sync.WaitGroup
		for _, conn := range hold(t, path, maxCallers) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, err := conn.Write([]byte(text))
				for begun := time.Now(); err == nil; time.Sleep(20 * time.Millisecond) {
					if _, err = conn.Write([]byte("x")); time.Since(begun) > 10*time.Second {
						t.Error("still there")
						return
					}
				}
			}()
		}
		wg.Wait()
		eventually(t, "the places are free", func() bool {
			resp, err := on(path).Get("http://x/v1/status")
			return err == nil && resp.StatusCode == http.StatusOK
		})
	}
}

// A caller who does not take its answer is hung up on: it holds its place for
// no longer than one that does not ask.
func TestAnswerNotTaken(t *testing.T) {
	path := serve(t, &fake{}, 300*time.Millisecond)
	for _, conn := range hold(t, path, maxCallers) {
		// Ten thousand sessions are more than a socket's buffer holds.
		if _, err := conn.Write([]byte("GET /v1/sessions HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the places are free", func() bool {
		resp, err := on(path).Get("http://x/v1/status")
		return err == nil && resp.StatusCode == http.StatusOK
	})
}

// A capture goes on past the time of a call, and ends when the caller goes.
func TestCaptureEndsWithItsCaller(t *testing.T) {
	sw := &fake{blocks: make(chan struct{})}
	path := serve(t, sw, 200*time.Millisecond)
	conn := hold(t, path, 1)[0]
	if _, err := conn.Write([]byte("POST /v1/capture HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.Header.Get("Content-Type") != "application/x-pcapng" {
		t.Fatalf("%v, %v", resp, err)
	}
	select {
	case <-sw.blocks:
		t.Fatal("the capture ended by itself")
	case <-time.After(500 * time.Millisecond):
	}
	conn.Close()
	select {
	case <-sw.blocks:
	case <-time.After(10 * time.Second):
		t.Fatal("the capture goes on without its caller")
	}
}

// Calls of every kind at once, by one client and by many, while the server
// closes under them.
func TestCallsAtOnce(t *testing.T) {
	sw := &fake{}
	path := serve(t, sw, callTime)
	client := NewClient(path)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				var status api.Status
				done := new(api.Done)
				if err := client.Get(context.Background(), "/v1/status", &status); err != nil || status.PID != 7 {
					t.Errorf("%d: %+v, %v", i, status, err)
				}
				if err := client.Post(context.Background(), "/v1/reload", nil, done); err != nil {
					t.Error(err)
				}
				if err := client.Post(context.Background(), "/v1/policy", &api.PolicyLoad{File: "/p"}, done); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if n := sw.changes.Load(); n != 16*20*2 {
		t.Errorf("%d changes", n)
	}
}

// A connection that is closed from several sides gives its place back once.
func TestPlaceIsGivenBackOnce(t *testing.T) {
	room := make(chan struct{}, 2)
	room <- struct{}{}
	room <- struct{}{}
	a, b := net.Pipe()
	defer b.Close()
	c := &counted{Conn: a, place: room}
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() { defer wg.Done(); c.Close() }()
	}
	wg.Wait()
	if len(room) != 1 {
		t.Errorf("%d places are taken, want 1", len(room))
	}
}

// The client says what to do about a daemon that is not there, that refuses,
// and that answers something else.
func TestClientExplains(t *testing.T) {
	var out api.Status
	err := NewClient(t.TempDir()+"/none").Get(context.Background(), "/v1/status", &out)
	if err == nil || !strings.Contains(err.Error(), "vswitchd run -c FILE") {
		t.Errorf("no daemon: %v", err)
	}
	path := t.TempDir() + "/deaf"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			conn.Close()
		}
	}()
	if err := NewClient(path).Get(context.Background(), "/v1/status", &out); err == nil || !strings.Contains(err.Error(), "control_group") {
		t.Errorf("a daemon that hangs up: %v", err)
	}
	sw := &fake{err: api.Conflict("it is there", "take it away")}
	err = NewClient(serve(t, sw, callTime)).Get(context.Background(), "/v1/status", &out)
	if e := api.As(err); e.Code != api.CodeConflict || e.Cure != "take it away" {
		t.Errorf("an error of the switch: %v", err)
	}
}
