package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"bulkhead/vswitch/cli"
)

// A question has three answers: yes is 0, no is 1, and what could not be asked is
// 2; each for people and for programs. These are all commands that answer.
var questions = []struct {
	command string
	yes, no string // the arguments
	faulty  string // about a policy that has mistakes
	refuses int    // how that ends: a no where mistakes are what is asked about
}{
	{"check", "good.toml", "failing.toml", "bad.toml", exitNo},
	{"test", "good.toml", "failing.toml", "bad.toml", exitNo},
	{"lint", "good.toml", "odd.toml", "bad.toml", exitError},
	{"query", "good.toml --from web --to db --port tcp/5432", "good.toml --from db --to web --port tcp/5432", "bad.toml --from web --to db --port tcp/1", exitError},
	{"query", "good.toml --to db", "good.toml --to web", "bad.toml --to db", exitError},
	{"explain", "good.toml --from web --to db --port tcp/5432", "good.toml --from db --to web --port tcp/5432", "bad.toml --from web --to db --port tcp/1", exitError},
	{"diff", "good.toml same.toml", "good.toml odd.toml", "good.toml bad.toml", exitError},
	{"matrix", "good.toml", "", "bad.toml", exitError}, // shows, and judges nothing
	{"stats", "good.toml --max-touches 1000", "good.toml --max-touches 1", "bad.toml", exitError},
	{"replay", "good.toml allowed.json --endpoints ends.json", "good.toml denied.json --endpoints ends.json", "bad.toml allowed.json", exitError},
	{"verify", "signed.bhp --key mine.pub", "signed.bhp --key other.pub", "good.toml --key mine.pub", exitError},
	{"fmt", "same.toml", "--check good.toml", "allowed.json", exitError},
	{"export json", "good.toml", "", "bad.toml", exitError}, // these write, and judge nothing
	{"export dot", "good.toml", "", "bad.toml", exitError},
	{"export svg", "good.toml", "", "bad.toml", exitError},
	{"export html", "good.toml", "", "bad.toml", exitError},
	{"export nftables", "good.toml --endpoints ends.json", "", "bad.toml --endpoints ends.json", exitError},
}

// makers print in several forms, too, but what they make can be made once:
// testdata/script/json.txtar has them.
var makers = map[string]bool{"init": true, "keygen": true}

const world = `
-- good.toml --
version = 1
[services.web]
labels = { tier = "web" }
[services.db]
labels = { tier = "db" }
[[rules]]
name = "web-to-db"
allow = { from = ["web"], to = ["db"], ports = ["tcp/5432"] }
-- same.toml --
version = 1
[services.a]
labels = { tier = "web" }
[services.b]
labels = { tier = "db" }
[[rules]]
name = "a-to-b"
allow = { from = ["a"], to = ["b"], ports = ["tcp/5432"] }
-- odd.toml --
version = 1
[services.web]
labels = { tier = "web" }
[[rules]]
name = "web-to-all"
allow = { from = ["web"], to = ["any"], ports = ["any"] }
[[rules]]
name = "web-to-all-again"
allow = { from = ["web"], to = ["any"], ports = ["any"] }
-- failing.toml --
version = 1
[services.web]
labels = { tier = "web" }
[[tests]]
name = "open to all"
from = "192.0.2.1"
to = "web"
port = "tcp/443"
expect = "allow"
-- bad.toml --
version = 1
[[rules]]
name = "lost"
allow = { from = ["web"], to = ["nobody"], ports = ["tcp/1"] }
-- allowed.json --
{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp", "dport": 5432}
-- denied.json --
{"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp", "dport": 22}
-- ends.json --
[{"name": "w", "ips": ["10.0.0.1"], "labels": {"tier": "web"}}, {"name": "d", "ips": ["10.0.0.2"], "labels": {"tier": "db"}}]
`

// inTheWorld goes to a folder with the files that the questions are about.
func inTheWorld(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, f := range txtar.Parse([]byte(world)).Files {
		if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"keygen mine", "keygen other", "build good.toml -o signed.bhp", "sign signed.bhp --key mine"} {
		if code, _, talk := call(strings.Fields(line)...); code != 0 {
			t.Fatalf("%s: %d, %s", line, code, talk)
		}
	}
}

// call runs a command in this process.
func call(args ...string) (code int, out, talk string) {
	var stdout, stderr bytes.Buffer
	root := command()
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code = exitCode(cli.Run(context.Background(), root, args), &stderr)
	return code, stdout.String(), stderr.String()
}

func TestEveryQuestionIsAnsweredByItsExitCode(t *testing.T) {
	inTheWorld(t)
	for _, q := range questions {
		ask := func(args string) (int, string, string) {
			return call(strings.Fields(q.command + " " + args)...)
		}
		if code, out, talk := ask(q.yes); code != 0 || out == "" || talk != "" {
			t.Errorf("%s %s: %d, %q, %q", q.command, q.yes, code, out, talk)
		}
		if code, out, talk := ask(q.no); q.no != "" && (code != exitNo || out+talk == "") {
			t.Errorf("%s %s: %d, %q, %q; want a no that says why", q.command, q.no, code, out, talk)
		}
		if code, out, talk := ask(q.faulty); code != q.refuses || out != "" || talk == "" {
			t.Errorf("%s %s: %d, %q, %q; want %d", q.command, q.faulty, code, out, talk, q.refuses)
		}
		first, rest, _ := strings.Cut(q.yes, " ")
		for _, wrong := range []string{q.yes + " -o xml", q.yes + " --nonsense", "none-" + first + " " + rest, ""} {
			if code, out, talk := ask(wrong); code != exitError || out != "" || !strings.HasPrefix(talk, "policyc: ") {
				t.Errorf("%s %s: %d, %q, %q; want an error", q.command, wrong, code, out, talk)
			}
		}
	}
}

func TestEveryAnswerIsThereForPrograms(t *testing.T) {
	inTheWorld(t)
	for _, q := range questions {
		for args, want := range map[string]int{q.yes: 0, q.no: exitNo} {
			if args == "" {
				continue
			}
			code, out, talk := call(strings.Fields(q.command + " -o json " + args)...)
			if err := oneObject(out); err != nil || code != want || talk != "" {
				t.Errorf("%s %s: %d, want %d; beside it %q; %v\n%s", q.command, args, code, want, talk, err, out)
			}
		}
	}
}

// oneObject holds a text to be one JSON object, and nothing else.
func oneObject(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something is behind the object")
	}
	return nil
}

// A command that prints in several forms is a question, and in the table.
func TestEveryQuestionIsInTheTable(t *testing.T) {
	known := map[string]bool{}
	for _, q := range questions {
		known[q.command] = true
	}
	n := 0
	for _, cmd := range leaves(command()) {
		name := strings.TrimPrefix(cmd.CommandPath(), "policyc ")
		if f := cmd.Flags().Lookup("output"); f != nil && strings.Contains(f.Usage, "FORMAT") && !makers[name] {
			n++
			if !known[name] {
				t.Errorf("%s is asked by no test", cmd.CommandPath())
			}
		}
	}
	if n != len(known) {
		t.Errorf("%d commands have -o FORMAT, %d are in the table", n, len(known))
	}
}
