package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestNoFlagIsEmpty gives every flag of every command that takes a text an empty
// one: a new flag is refused like the others, or this fails.
func TestNoFlagIsEmpty(t *testing.T) {
	texts := []string{"string", "stringArray", (&target{}).Type()}
	others := []string{"bool", "int", "uint64", "duration"} // which pflag refuses when they are empty
	tried := 0
	var walk func(path []string, cmd *cobra.Command)
	walk = func(path []string, cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			switch kind := f.Value.Type(); {
			case slices.Contains(others, kind):
			case !slices.Contains(texts, kind):
				t.Errorf("%s --%s: is a %q a text?", cmd.CommandPath(), f.Name, kind)
			default:
				tried++
				emptyFlag(t, path, f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(append(slices.Clone(path), sub.Name()), sub)
		}
	}
	walk(nil, command())
	if tried < 20 {
		t.Errorf("only %d flags take a text", tried)
	}
}

// emptyFlag gives a command a flag that is empty.
func emptyFlag(t *testing.T, path []string, flag string) {
	root := command() // a command's flags are parsed once
	cmd, _, err := root.Find(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags([]string{"--" + flag + "="}); err != nil {
		t.Fatalf("%s --%s: %v", cmd.CommandPath(), flag, err)
	}
	err = root.PersistentPreRunE(cmd, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "--"+flag+" is empty; ") {
		t.Errorf("%s --%s: an empty one gives %v", cmd.CommandPath(), flag, err)
	}
}
