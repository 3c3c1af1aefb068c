package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/atomicfile"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
)

// files takes the arguments of every command that reads policies.
func files(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("no policy file is named; name one or more, - is standard input")
	}
	return nil
}

func read(args []string) ([]compile.Source, error) {
	var out []compile.Source
	for _, name := range args {
		text, err := readOne(name)
		if err != nil {
			return nil, err
		}
		out = append(out, compile.Source{Name: name, Text: text})
	}
	return out, nil
}

func readOne(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(name)
}

// report prints findings, and turns mistakes into a no.
func report(cmd *cobra.Command, f compile.Findings) error {
	if err := f.Render(cmd.ErrOrStderr()); err != nil {
		return err
	}
	if f.Failed() {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d error(s), %d warning(s)\n", f.Errors(), f.Warnings())
		return answerNo{}
	}
	return nil
}

func buildCommand() *cobra.Command {
	var out string
	var generation uint64
	cmd := &cobra.Command{
		Use:   "build FILE... -o OUT",
		Short: "Compile policies into the table that vswitchd loads",
		Long: `Compiles the files together into one table and runs the tests they carry; a
failing test fails the build. OUT is written whole or not at all. The same
source gives the same bytes on any machine.

Exit codes: 0 built, 1 the policy has mistakes or a test failed, 2 error.`,
		Example: `  policyc build policy.toml -o policy.bhp
  policyc build platform.toml shop.toml -o policy.bhp
  policyc build policy.toml -o policy.bhp --generation 7`,
		Args: files,
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return errors.New("no output is named; use -o OUT")
			}
			sources, err := read(args)
			if err != nil {
				return err
			}
			rs, findings := compile.Compile(sources, compile.Options{Generation: generation})
			if err := report(cmd, findings); err != nil {
				return err
			}
			data, err := policy.Encode(rs)
			if err != nil {
				return err
			}
			if err := atomicfile.Write(out, data, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d rules, %d services and networks, %d bytes\n", out, len(rs.Rules), len(rs.Sets)-1, len(data))
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the table to `OUT`")
	cmd.Flags().Uint64Var(&generation, "generation", 0, "number the table")
	return cmd
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Report every mistake in policies, and run their tests",
		Long: `Reports every mistake at once: where, what, the nearest right name, the cure.
Warnings do not fail the check.

Exit codes: 0 good, 1 mistakes or a test failed, 2 error.`,
		Example: `  policyc check policy.toml
  policyc check platform.toml shop.toml
  cat policy.toml | policyc check -`,
		Args: files,
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, err := read(args)
			if err != nil {
				return err
			}
			p, findings := compile.Check(sources)
			if err := report(cmd, findings); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "good: %d services, %d networks, %d rules, %d tests passed\n", len(p.Services), len(p.Networks), len(p.Rules), len(p.Tests))
			return nil
		},
	}
}

func fmtCommand() *cobra.Command {
	var write, list bool
	cmd := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Write policies in their canonical form",
		Long: `Prints the canonical form. Comments stay, the meaning stays, and formatting twice
changes nothing more.

Exit codes: 0 done, 1 with --check: a file is not in canonical form, 2 error.`,
		Example: `  policyc fmt policy.toml
  policyc fmt -w *.toml
  policyc fmt --check *.toml`,
		Args: files,
		RunE: func(cmd *cobra.Command, args []string) error {
			changed := false
			for _, name := range args {
				one, err := formatOne(cmd.OutOrStdout(), name, write, list)
				if err != nil {
					return err
				}
				changed = changed || one
			}
			if list && changed {
				return answerNo{}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write each file back instead of printing it")
	cmd.Flags().BoolVar(&list, "check", false, "only name the files that would change")
	return cmd
}

// formatOne formats a file, and tells whether that changed it.
func formatOne(out io.Writer, name string, write, list bool) (bool, error) {
	text, err := readOne(name)
	if err != nil {
		return false, err
	}
	formatted, err := format.Source(diag.NewSource(name, text))
	if err != nil {
		return false, err
	}
	changed := !bytes.Equal(text, formatted)
	switch {
	case list:
		if changed {
			fmt.Fprintln(out, name)
		}
	case write && name != "-":
		if changed {
			return changed, atomicfile.Write(name, formatted, 0o644)
		}
	default:
		_, err = out.Write(formatted)
	}
	return changed, err
}

// answer is what query prints as JSON.
type answer struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Port    string `json:"port"`
	Verdict string `json:"verdict"` // allow, deny, part
	Rule    string `json:"rule,omitempty"`
	Place   string `json:"place,omitempty"`
	Nearest string `json:"nearest,omitempty"`
}

func queryCommand() *cobra.Command {
	var from, to, port, output string
	cmd := &cobra.Command{
		Use:   "query FILE... --from WHO --to WHO --port PORT",
		Short: "May this connect to that, and by which rule?",
		Long: `Prints the verdict and the rule that decides; for a denial without a rule, the
nearest rule that would have allowed it. WHO is a service (an endpoint with
exactly the service's labels), an address, or labels as app=shop,tier=db. A
range of ports is allowed only if all of it is.

Exit codes: 0 allowed, 1 denied (also in part), 2 error.`,
		Example: `  policyc query policy.toml --from web --to db --port tcp/5432
  policyc query policy.toml --from 192.0.2.7 --to web --port tcp/443
  policyc query policy.toml --from app=shop,tier=api --to db --port tcp/5432 -o json`,
		Args: files,
		RunE: func(cmd *cobra.Command, args []string) error {
			if from == "" || to == "" || port == "" {
				return errors.New("--from, --to and --port are needed")
			}
			if output != "text" && output != "json" {
				return fmt.Errorf("output %q is not known; text or json", output)
			}
			a, err := query(cmd, args, from, to, port)
			if err != nil {
				return err
			}
			return a.print(cmd.OutOrStdout(), output)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`WHO` connects")
	cmd.Flags().StringVar(&to, "to", "", "to `WHO`")
	cmd.Flags().StringVar(&port, "port", "", "on `PORT`, as tcp/443")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`text` or json")
	return cmd
}

func query(cmd *cobra.Command, args []string, from, to, port string) (*answer, error) {
	sources, err := read(args)
	if err != nil {
		return nil, err
	}
	p, findings := compile.Check(sources)
	if findings.Failed() {
		_ = findings.Render(cmd.ErrOrStderr())
		return nil, errors.New("the policy has mistakes; policyc check lists them")
	}
	source, err1 := compile.SubjectOf(p, from)
	dest, err2 := compile.SubjectOf(p, to)
	ports, err3 := compile.Ports(port)
	if err := errors.Join(wrap("--from", err1), wrap("--to", err2), wrap("--port", err3)); err != nil {
		return nil, err
	}
	got := eval.Ask(p, source, dest, ports)
	out := &answer{From: from, To: to, Port: port, Verdict: "deny", Nearest: got.Near}
	switch {
	case got.Allow:
		out.Verdict = "allow"
	case got.Part:
		out.Verdict = "part"
	}
	if got.By != nil {
		out.Rule = got.By.Name
		out.Place = fmt.Sprintf("%s:%d", got.By.At.File(), got.By.At.Line())
	}
	return out, nil
}

func wrap(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}

func (a *answer) print(w io.Writer, output string) error {
	if output == "json" {
		if err := json.NewEncoder(w).Encode(a); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "%s -> %s %s: %s\n", a.From, a.To, a.Port, a.sentence())
		if a.Verdict != "allow" && a.Nearest != "" {
			fmt.Fprintf(w, "nearest: %s\n", a.Nearest)
		}
	}
	if a.Verdict != "allow" {
		return answerNo{}
	}
	return nil
}

func (a *answer) sentence() string {
	switch {
	case a.Verdict == "allow":
		return fmt.Sprintf("allowed by %s (%s)", a.Rule, a.Place)
	case a.Verdict == "part" && a.Rule == "":
		return "allowed in part; the rest no rule allows"
	case a.Verdict == "part":
		return fmt.Sprintf("allowed in part; the rest is denied by %s (%s)", a.Rule, a.Place)
	case a.Rule == "":
		return "denied: no rule allows it"
	}
	return fmt.Sprintf("denied by %s (%s)", a.Rule, a.Place)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			version := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
			}
			fmt.Fprintln(cmd.OutOrStdout(), "policyc", version)
		},
	}
}
