package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
)

// ofAll are the commands that every program of ours has.
var ofAll = map[string]bool{"help": true, "version": true, "completion": true}

// The manual has every command, with each of its flags and what it may end with,
// and none that is not there.
func TestTheManualHasEveryCommand(t *testing.T) {
	sections := commandSections(t)
	n := 0
	for _, cmd := range leaves(command()) {
		if ofAll[cmd.Name()] {
			continue
		}
		n++
		section, found := sections[cmd.CommandPath()]
		if !found {
			t.Errorf("%s is not in the manual", cmd.CommandPath())
			continue
		}
		agree(t, cmd, section)
	}
	if n != len(sections) {
		t.Errorf("%d commands, %d in the manual", n, len(sections))
	}
}

// leaves are the commands of a tree that do something.
func leaves(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range cmd.Commands() {
		out = append(out, leaves(sub)...)
	}
	if cmd.Runnable() {
		out = append(out, cmd)
	}
	return out
}

// commandSections are what the manual says of each command, on one line.
func commandSections(t *testing.T) map[string]string {
	t.Helper()
	_, text, _ := strings.Cut(manual(t), "\n## Commands\n")
	text, _, found := strings.Cut(text, "\n### What is printed as JSON")
	if !found {
		t.Fatal("the manual has no commands")
	}
	out := map[string]string{}
	for _, part := range strings.Split(text, "\n**`")[1:] {
		part, _, _ = strings.Cut(part, "\n### ")
		name := regexp.MustCompile(`^policyc( [a-z]+)+`).FindString(part)
		out[name] = strings.Join(strings.Fields(part), " ")
	}
	return out
}

// agree holds what the manual says of a command to what the command says.
func agree(t *testing.T, cmd *cobra.Command, section string) {
	t.Helper()
	_, codes, found := strings.Cut(strings.Join(strings.Fields(cmd.Long), " "), "Exit codes: ")
	if !found {
		t.Errorf("%s: its help has no exit codes", cmd.CommandPath())
	}
	if !strings.Contains(section, "Exit codes: "+codes) {
		t.Errorf("%s: the manual has not its exit codes: %s", cmd.CommandPath(), codes)
	}
	flags := map[string]bool{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if flags[f.Name] = true; f.Name != "help" && !regexp.MustCompile(`--`+f.Name+`\b`).MatchString(section) {
			t.Errorf("%s: the manual has not --%s", cmd.CommandPath(), f.Name)
		}
	})
	for _, m := range regexp.MustCompile("`--([a-z-]+)").FindAllStringSubmatch(section, -1) {
		if !flags[m[1]] {
			t.Errorf("%s: the manual has --%s, which the command has not", cmd.CommandPath(), m[1])
		}
	}
}

// The manual has every key of what commands that make something print as JSON.
func TestTheManualHasTheKeysOfAnswers(t *testing.T) {
	_, section, found := strings.Cut(manual(t), "\n### What is printed as JSON\n")
	section, _, ends := strings.Cut(section, "\n**`policyc completion")
	if !found || !ends {
		t.Fatal("the manual does not say what is printed as JSON")
	}
	for _, answer := range []any{begun{}, formatted{}, built{}, pair{}, signed{}, importedCluster{}, importedRules{}, mapJSON{}, mapEnd{}, mapLine{}, nftables{}, findingJSON{}, spotJSON{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(answer)) {
			key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if key != "" && !strings.Contains(section, "`"+key+"`") {
				t.Errorf("%T: the manual has not %q", answer, key)
			}
		}
	}
}

// A script has the help of every command, so that nobody changes it unseen.
func TestEveryHelpIsInAScript(t *testing.T) {
	shown := scripts(t)
	for _, cmd := range append(leaves(command()), command()) {
		first, _, _ := strings.Cut(cmd.Long, "\n")
		if !strings.Contains(shown, " --\n"+first+"\n") {
			t.Errorf("no script has the help of %s", cmd.CommandPath())
		}
	}
}

// What lint can find is in the manual and in the help.
func TestTheManualHasEveryKindOfFinding(t *testing.T) {
	section, help := commandSections(t)["policyc lint"], lintCommand().Long
	for _, kind := range analyze.Kinds {
		if !strings.Contains(section, "| `"+string(kind)+"` |") || !strings.Contains(help, "\n  "+string(kind)+" ") {
			t.Errorf("%s is not in the manual, or not in the help", kind)
		}
	}
	if n := len(regexp.MustCompile("\\| `[a-z][a-z-]*` \\|").FindAllString(section, -1)); n != len(analyze.Kinds) {
		t.Errorf("the manual has %d kinds, lint %d", n, len(analyze.Kinds))
	}
}

// The grammar of the manual has every word that ports can be.
func TestTheManualHasEveryProtocol(t *testing.T) {
	grammar := regexp.MustCompile("(?s)```ebnf\n(.*?)```").FindStringSubmatch(manual(t))
	if grammar == nil {
		t.Fatal("the manual has no grammar")
	}
	for _, word := range check.PortNames() {
		if word = strings.TrimPrefix(word, "icmp/"); !regexp.MustCompile(`"` + word + `[/"]`).MatchString(grammar[1]) {
			t.Errorf("the grammar has not %q", word)
		}
	}
}

// The worked examples are what they say: each file that the manual shows is
// written, and each command of a session prints what stands below it.
func TestTheManualsSessions(t *testing.T) {
	_, text, found := strings.Cut(manual(t), "\n## Worked examples\n")
	text, _, ends := strings.Cut(text, "\n## ")
	examples, err := filepath.Abs("../examples")
	if err != nil || !found || !ends {
		t.Fatalf("the manual has no worked examples: %v", err)
	}
	t.Chdir(t.TempDir())
	if err := os.Symlink(examples, "examples"); err != nil {
		t.Fatal(err)
	}
	for _, f := range regexp.MustCompile("(?s)`([a-z]+\\.[a-z]+)`:\n\n```[a-z]+\n(.*?)```").FindAllStringSubmatch(text, -1) {
		if err := os.WriteFile(f[1], []byte(f[2]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for _, step := range strings.Split(block[1], "$ ")[1:] {
			n++
			session(t, step)
		}
	}
	if n < 15 {
		t.Errorf("only %d commands", n)
	}
}

// session runs a command and compares what it prints with what stands below it.
// A key is another each time.
func session(t *testing.T, step string) {
	t.Helper()
	line, want, _ := strings.Cut(step, "\n")
	line, end, _ := strings.Cut(line, "   # exit code ")
	wanted, _ := strconv.Atoi(end)
	code, got := 0, ""
	if words := strings.Fields(line); words[0] == "policyc" {
		var out, talk string
		code, out, talk = call(words[1:]...)
		got = out + talk
	} else {
		out, err := exec.Command("sh", "-c", line).CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		got = string(out)
	}
	keys := regexp.MustCompile(`[0-9a-f]{16}|[A-Za-z0-9+/]{43}=`)
	if code != wanted || keys.ReplaceAllString(got, "KEY") != keys.ReplaceAllString(want, "KEY") {
		t.Errorf("$ %s: exit code %d, want %d\n%s\nthe manual says\n%s", line, code, wanted, got, want)
	}
}
