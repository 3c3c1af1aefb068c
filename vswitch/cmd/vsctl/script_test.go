package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bulkhead/vswitch/cli/clitest"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into the scripts")

// TestMain makes vsctl a command of the scripts: this very binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vsctl": steady, "comments": comments})
}

// The command line as operators see it, against a running switch:
// testdata/script has a file a behaviour. `go test ./vswitch/cmd/vsctl -run
// Script -rewrite` writes them anew; read the diff.
func TestScript(t *testing.T) {
	clitest.Scripts(t, *rewrite, testscript.Params{
		Setup: setup,
		Cmds: map[string]clitest.Command{
			"ends": ends, "start": start, "stop": stop, "compiled": compiled, "trusted": trusted, "send": send, "cable": cable, "examples": examples, "capturing": capturing, "report": report,
		},
	})
}

func TestHelp(t *testing.T) { clitest.Help(t, command) }

// steady is main, with what differs from run to run replaced in what it prints.
func steady() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	done := []chan struct{}{filter(&os.Stdout), filter(&os.Stderr)}
	code := run(ctx, os.Args[1:])
	os.Stdout.Close()
	os.Stderr.Close()
	for _, d := range done {
		<-d
	}
	os.Exit(code)
}

// filter puts a filter before a stream; the channel is closed when all that was
// written has gone through.
func filter(stream **os.File) chan struct{} {
	out := *stream
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	*stream = w
	done := make(chan struct{})
	go func() {
		defer close(done)
		text, _ := io.ReadAll(r)
		if !strings.HasPrefix(string(text), "\x0a\x0d\x0d\x0a") { // pcapng is let through
			text = []byte(replaced(string(text)))
		}
		_, _ = out.Write(text)
	}()
	return done
}

var unsteady = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`process( +)\d+, up \S+`), "process${1}PID, up TIME"},
	{regexp.MustCompile(`"pid": \d+`), `"pid": PID`},
	{regexp.MustCompile(`"started": "[^"]+"`), `"started": "TIME"`},
	{regexp.MustCompile(`("expires_after_seconds"|"idle_seconds"): [\d.]+`), `$1: SECONDS`},
	{regexp.MustCompile(`huge pages( +)(true|false|yes|no)`), "huge pages${1}MAYBE"},
	{regexp.MustCompile(`"huge_pages": (true|false)`), `"huge_pages": MAYBE`},
	{regexp.MustCompile(`(?m) \d+s$`), " SECONDS"},
	{regexp.MustCompile(`"allowed": \d+,\n    "denied": \d+`), "\"allowed\": PROBES,\n    \"denied\": PROBES"},
	{regexp.MustCompile(`stands for \S+`), "stands for TIME"},
	{regexp.MustCompile(`"stands_seconds": [\d.e-]+`), `"stands_seconds": SECONDS`},
	// How large tables and artifacts are is for their own tests to say.
	{regexp.MustCompile(`tables: \d+ identities, \d+ x \d+ classes, \d+ port classes, \d+ programs, \d+ bytes, at most \d+ memory`), "tables: SIZES, at most N memory"},
	{regexp.MustCompile(`"tables": \{[^}]*"touches": [1-9]\d*[^}]*\}`), `"tables": SIZES`},
	{regexp.MustCompile(`\d+ bytes of \d+;`), "SOME bytes of ALL;"},
}

func replaced(text string) string {
	text = strings.ReplaceAll(text, os.Getenv("WORK"), "$WORK")
	for _, u := range unsteady {
		text = u.pattern.ReplaceAllString(text, u.by)
	}
	return text
}

// ends N COMMAND... runs a command that must end with exit code N, and print
// nothing that is not text for everybody.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	clitest.Ends(ts, neg, args)
	for _, stream := range []string{"stdout", "stderr"} {
		for _, line := range strings.Split(ts.ReadFile(stream), "\n") {
			if strings.HasSuffix(line, " ") || strings.Contains(line, "\x1b") {
				ts.Fatalf("%s: a line ends in a blank, or paints: %q", stream, line)
			}
		}
	}
}

// examples runs every example of every command's help that is vsctl alone and
// ends by itself: with a yes or a no, never with an error. TestHelp parses all.
func examples(ts *testscript.TestScript, _ bool, _ []string) {
	for _, e := range clitest.Examples(command()) {
		if strings.ContainsAny(e.Line, "|&") || strings.Contains(e.Line, "--watch") || strings.Contains(e.Line, "capture") {
			continue
		}
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
