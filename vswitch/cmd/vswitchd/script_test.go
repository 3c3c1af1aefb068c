package main

import (
	"flag"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bulkhead/vswitch/cli/clitest"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into the scripts")

// TestMain makes vswitchd a command of the scripts: this very binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vswitchd": main})
}

// The command line as people see it. No privilege is needed: the ports replay
// captures. `go test ./vswitch/cmd/vswitchd -run Script -rewrite` writes the
// scripts anew; read the diff.
func TestScript(t *testing.T) {
	clitest.Scripts(t, *rewrite, testscript.Params{Cmds: map[string]clitest.Command{"ready": ready, "tell": tell, "logged": logged}})
}

func TestHelp(t *testing.T) { clitest.Help(t, command) }

// ready SOCKET waits until a daemon listens.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, "a daemon on "+args[0], func() bool {
		conn, err := net.Dial("unix", ts.MkAbs(args[0]))
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// logged FILE TEXT waits until a file has a text.
func logged(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, args[1]+" in "+args[0], func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(text), args[1])
	})
}

func await(ts *testscript.TestScript, what string, happened func() bool) {
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not come", what)
		}
	}
}

// tell SIGNAL SOCKET signals the daemon whose socket that is: its lock names it.
func tell(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1] + ".lock")))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, signals[args[0]]))
}
