// Package examples runs the examples: each is a script that a reader runs by
// hand, and a test that fails if what it shows is not so.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSmokeExamples builds the commands and runs every example with them.
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
			cmd := exec.Command("bash", script)
			cmd.Env = append(os.Environ(), "BIN="+bin)
			// A file, not a pipe: what the script leaves running must not hold it.
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Run(); err != nil {
				out, _ := os.ReadFile(log.Name())
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}
