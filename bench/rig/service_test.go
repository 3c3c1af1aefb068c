package rig

import (
	"io"
	"strings"
	"testing"
	"time"
)

func prints(word string) func(string) bool {
	return func(said string) bool { return strings.Contains(said, word) }
}

// A service runs in the middle namespace, is waited for, and is stopped in its
// own way.
func TestServiceIsStoppedAsItWants(t *testing.T) {
	r := newRig(t)
	out, err := r.Output(nil, "ip", "netns", "identify")
	if err != nil || strings.TrimSpace(out) != r.Middle {
		t.Errorf("commands run in %q, %v", out, err)
	}
	asked := false
	if err := r.Service(Service{
		Command: []string{"sh", "-c", "echo $WORD; read line; test \"$line\" = end"}, Env: []string{"WORD=ready"}, Ready: prints("ready"),
		Stop: func(stdin io.Writer) error { asked = true; _, err := io.WriteString(stdin, "end\n"); return err },
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil || !asked {
		t.Errorf("%v, asked %v", err, asked)
	}
}

// One that ends before it is ready, or later by itself, is told with what it
// said; one that does not stop is killed.
func TestServiceThatMisbehaves(t *testing.T) {
	r := newRig(t)
	err := r.Service(Service{Command: []string{"sh", "-c", "echo no such device; exit 3"}, Ready: prints("ready")})
	if err == nil || !strings.Contains(err.Error(), "ended before it was ready: exit status 3: no such device") {
		t.Errorf("%v", err)
	}
	if err := r.Service(Service{Command: []string{"bash", "-c", "echo ready; sleep 0.2; exit 4"}, Ready: prints("ready")}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "ended by itself, under measurement: exit status 4") || strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
	defer func(d time.Duration) { stopWithin = d }(stopWithin)
	stopWithin = 100 * time.Millisecond
	r = newRig(t)
	if err := r.Service(Service{Command: []string{"sh", "-c", "trap '' INT; echo ready; while :; do read x || sleep 1; done"}, Ready: prints("ready")}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "and was killed") {
		t.Errorf("%v", err)
	}
}
