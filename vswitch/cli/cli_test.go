package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// tree is a command as ours are: commands, a command with commands, flags.
func tree(ran *string) *cobra.Command {
	var socket string
	root := &cobra.Command{Use: "tool", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().StringVar(&socket, "socket", "", "")
	leaf := func(use string, args cobra.PositionalArgs) *cobra.Command {
		return &cobra.Command{Use: use, Args: args, RunE: func(cmd *cobra.Command, _ []string) error { *ran = cmd.Name(); return nil }}
	}
	status := leaf("status", NoArgs)
	status.Flags().Duration("watch", 0, "")
	trace := leaf("trace", NoArgs)
	trace.Flags().String("port", "", "")
	trace.Flags().Bool("tcp", false, "")
	trace.Flags().Bool("udp", false, "")
	_ = trace.MarkFlagRequired("port")
	trace.MarkFlagsMutuallyExclusive("tcp", "udp")
	root.AddCommand(trace)
	group := &cobra.Command{Use: "endpoint"}
	group.AddCommand(leaf("move NAME", OneArg("name")), leaf("add NAME", OneArg("name")))
	root.AddCommand(status, group, &cobra.Command{Use: "colours", Long: "red, green"})
	Finish(root)
	return root
}

func TestWhatTheCallerMeant(t *testing.T) {
	for call, want := range map[string]string{
		"sttus":                      `there is no command "sttus"; did you mean "status"?`,
		"--socket x sttus":           `there is no command "sttus"; did you mean "status"?`,
		"frobnicate":                 `there is no command "frobnicate"; it has colours, completion, endpoint, help, status, trace, version`,
		"endpoint mvoe":              `endpoint has no command "mvoe"; did you mean "move"?`,
		"status --wacth 1s":          `unknown flag: --wacth; did you mean --watch?`,
		"status --frobnicate":        `unknown flag: --frobnicate; tool status --help lists them`,
		"--frobnicate status":        `unknown flag: --frobnicate; tool --help lists them`,
		"trace":                      `trace needs --port; tool trace --help explains`,
		"trace --port a --udp --tcp": `--tcp and --udp exclude each other`,
		"status now":                 `status takes no arguments, only flags; "now" is one too many`,
		"endpoint move":              `endpoint move needs a name: tool endpoint move NAME`,
		"endpoint move a b":          `endpoint move takes one name; "b" is one too many`,
		"colours red":                `colours is a topic of the help and no command: tool help colours`,
		"help colours red":           `colours has no command "red"`,
		"help colour":                `there is no command "colour"; did you mean "colours"?`,
		"help sttus":                 `there is no command "sttus"; did you mean "status"?`,
		"help endpoint mvoe":         `endpoint has no command "mvoe"; did you mean "move"?`,
		"completion fihs":            `shell "fihs" is not known; did you mean "fish"?`,
		"completion":                 `completion needs a shell: tool completion bash|zsh|fish`,
		"completion tcsh-and-others": `the shells are bash, zsh, fish`,
	} {
		var ran string
		err := Run(context.Background(), tree(&ran), strings.Fields(call))
		var usage Usage
		if err == nil || !errors.As(err, &usage) || err.Error() != want {
			t.Errorf("%s: %v, want a usage error: %s", call, err, want)
		}
		if ran != "" {
			t.Errorf("%s: ran %s all the same", call, ran)
		}
	}
}

func TestWhatRuns(t *testing.T) {
	for call, want := range map[string]string{
		"status": "status", "--socket x status --watch 1s": "status", "endpoint move db": "move",
		"": "", "endpoint": "", "--help": "", "help": "", "help endpoint move": "", "help help": "", "help colours": "", "colours": "", "colours --help": "",
		"completion bash": "", "completion zsh": "", "completion fish": "", "version": "", "__complete stat": "",
	} {
		var ran string
		var out bytes.Buffer
		root := tree(&ran)
		root.SetOut(&out)
		if err := Run(context.Background(), root, strings.Fields(call)); err != nil || ran != want {
			t.Errorf("%q ran %q: %v; want %q", call, ran, err, want)
		}
		if want == "" && out.Len() == 0 {
			t.Errorf("%q printed nothing", call)
		}
	}
}
