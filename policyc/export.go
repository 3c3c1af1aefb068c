package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/endpoints"
)

func exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a policy for other programs",
		Long:  `Writes what a policy means for other programs, to standard output.`,
		Example: `  policyc export json policy.toml
  policyc export svg policy.toml > /tmp/policy.svg
  policyc export nftables policy.toml --endpoints endpoints.toml`,
	}
	for _, sub := range []*cobra.Command{exportJSON(), exportDot(), exportSVG(), exportHTML(), exportNftables()} {
		cmd.AddCommand(working(sub))
	}
	return cmd
}

func exportJSON() *cobra.Command {
	out := &answerForm{}
	cmd := &cobra.Command{
		Use:   "json FILE...",
		Short: "The checked policy: sets resolved, rules in the order of decision",
		Long: `Writes the policy as the switch gets it: the services and networks that rules
name, with their selectors and prefixes, and the rules in the order in which they
are asked; the first that matches decides.

Exit codes: 0 written, 2 error.`,
		Example: `  policyc export json policy.toml
  policyc export json platform.toml shop.toml
  cat policy.toml | policyc export json - -o json`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			p, err := policyOf(cmd, args)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), rulesetJSON(compile.Lower(p, compile.Options{})))
		},
	}
	out.flag(cmd, "json") // as every command has it; there is nothing else to choose
	return cmd
}

func exportNftables() *cobra.Command {
	list, output := "", ""
	at := &moment{}
	cmd := &cobra.Command{
		Use:   "nftables FILE... --endpoints LIST",
		Short: "A ruleset of nftables with the same meaning",
		Long: `Writes a ruleset that a Linux kernel loads and that forwards exactly what the
policy allows at one time, for endpoints whose addresses are known. LIST has them,
as TOML or JSON: [[endpoints]] with name, labels and ips; a configuration of
vswitchd, with its [[ports]], is such a list, too. A stateless rule is refused:
the ruleset tracks connections.

Exit codes: 0 written, 2 error.`,
		Example: `  policyc export nftables policy.toml --endpoints endpoints.toml
  policyc export nftables policy.toml --endpoints endpoints.toml > /tmp/policy.nft
  policyc export nftables platform.toml shop.toml --endpoints endpoints.toml -o json`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := goodFormat(output); err != nil {
				return err
			}
			if list == "" {
				return errors.New("the addresses are needed: --endpoints LIST")
			}
			who, err := endpointsOf(list)
			if err != nil {
				return err
			}
			p, err := at.policy(cmd, args)
			if err != nil {
				return err
			}
			text, err := analyze.Nftables(p, who)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), nftables{len(who), text})
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	outputFlag(cmd, &output)
	at.flag(cmd, "write the policy of")
	cmd.Flags().StringVar(&list, "endpoints", "", "take addresses and labels from `LIST`")
	return cmd
}

// nftables is a ruleset for programs: nft takes it as text, so it stays that.
type nftables struct {
	Endpoints int    `json:"endpoints"` // whose addresses are in it
	Ruleset   string `json:"ruleset"`
}

func endpointsOf(name string) ([]analyze.Endpoint, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	list, err := endpoints.Read(name, text)
	if err != nil {
		return nil, err
	}
	var out []analyze.Endpoint
	for _, e := range list {
		out = append(out, analyze.Endpoint(e))
	}
	return out, nil
}

type setJSON struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	Any      [][]conditionJSON `json:"any,omitempty"` // alternatives, each with all it asks for
	Prefixes []string          `json:"prefixes,omitempty"`
	Except   []string          `json:"except,omitempty"`
}

type conditionJSON struct {
	Key    string   `json:"key"`
	Op     string   `json:"op"`
	Values []string `json:"values,omitempty"`
}

type exportedRule struct {
	Name  string   `json:"name"`
	Says  string   `json:"says"`
	Tier  string   `json:"tier"`
	Rank  uint32   `json:"rank"` // in the tier, the least first
	Ends  string   `json:"ends"` // both, egress or ingress
	From  []string `json:"from"`
	To    []string `json:"to"`
	Ports []string `json:"ports"`
	Place string   `json:"place"`

	Log       bool   `json:"log,omitempty"`
	Audit     bool   `json:"audit,omitempty"`
	Stateless bool   `json:"stateless,omitempty"`
	Since     string `json:"valid_from,omitempty"`  // the first moment at which it speaks
	Until     string `json:"valid_until,omitempty"` // the first at which it does not any more
	Owner     string `json:"owner,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// rulesetJSON writes a ruleset with names for numbers.
func rulesetJSON(rs *policy.Ruleset) any {
	out := struct {
		Source string         `json:"source"` // the hash of what the rules say
		Sets   []setJSON      `json:"sets"`
		Rules  []exportedRule `json:"rules"`
	}{fmt.Sprintf("%x", rs.SourceHash), []setJSON{}, []exportedRule{}}
	for _, s := range rs.Sets {
		out.Sets = append(out.Sets, setOf(&s))
	}
	for _, r := range rs.Rules {
		e := exportedRule{Name: r.Name, Says: r.Verdict.String(), Tier: check.TierNames[r.Tier], Rank: r.Precedence, Ends: r.Direction.String(), Place: fmt.Sprintf("%s:%d", r.File, r.Line)}
		e.Log, e.Audit, e.Stateless, e.Owner, e.Reason = r.Log, r.Audit, r.Stateless, r.Owner, r.Reason
		if r.Valid.From != 0 {
			e.Since = policy.FormatTime(r.Valid.From)
		}
		if r.Valid.Until != 0 {
			e.Until = policy.FormatTime(r.Valid.Until)
		}
		for _, id := range r.From {
			e.From = append(e.From, rs.Sets[id].Name)
		}
		for _, id := range r.To {
			e.To = append(e.To, rs.Sets[id].Name)
		}
		for _, p := range r.Ports {
			e.Ports = append(e.Ports, p.String())
		}
		out.Rules = append(out.Rules, e)
	}
	return out
}

func setOf(s *policy.Set) setJSON {
	out := setJSON{Name: s.Name, Kind: [...]string{"any", "service", "network", "outside"}[s.Kind]}
	for _, all := range s.Selector {
		list := []conditionJSON{}
		for _, c := range all {
			list = append(list, conditionJSON{c.Key, [...]string{"in", "not in", "exists", "not exists"}[c.Op], c.Values})
		}
		out.Any = append(out.Any, list)
	}
	for _, p := range s.Prefixes {
		out.Prefixes = append(out.Prefixes, p.String())
	}
	for _, p := range s.Except {
		out.Except = append(out.Except, p.String())
	}
	return out
}
