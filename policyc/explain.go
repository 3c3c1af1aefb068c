package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
)

func explainCommand() *cobra.Command {
	q := &question{}
	out := &answerForm{}
	all := false
	cmd := &cobra.Command{
		Use:   "explain FILE... --from WHO --to WHO --port PORT",
		Short: "Which rules does a connection meet, and which decides?",
		Long: `Lists the rules in the order in which the switch asks them: which matched, which
decided, and which missed by one condition. Rules that have less to do with the
connection are counted, or listed with --all. WHO and PORT are as in query; of a
range of ports, or of source ports, the first that is denied is explained, else the
first.

Exit codes: 0 allowed, 1 denied, 2 error.`,
		Example: `  policyc explain policy.toml --from web --to db --port tcp/5432
  policyc explain policy.toml --from 192.0.2.7 --to web --port tcp/443 --all
  policyc explain policy.toml --from web --to db --port tcp/5432 --at 2026-07-01T00:00:00Z
  policyc explain policy.toml --from web --to db --port tcp/23 -o json`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.from == "" || q.to == "" || q.port == "" {
				return errors.New("--from, --to and --port are needed")
			}
			if err := out.check(); err != nil {
				return err
			}
			p, err := q.at.policy(cmd, args)
			if err != nil {
				return err
			}
			from, to, ports, err := q.parse(p)
			if err != nil {
				return err
			}
			return explain(p, *from, *to, ports).print(cmd.OutOrStdout(), out.name, all)
		},
	}
	q.flags(cmd)
	out.flag(cmd, "text", "json")
	cmd.Flags().BoolVar(&all, "all", false, "list every rule")
	return cmd
}

// explanation is what explain prints as JSON: every rule, in order.
type explanation struct {
	From    string     `json:"from"`
	To      string     `json:"to"`
	Port    string     `json:"port"`
	Verdict string     `json:"verdict"`
	Rules   []stepJSON `json:"rules"`
	Nearest string     `json:"nearest,omitempty"`
	Beaten  string     `json:"beaten,omitempty"`
	Self    bool       `json:"self,omitempty"` // one endpoint: it does not cross the switch

	chains []chainText
}

// chainText is what one end was asked; no end: both were asked alike.
type chainText struct {
	end   string
	steps []stepJSON
}

type stepJSON struct {
	Rule    string   `json:"rule"`
	End     string   `json:"end,omitempty"` // egress or ingress, where the two are asked apart
	Place   string   `json:"place"`
	Says    string   `json:"says"`
	Asked   bool     `json:"asked"` // false: a rule before it decided
	Matches bool     `json:"matches"`
	Decides bool     `json:"decides"`
	Misses  []string `json:"misses,omitempty"` // from, to, port

	Audit     bool   `json:"audit,omitempty"`      // it decides nothing
	Would     bool   `json:"would_deny,omitempty"` // it would have denied
	Dormant   string `json:"valid,omitempty"`      // when it speaks, if not at this time
	Stateless bool   `json:"stateless,omitempty"`
	Log       bool   `json:"log,omitempty"`
	Owner     string `json:"owner,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

func explain(p *compile.Policy, from, to check.Subject, ports []policy.Port) *explanation {
	a := compile.Ask(p, from, to, ports)
	if a.Self {
		return &explanation{From: from.Text, To: to.Text, Port: ports[0].String(), Verdict: says(true), Self: true, Rules: []stepJSON{}}
	}
	w := analyze.Packet{From: from, To: to, Flow: a.At, Source: a.From}
	out := &explanation{From: from.Text, To: to.Text, Port: w.Port(), Verdict: says(a.Allow), Nearest: a.Near, Beaten: a.Beaten, Rules: []stepJSON{}}
	for _, chain := range analyze.Explain(p, w) {
		c := chainText{}
		if chain.End != policy.BothEnds {
			c.end = chain.End.String()
		}
		for _, s := range chain.Steps {
			c.steps = append(c.steps, stepOf(&s, c.end))
		}
		out.chains, out.Rules = append(out.chains, c), append(out.Rules, c.steps...)
	}
	return out
}

func stepOf(s *analyze.Step, end string) stepJSON {
	r := s.Rule
	out := stepJSON{
		Rule: r.Name, End: end, Place: placeOf(r.At), Says: r.Verdict().String(), Asked: !s.After && !r.Dormant, Matches: s.Matches(), Decides: s.Decides, Misses: misses(s),
		Audit: r.Audit, Would: s.Would, Stateless: r.Stateless, Log: r.Log, Owner: r.Owner, Reason: r.Reason,
	}
	if r.Dormant {
		out.Dormant = r.Valid.String()
	}
	return out
}

func says(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}

// misses are the conditions that a rule does not meet.
func misses(s *analyze.Step) []string {
	var out []string
	for _, c := range []struct {
		met  bool
		name string
	}{{s.From, "from"}, {s.To, "to"}, {s.Port, "port"}} {
		if !c.met {
			out = append(out, c.name)
		}
	}
	return out
}

func (e *explanation) print(w io.Writer, output string, all bool) error {
	var err error
	if output == "json" {
		err = printJSON(w, e)
	} else {
		_, err = io.WriteString(w, e.text(all))
	}
	if err == nil && e.Verdict != "allow" {
		err = answerNo{}
	}
	return err
}

func (e *explanation) text(all bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s -> %s %s\n", e.From, e.To, e.Port)
	if e.Self {
		b.WriteString("  allowed: an endpoint reaches itself without the switch\n")
	}
	for _, c := range e.chains {
		b.WriteString(c.text(all))
	}
	if e.Nearest != "" {
		fmt.Fprintf(&b, "nearest: %s\n", e.Nearest)
	}
	if e.Beaten != "" {
		fmt.Fprintf(&b, "rule %s allows it, but is beaten\n", e.Beaten)
	}
	return b.String()
}

// text writes what was asked at one end.
func (c *chainText) text(all bool) string {
	var b strings.Builder
	if c.end != "" {
		fmt.Fprintf(&b, " %s:\n", map[string]string{"egress": "where it leaves", "ingress": "where it arrives"}[c.end])
	}
	skipped, decided := 0, false
	for _, s := range c.steps {
		decided = decided || s.Decides
		if !all && len(s.Misses) > 1 {
			skipped++
			continue
		}
		fmt.Fprintf(&b, "  %-5s %s (%s): %s\n", s.Says, s.Rule, s.Place, s.fate())
		if s.Decides || s.Would {
			b.WriteString(s.remarks())
		}
	}
	if skipped > 0 {
		fmt.Fprintf(&b, "  and %s with less to do with it\n", count(skipped, "rule"))
	}
	if !decided {
		b.WriteString("  deny  by default: no rule decides\n")
	}
	return b.String()
}

// remarks are whose the rule is and what it is for.
func (s *stepJSON) remarks() string {
	text := ""
	if s.Owner != "" {
		text += fmt.Sprintf("        owner: %s\n", s.Owner)
	}
	if s.Reason != "" {
		text += fmt.Sprintf("        reason: %s\n", s.Reason)
	}
	return text
}

// fate says what became of a rule.
func (s *stepJSON) fate() string {
	switch {
	case s.Dormant != "":
		return "not asked at this time: it is valid " + s.Dormant
	case s.Would:
		return "matches, and would have denied it (audit)"
	case s.Audit && s.Matches && s.Asked:
		return "matches, and only says so (audit)"
	case s.Decides && s.Stateless:
		return "matches, and decides; it is stateless, so replies need a rule of their own"
	case s.Decides:
		return "matches, and decides"
	case s.Matches && s.Asked && s.Says == "pass":
		return "matches, and leaves the tier"
	case s.Matches && !s.Asked:
		return "would match, but is not asked any more"
	case s.Matches:
		return "matches"
	case !s.Asked:
		return "not asked; another " + strings.Join(s.Misses, ", another ")
	}
	return "another " + strings.Join(s.Misses, ", another ")
}
