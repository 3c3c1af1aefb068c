package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bulkhead/vswitch/cli/clitest"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into the scripts")

// TestMain makes policyc a command of the scripts: this very binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"policyc": main})
}

// The command line as people see it: testdata/script has a file a behaviour.
// `go test ./policyc -run Script -rewrite` writes them anew; read the diff.
func TestScript(t *testing.T) {
	clitest.Scripts(t, *rewrite, testscript.Params{
		Cmds:      map[string]clitest.Command{"tmpfs": tmpfs, "examples": examples, "steps": steps},
		Condition: condition,
	})
}

// tmpfs DIR OPTIONS mounts a file system with these options at a directory.
func tmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(syscall.Mount("none", dir, "tmpfs", 0, args[1]))
	ts.Defer(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// examples runs every example of every command's help: each ends with a yes or
// a no, never with an error.
func examples(ts *testscript.TestScript, _ bool, _ []string) {
	for _, e := range clitest.Examples(command()) {
		var exit *exec.ExitError
		err := ts.Exec("sh", "-c", e.Harmless())
		if errors.As(err, &exit) && exit.ExitCode() == exitNo {
			err = nil
		}
		if err != nil {
			ts.Fatalf("%s: %v\n%s", e.Line, err, ts.ReadFile("stderr"))
		}
	}
}

// steps runs what the help says leads from nothing to a signed table, a line a
// step. Each ends with a yes.
func steps(ts *testscript.TestScript, _ bool, _ []string) {
	lines := regexp.MustCompile(`(?m)^  \d\. (policyc .*?)(   .*)?$`).FindAllStringSubmatch(command().Long, -1)
	if len(lines) < 5 {
		ts.Fatalf("the help has %d steps", len(lines))
	}
	for _, line := range lines {
		words := strings.Fields(line[1])
		ts.Check(ts.Exec(words[0], words[1:]...))
	}
}

func TestHelp(t *testing.T) { clitest.Help(t, command) }

func condition(name string) (bool, error) {
	if name == "root" {
		return os.Getuid() == 0, nil
	}
	return false, errors.New("no such condition: " + name)
}
