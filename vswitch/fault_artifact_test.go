package vswitch_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/control/api"
)

// F08, a policy file that is damaged: each bit flipped, cut at each length, made
// longer, and with sizes of its own that are not true. Every one is refused, and none
// takes more memory than its own length and 64 KiB: what a file says of itself is
// not believed before it is checked. The test is alone in its process meanwhile: it
// is not parallel.
func TestFaultArtifact(t *testing.T) {
	whole := []byte(buildPolicy(t, scenePolicy))
	if _, err := policy.Decode(whole); err != nil {
		t.Fatalf("the file is refused before it is damaged: %v", err)
	}
	d := &damaged{t: t}
	for bit := 0; bit < len(whole)*8; bit += times(1, 7) { // every day each seventh: all places in a byte
		b := append([]byte(nil), whole...)
		b[bit/8] ^= 1 << (bit % 8)
		d.refused(fmt.Sprint("bit ", bit), b)
	}
	for n := range whole {
		d.refused(fmt.Sprint("cut to ", n), whole[:n:n])
	}
	for n := 1; n <= 4096; n *= 2 {
		d.refused(fmt.Sprint("longer by ", n), append(append([]byte(nil), whole...), make([]byte, n)...))
	}
	for at := 0; at+8 <= min(len(whole), 4096); at++ { // each place that may be a length
		b := append([]byte(nil), whole...)
		binary.LittleEndian.PutUint64(b[at:], 1<<63)
		d.refused(fmt.Sprint("2^63 at ", at), b)
	}
	faultRow{
		id: "F08", what: "a policy file is damaged, in process", events: d.files, sent: d.files, leaked: d.taken,
		figures: fmt.Sprintf("of %d bytes; %d bytes allocated at the most, slowest answer %v", len(whole), d.most, d.slowest.Round(time.Microsecond)),
	}.report(t, 0)
}

// damaged is what came of the files.
type damaged struct {
	t            *testing.T
	files, taken int
	most         uint64
	slowest      time.Duration
}

func (d *damaged) refused(what string, data []byte) {
	d.t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	_, err := policy.Decode(data)
	d.slowest = max(d.slowest, time.Since(begun))
	runtime.ReadMemStats(&after)
	d.files++
	d.most = max(d.most, after.TotalAlloc-before.TotalAlloc)
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(len(data))+64<<10 {
		d.t.Errorf("%s: %d bytes of memory for %d", what, n, len(data))
	}
	if err == nil {
		d.taken++
		d.t.Errorf("%s: taken", what)
		return
	}
	for _, kind := range []error{policy.ErrForeign, policy.ErrVersion, policy.ErrTruncated, policy.ErrCorrupt} {
		if errors.Is(err, kind) {
			return
		}
	}
	d.t.Errorf("%s: refused without a kind: %v", what, err)
}

// A sample of these by vsctl, against a daemon that carries: it says why and ends
// with 1, the policy before stays in force, and who is allowed loses nothing.
func TestFaultArtifactIsLoaded(t *testing.T) {
	root(t)
	s := stage(t, "tap", "")
	tool, socket := s.vsctl(), filepath.Join(filepath.Dir(s.config), "s.sock")
	whole, err := os.ReadFile(filepath.Join(filepath.Dir(s.config), "policy.bhp"))
	if err != nil {
		t.Fatal(err)
	}
	good := s.steady(bob, alice, 5100, "good", time.Millisecond)
	before, hash := s.status(), s.hash()
	n, taken := times(1000, 24), 0
	for i := range n {
		b := append([]byte(nil), whole...)
		if at := len(b) * i / n; i%2 == 0 {
			b[at] ^= 1 << (i % 8)
		} else {
			b = b[:at]
		}
		file := filepath.Join(t.TempDir(), "damaged.bhp")
		write(t, file, string(b))
		out, err := exec.Command(tool, "--socket", socket, "policy", "load", file).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "damaged.bhp") {
			taken++
			t.Errorf("damage %d: %v: %s", i, err, out)
		}
	}
	sent, lost := good.ends()
	faultRow{id: "F08", what: "a damaged policy file is loaded by vsctl", events: n, sent: sent, lost: lost, leaked: taken}.report(t, 0)
	if after := s.status(); after.Generation != before.Generation || after.Policy != "loaded" || after.PolicyError == "" || s.hash() != hash {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if out, err := exec.Command(tool, "--socket", socket, "policy", "load", filepath.Join(filepath.Dir(s.config), "policy.bhp")).CombinedOutput(); err != nil {
		t.Errorf("the file that is whole: %v: %s", err, out)
	}
}

// hash is the source's of the policy in force.
func (s *scene) hash() string {
	s.t.Helper()
	var p api.Policy
	if err := s.client.Get(context.Background(), "/v1/policy", &p); err != nil {
		s.t.Fatal(err)
	}
	return p.SourceHash
}

// vsctl builds the tool.
func (s *scene) vsctl() string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "vsctl")
	cmd := exec.Command("go", "build", "-o", file, "./cmd/vsctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("build: %v: %s", err, out)
	}
	return file
}
