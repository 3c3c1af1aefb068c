package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/budget"
	"bulkhead/policyc/internal/endpoints"
)

func statsCommand() *cobra.Command {
	var limit budget.Limit
	var list, output string
	cmd := &cobra.Command{
		Use:   "stats FILE...",
		Short: "What a policy costs: its bytes, its tables, a lookup",
		Long: `Links the policy as the switch does and measures the tables. FILE is a source, or
several, or one compiled policy. Identities are those that the policy alone tells
apart: an endpoint of each service with just its labels, an address in each
stretch of the networks; and those of the endpoints in --endpoints, as vsctl
endpoints -o json prints them. Touches are the loads of a lookup, at the most,
whatever the packet.

Exit codes: 0 within the budget, 1 over it, 2 error.`,
		Example: `  policyc stats policy.toml
  policyc stats policy.bhp -o json
  policyc stats policy.toml --max-touches 16 --max-bytes 1000000`,
		Args: files, ValidArgsFunction: completePolicies, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(goodFormat(output), goodLimit(cmd, limit)); err != nil {
				return err
			}
			p, err := loadPolicy(cmd, args)
			if err != nil {
				return err
			}
			who, err := readEndpoints(list)
			if err != nil {
				return err
			}
			s, err := measure(p, who)
			if err != nil {
				return err
			}
			s.Budget, err = within(limit, p.rules, s.identities, &s.cost)
			if err != nil {
				return err
			}
			if err := s.print(cmd.OutOrStdout(), output); err != nil {
				return err
			}
			if output == "json" {
				return s.Budget.answer()
			}
			return s.Budget.report(cmd.ErrOrStderr())
		},
	}
	limitFlags(cmd, &limit)
	cmd.Flags().StringVar(&list, "endpoints", "", "count the endpoints in `FILE`, too")
	outputFlag(cmd, &output)
	return cmd
}

func completePolicies(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"toml", "bhp"}, cobra.ShellCompDirectiveFilterFileExt
}

func limitFlags(cmd *cobra.Command, limit *budget.Limit) {
	cmd.Flags().IntVar(&limit.Touches, "max-touches", 0, "refuse a policy of which a lookup takes more than `N` loads")
	cmd.Flags().IntVar(&limit.Bytes, "max-bytes", 0, "refuse a policy whose tables take more than `N` bytes")
}

// goodLimit refuses a budget that nothing is within. Zero would else be no budget
// at all, which who states one does not mean.
func goodLimit(cmd *cobra.Command, limit budget.Limit) error {
	f := cmd.Flags()
	if f.Changed("max-touches") && limit.Touches <= 0 || f.Changed("max-bytes") && limit.Bytes <= 0 {
		return errors.New("--max-touches and --max-bytes are above zero; leave the flag out for no limit")
	}
	return nil
}

// loaded is a policy, from wherever it came.
type loaded struct {
	rules      *policy.Ruleset
	artifact   []byte
	signatures []policy.Signature
}

// loadPolicy reads sources, or one compiled policy. The tests in sources are
// not run.
func loadPolicy(cmd *cobra.Command, args []string) (*loaded, error) {
	sources, err := read(args)
	if err != nil {
		return nil, err
	}
	if policy.IsArtifact(sources[0].Text) {
		if len(args) > 1 {
			return nil, fmt.Errorf("%s is a compiled policy: it stands alone", args[0])
		}
		return loadArtifact(args[0], sources[0].Text)
	}
	p, err := policyIn(cmd, sources)
	if err != nil {
		return nil, err
	}
	rs := compile.Lower(p, compile.Options{})
	artifact, err := policy.Encode(rs)
	return &loaded{rules: rs, artifact: artifact}, err
}

func loadArtifact(name string, data []byte) (*loaded, error) {
	artifact, signatures, err := policy.Unseal(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	rs, err := policy.Decode(artifact)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &loaded{rs, artifact, signatures}, nil
}

// readEndpoints reads a list of endpoints; no name is none.
func readEndpoints(name string) ([]endpoints.Endpoint, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return endpoints.Read(name, text)
}

// size is a named number of bytes.
type size struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// measured is what stats prints as JSON.
type measured struct {
	Generation    uint64   `json:"generation"`
	Source        string   `json:"source"`
	SignedBy      []string `json:"signed_by"`
	Rules         int      `json:"rules"`
	Services      int      `json:"services"`
	Networks      int      `json:"networks"`
	Artifact      int      `json:"artifact_bytes"`
	Sections      []size   `json:"sections"`
	Identities    int      `json:"identities"`
	SourceClasses int      `json:"source_classes"`
	DestClasses   int      `json:"destination_classes"`
	PortClasses   int      `json:"port_classes"`
	Programs      int      `json:"programs"`
	Shapes        int      `json:"shapes"`
	Bytes         int      `json:"table_bytes"`
	Tables        []size   `json:"tables"`
	Touches       int      `json:"touches"`
	Budget        *overrun `json:"over_budget,omitempty"`

	cost       budget.Cost
	identities [][]uint32
}

func measure(p *loaded, who []endpoints.Endpoint) (*measured, error) {
	rs := p.rules
	m := &measured{
		Generation: rs.Generation, Source: fmt.Sprintf("%x", rs.SourceHash), SignedBy: []string{},
		Rules: len(rs.Rules), Artifact: len(p.artifact), identities: budget.Population(rs, who),
	}
	for _, s := range p.signatures {
		m.SignedBy = append(m.SignedBy, s.Key.String())
	}
	for i := range rs.Sets {
		switch rs.Sets[i].Kind {
		case policy.KindService:
			m.Services++
		case policy.KindNetwork:
			m.Networks++
		}
	}
	sections, err := policy.Sections(p.artifact)
	if err != nil {
		return nil, err
	}
	for _, s := range sections {
		m.Sections = append(m.Sections, size{s.Name, s.Bytes})
	}
	cost, err := budget.Measure(rs, m.identities)
	if err != nil {
		return nil, fmt.Errorf("the switch would refuse it: %w", err)
	}
	m.take(cost)
	return m, nil
}

func (m *measured) take(c *budget.Cost) {
	m.cost = *c
	m.Identities, m.SourceClasses, m.DestClasses, m.PortClasses = c.Identities, c.SourceClasses, c.DestClasses, c.PortClasses
	m.Programs, m.Shapes, m.Bytes, m.Touches = c.Programs, c.Shapes, c.Bytes, c.Touches
	for _, t := range c.Tables {
		m.Tables = append(m.Tables, size{t.Name, t.Bytes})
	}
}

func (m *measured) print(w io.Writer, output string) error {
	if output == "json" {
		return printJSON(w, m)
	}
	_, err := fmt.Fprint(w, m.text())
	return err
}

func (m *measured) text() string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-24s"+format+"\n", append([]any{name}, args...)...)
	}
	row("policy", "%s, %s, %s", count(m.Rules, "rule"), count(m.Services, "service"), count(m.Networks, "network"))
	row("artifact", "%s", count(m.Artifact, "byte"))
	for _, s := range m.Sections {
		row("  "+s.Name, "%d", s.Bytes)
	}
	row("identities told apart", "%d", m.Identities)
	row("classes", "%d of sources, %d of destinations, %d of ports", m.SourceClasses, m.DestClasses, m.PortClasses)
	row("programs", "%d in %s", m.Programs, count(m.Shapes, "shape"))
	row("tables", "%s", count(m.Bytes, "byte"))
	for _, t := range m.Tables {
		row("  "+t.Name, "%d", t.Bytes)
	}
	row("touches a lookup", "%d at the most", m.Touches)
	return b.String()
}
