package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"bulkhead/policyc/classbench"
	"bulkhead/policyc/internal/atomicfile"
	"bulkhead/vswitch/cli"
)

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import", Short: "Write what others' policies say in this language",
		Long: `Reads policies of other systems and writes what they mean in this language, or
says what of it cannot be said.`,
		Example: `  policyc import kubernetes manifests/ -o imported.toml
  policyc import kubernetes - -o - <cluster.yaml
  policyc import classbench acl1_1k -o acl1.toml`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(working(importKubernetesCommand()), working(classbenchCommand()))
	return cmd
}

// classbenchImport is how a rule set is imported.
type classbenchImport struct {
	out     target
	verdict string
}

// importedRules is what it prints as JSON.
type importedRules struct {
	File    string `json:"file"`
	Lines   int    `json:"lines"` // rules that were read
	Verdict string `json:"verdict"`
}

func classbenchCommand() *cobra.Command {
	c := &classbenchImport{}
	cmd := &cobra.Command{
		Use:   "classbench FILE -o OUT",
		Short: "5-tuple rules, the first that matches decides",
		Long: `Reads a rule set in the form of ClassBench, packed with zstd if it is called .zst;
- is standard input. Each prefix becomes a network, each line a rule whose
priority is the line's number, so that the first that matches decides. The files
have no verdicts: --verdict gives them.

A rule can name ports of protocols that have none, as rules for every protocol do.
A packet of these is taken for one whose ports are 0: if both ranges hold that the
rule is for all of the protocol, else for nothing of it. A rule that no packet can
match is a comment at the end.

Exit codes: 0 written, 2 error.`,
		Example: `  policyc import classbench acl1_1k -o acl1.toml
  policyc import classbench acl1_1k -o acl1.toml --verdict alternate
  policyc import classbench fw1_1k -o fw1.toml -o json`,
		Args: cli.OneArg("file"), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.out.good(args); err != nil {
				return err
			}
			return c.run(cmd, args[0])
		},
	}
	f := cmd.Flags()
	c.out.flag(cmd, "write the policy to `OUT`, - is standard output")
	f.StringVar(&c.verdict, "verdict", "allow", "what the rules say: `VERDICT` is allow, deny or alternate")
	_ = cmd.RegisterFlagCompletionFunc("verdict", cobra.FixedCompletions([]string{"allow", "deny", "alternate"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (c *classbenchImport) run(cmd *cobra.Command, name string) error {
	verdict := classbench.Verdicts(c.verdict)
	if verdict != classbench.Allow && verdict != classbench.Deny && verdict != classbench.Alternate {
		return fmt.Errorf("--verdict %q is not known; allow, deny or alternate", c.verdict)
	}
	rules, err := readRuleSet(name)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := classbench.Write(&text, rules, verdict); err != nil {
		return err
	}
	if c.out.file == "-" {
		_, err = cmd.OutOrStdout().Write(text.Bytes())
	} else {
		err = atomicfile.Write(c.out.file, text.Bytes(), 0o644)
	}
	if err != nil {
		return err
	}
	return done(c.out.talk(cmd), c.out.format, fmt.Sprintf("%s: %s", c.out.file, count(len(rules), "line")), importedRules{c.out.file, len(rules), c.verdict})
}

func readRuleSet(name string) ([]classbench.Rule, error) {
	if name == "-" {
		return classbench.Read(os.Stdin, stdin)
	}
	return classbench.ReadFile(name)
}
