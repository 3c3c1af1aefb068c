package oracle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/worlds"
)

// The command, as people call it, on files that include each other and a list of
// endpoints, writes the ruleset that the kernel was asked by, and the kernel
// means by it what eval does.
func TestTheCommandExportsWhatTheKernelIsAskedBy(t *testing.T) {
	needRoot(t)
	command := filepath.Join(t.TempDir(), "policyc")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", command, "bulkhead/policyc").CombinedOutput(); err != nil {
		t.Fatalf("build policyc: %v\n%s", err, out)
	}
	included := 0
	for _, seed := range seeds(t, 12) {
		x := newTrial(t, seed, worlds.Small, 20, 600)
		x.hold(t, func(x *trial) string {
			want, y, err := x.exported()
			if err != nil {
				return err.Error()
			}
			args, err := y.written(t.TempDir())
			if err != nil {
				return err.Error()
			}
			if len(worlds.Files(y.statements)) > 1 {
				included++
			}
			text, err := exec.Command(command, args...).CombinedOutput()
			if err != nil || string(text) != want {
				return fmt.Sprintf("policyc %v (%v) writes\n%s\nnot\n%s", args, err, text, want)
			}
			return y.loaded(t, string(text))
		})
	}
	t.Logf("%d worlds of several files", included)
}

// written writes a trial's policy and endpoints into a folder, and is the
// arguments with which policyc exports them. The files of scopes are included by
// the first one.
func (x *trial) written(dir string) ([]string, error) {
	main, list := filepath.Join(dir, "main.toml"), filepath.Join(dir, "endpoints.toml")
	files := worlds.Files(x.statements)
	if len(files) > 1 {
		files[0] = strings.Replace(files[0], "version = 1\n", "version = 1\ninclude = [\"team-?.toml\"]\n", 1)
	}
	texts := map[string]string{list: endpointList(x.endpoints()), main: files[0]}
	for i, text := range files[1:] {
		texts[filepath.Join(dir, fmt.Sprintf("team-%d.toml", i))] = text
	}
	for name, text := range texts {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return []string{"export", "nftables", main, "--endpoints", list, "--at", time.Unix(x.now, 0).UTC().Format(time.RFC3339)}, nil
}

// endpointList is the list of endpoints as people write it: a host says so.
func endpointList(known []analyze.Endpoint) string {
	var b strings.Builder
	for _, e := range known {
		var labels []string
		host := false
		for key, value := range e.Labels {
			if host = host || key == policy.HostLabel; key != policy.HostLabel {
				labels = append(labels, fmt.Sprintf("%q = %q", key, value))
			}
		}
		fmt.Fprintf(&b, "[[endpoints]]\nname = \"e%s\"\nlabels = { %s }\nips = [%q]\nhost = %v\n", e.Name, strings.Join(labels, ", "), e.IPs[0], host)
	}
	return b.String()
}
