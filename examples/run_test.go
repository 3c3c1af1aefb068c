// Package examples runs the examples: each is a script that a reader runs by
// hand, and a test that fails if what it shows is not so.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSmokeExamples builds the commands and runs every example with them: one
// that runs a switch once to be killed while it does, so that nothing can be
// tidied up; and each to the end, over what that has left.
func TestSmokeExamples(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: the examples make network namespaces")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "./policyc", "./vswitch/cmd/...")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	scripts, err := filepath.Glob("*/run.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no examples found: %v", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Dir(script), func(t *testing.T) {
			if strings.Contains(text(script), "vswitchd") {
				kill(t, script, bin)
			}
			whole, log := example(t, script, bin)
			if err := whole.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, text(log))
			}
			for _, dirs := range []string{"/tmp/bulkhead-demo.*", "/tmp/bulkhead-hosts.*", "/tmp/bulkhead-edge.*", "/tmp/bulkhead-cluster.*", "/tmp/bulkhead-evpn.*", "/tmp/bulkhead-import.*", "/tmp/bulkhead-teams.*"} {
				if left, _ := filepath.Glob(dirs); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
			}
		})
	}
}

// kill runs a script and kills it when its switch runs.
func kill(t *testing.T, script, bin string) {
	t.Helper()
	killed, log := example(t, script, bin)
	running := func() bool { return strings.Contains(text(log), "3. ") }
	for i := 0; i < 300 && !running(); i++ {
		time.Sleep(100 * time.Millisecond)
	}
	_ = killed.Process.Kill()
	if err := killed.Wait(); err == nil || !running() {
		t.Fatalf("it was not killed while its switch ran: %v\n%s", err, text(log))
	}
}

// example starts a script and returns it with the name of its log: a file, not
// a pipe, because what a script leaves running must not hold it.
func example(t *testing.T, script, bin string) (*exec.Cmd, string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("bash", script)
	cmd.Env = append(os.Environ(), "BIN="+bin)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, log.Name()
}

func text(file string) string {
	b, _ := os.ReadFile(file)
	return string(b)
}
