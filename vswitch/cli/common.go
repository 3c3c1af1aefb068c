package cli

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli/nearest"
)

// helpCommand is cobra's, but for a topic that is not there: that is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	name := root.Name()
	long := "Prints what a command does, its flags, exit codes and examples."
	if slices.ContainsFunc(root.Commands(), (*cobra.Command).IsAdditionalHelpTopicCommand) {
		long += " Of a topic it\nprints the text."
	}
	return &cobra.Command{
		Use: "help [COMMAND]...", Short: "Explain a command",
		Long:    long,
		Example: fmt.Sprintf("  %s help\n  %s help completion\n  %s help help", name, name, name),
		Args: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err == nil && len(rest) > 0 {
				err = unknown(cmd, rest[0])
			}
			return err
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			return commandsOf(root, args, begun), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, _, err := root.Find(args)
			if err != nil {
				return err
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// commandsOf completes the path of a command.
func commandsOf(root *cobra.Command, path []string, begun string) []string {
	cmd, rest, err := root.Find(path)
	if err != nil || len(rest) > 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if explained(sub) && strings.HasPrefix(sub.Name(), begun) {
			names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
		}
	}
	return names
}

// explained tells whether help has something to say of a command to those who do
// not know it: it runs, or it is a topic, which is there for its help alone.
func explained(cmd *cobra.Command) bool {
	return cmd.IsAvailableCommand() || cmd.IsAdditionalHelpTopicCommand()
}

func versionCommand(root *cobra.Command) *cobra.Command {
	name := root.Name()
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		Long:    "Prints the version of the module, and the commit where the build knows it.",
		Example: fmt.Sprintf("  %s version\n  %s version > version.txt\n  %s version | cut -d' ' -f2", name, name, name),
		Args:    NoArgs,
		Run:     func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), name, Version()) },
	}
}

// Version is what the build knows of itself.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return info.Main.Version + " " + s.Value
		}
	}
	return info.Main.Version
}

// shells are those that cobra writes completion for.
var shells = []string{"bash", "zsh", "fish"}

func completionCommand(root *cobra.Command) *cobra.Command {
	name := root.Name()
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "Print what makes a shell complete this command",
		Long: "Prints a script for the shell to read. Start the shell anew, or source the script.",
		Example: fmt.Sprintf(`  %s completion bash > /etc/bash_completion.d/%s
  %s completion zsh > "${fpath[1]}/_%s"
  %s completion fish > ~/.config/fish/completions/%s.fish`, name, name, name, name, name, name),
		Args: func(cmd *cobra.Command, args []string) error {
			if err := OneArg("shell")(cmd, args); err != nil {
				return err
			}
			return shell(args[0])
		},
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch out := cmd.OutOrStdout(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			default:
				return root.GenFishCompletion(out, true)
			}
		},
	}
}

// shell refuses a shell that there is no script for.
func shell(word string) error {
	for _, s := range shells {
		if s == word {
			return nil
		}
	}
	if meant := nearest.Name(word, shells); meant != "" {
		return fmt.Errorf("shell %q is not known; did you mean %q?", word, meant)
	}
	return errors.New("the shells are " + strings.Join(shells, ", "))
}
