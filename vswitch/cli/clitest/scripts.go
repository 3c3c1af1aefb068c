package clitest

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Command is what a script can call beside programs.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Scripts runs testdata/script, a file a behaviour, or with rewrite writes what the
// commands print now into it. Scripts can call "ends" and what p has; p need say
// nothing that is the same for all.
func Scripts(t *testing.T, rewrite bool, p testscript.Params) {
	p.Dir, p.UpdateScripts = "testdata/script", rewrite
	p.RequireExplicitExec, p.RequireUniqueNames = true, true
	if _, has := p.Cmds["ends"]; !has {
		p.Cmds["ends"] = Ends
	}
	further := p.Setup
	p.Setup = func(env *testscript.Env) error {
		// Under the race detector a command ends at once: it would wait a second
		// for reports of other threads.
		env.Setenv("GORACE", "atexit_sleep_ms=0")
		if further == nil {
			return nil
		}
		return further(env)
	}
	testscript.Run(t, p)
}

// Ends is "ends N COMMAND...": it runs a command that must end with exit code N.
func Ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ends CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("%v ended with %d, want %d", args[1:], code, want)
	}
}
