package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/flows"
	"bulkhead/policyc/internal/progress"
	"bulkhead/policyc/internal/replay"
)

// replaying is what replay is asked.
type replaying struct {
	endpoints, output string
	top               int
	quiet             bool
	at                moment
}

func replayCommand() *cobra.Command {
	r := &replaying{}
	cmd := &cobra.Command{
		Use:   "replay POLICY... FLOWS",
		Short: "What would a policy have done to flows that were recorded?",
		Long: `Judges every connection in FLOWS: how many each rule would have allowed or denied,
and which were denied most, each with the nearest rule that allows. POLICY is a
source, or several, or one compiled policy. FLOWS is a capture (pcap, pcapng), or
lines of JSON as
  {"src": "10.0.0.1", "dst": "10.0.0.2", "proto": "tcp", "dport": 443, "count": 3}
with sport, time, src_labels and dst_labels where they are known, for ICMP type
and code; - is standard input. Who an address is says --endpoints, which takes
what vsctl endpoints -o json prints; any other address is of no workload. A record
of any length is read in bounded memory.

In a capture a connection counts once, from the side that opened it: a SYN tells,
else the first packet, but a TCP connection that was open before goes to the lower
port. Answers, ICMP about other connections, later fragments and what goes to many
are not judged.

Exit codes: 0 all allowed, 1 some denied, 2 error.`,
		Example: `  policyc replay policy.toml flows.json --endpoints endpoints.json
  policyc replay policy.bhp flows.json --endpoints endpoints.json -o json
  policyc replay platform.toml shop.toml flows.json --top 3`,
		Args: policyAndFlows, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := goodFormat(r.output); err != nil {
				return err
			}
			if r.top < 0 {
				return errors.New("--top is not below zero")
			}
			v, err := r.run(cmd, args[:len(args)-1], args[len(args)-1])
			if err != nil {
				return err
			}
			return v.print(cmd.OutOrStdout(), r.output)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.endpoints, "endpoints", "", "whose an address is, by `FILE`")
	r.at.flag(cmd, "replay to the policy of")
	f.IntVar(&r.top, "top", 10, "show the `N` kinds that are denied most")
	quietFlag(cmd, &r.quiet)
	outputFlag(cmd, &r.output)
	return cmd
}

func policyAndFlows(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("%s needs a policy and a record of flows", cmd.Name())
	}
	return files(cmd, args)
}

// run judges every flow of a record.
func (r *replaying) run(cmd *cobra.Command, sources []string, name string) (*judged, error) {
	p, err := loadPolicy(cmd, sources)
	if err != nil {
		return nil, err
	}
	who, err := readEndpoints(r.endpoints)
	if err != nil {
		return nil, err
	}
	in, size, err := openFlows(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	bar := progress.Start(r.quiet, "replay "+shown(name), size)
	defer bar.End()
	record, err := flows.Open(bar.Reader(in))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown(name), err)
	}
	now, err := r.at.second()
	if err != nil {
		return nil, err
	}
	rules := p.rules.At(now)
	j := replay.New(rules, who)
	for {
		f, err := record.Next()
		if errors.Is(err, io.EOF) {
			return judgedBy(j, rules, record.Skipped(), r.top), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", shown(name), err)
		}
		j.Flow(f)
	}
}

// openFlows opens a record, and tells its size if it has one.
func openFlows(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return nil, 0, errors.Join(err, f.Close(), fmt.Errorf("%s is no record of flows", name))
	}
	return f, info.Size(), nil
}

// ruleCount is what a rule would have done.
type ruleCount struct {
	Rule    string `json:"rule"`
	Place   string `json:"place"`
	Verdict string `json:"verdict"`
	Count   uint64 `json:"count"`
	Would   uint64 `json:"would_deny,omitempty"` // under audit: what it would have denied
}

// deniedKind is a kind of connection that would have been denied.
type deniedKind struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Port    string `json:"port"`
	Count   uint64 `json:"count"`
	AtMost  uint64 `json:"at_most"`        // more than count: there were too many kinds to count all
	Rule    string `json:"rule,omitempty"` // that denies; empty: none allows
	Nearest string `json:"nearest,omitempty"`
}

// judged is what replay prints as JSON.
type judged struct {
	Allowed uint64            `json:"allowed"`
	Denied  uint64            `json:"denied"`
	NoRule  uint64            `json:"no_rule"` // of denied, those that no rule names
	Rules   []ruleCount       `json:"rules"`
	Top     []deniedKind      `json:"top"`
	Skipped map[string]uint64 `json:"skipped"` // packets, by why
}

func judgedBy(j *replay.Judge, rs *policy.Ruleset, skipped map[string]uint64, top int) *judged {
	out := &judged{Allowed: j.Allowed, Denied: j.Denied, NoRule: j.Default, Rules: []ruleCount{}, Top: []deniedKind{}, Skipped: skipped}
	for i, n := range j.ByRule {
		if n == 0 && j.Audits[i] == 0 {
			continue
		}
		r := &rs.Rules[i]
		verdict := "deny"
		if r.Verdict == policy.Allow {
			verdict = "allow"
		}
		out.Rules = append(out.Rules, ruleCount{r.Name, fmt.Sprintf("%s:%d", r.File, r.Line), verdict, n, j.Audits[i]})
	}
	for _, d := range j.Top(top) {
		k := deniedKind{From: d.From, To: d.To, Port: d.Port.String(), Count: d.Count, AtMost: d.AtMost, Nearest: d.Near}
		if d.By != nil {
			k.Rule = d.By.Name
		}
		out.Top = append(out.Top, k)
	}
	return out
}

func (v *judged) print(w io.Writer, output string) error {
	var err error
	if output == "json" {
		err = printJSON(w, v)
	} else {
		_, err = fmt.Fprint(w, v.text())
	}
	if err == nil && v.Denied > 0 {
		err = answerNo{}
	}
	return err
}

func (v *judged) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d would be allowed, %d denied\n", v.Allowed, v.Denied)
	v.writeRules(&b)
	v.writeTop(&b)
	if len(v.Skipped) > 0 {
		var parts []string
		for _, why := range slices.Sorted(maps.Keys(v.Skipped)) {
			parts = append(parts, fmt.Sprintf("%d %s", v.Skipped[why], why))
		}
		fmt.Fprintf(&b, "\npackets that were not judged: %s\n", strings.Join(parts, ", "))
	}
	return b.String()
}

func (v *judged) writeRules(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	audits := slices.ContainsFunc(v.Rules, func(r ruleCount) bool { return r.Would > 0 })
	fmt.Fprint(t, "\nRULE\tALLOWS\tDENIES\tPLACE"+also(audits, "\tWOULD DENY")+"\n")
	for _, r := range v.Rules {
		allows, denies := r.Count, uint64(0)
		if r.Verdict == "deny" {
			allows, denies = 0, r.Count
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s%s\n", r.Rule, allows, denies, r.Place, also(audits, fmt.Sprintf("\t%d", r.Would)))
	}
	fmt.Fprintf(t, "(no rule)\t0\t%d\t-%s\n", v.NoRule, also(audits, "\t-"))
	_ = t.Flush()
}

// also is a column that is there only where there is something to say in it.
func also(there bool, column string) string {
	if there {
		return column
	}
	return ""
}

func (v *judged) writeTop(w io.Writer) {
	if len(v.Top) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nDENIED\tFROM\tTO\tPORT\tWHY\n")
	for _, k := range v.Top {
		n := fmt.Sprint(k.Count)
		if k.AtMost > k.Count {
			n += fmt.Sprintf("..%d", k.AtMost)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", n, k.From, k.To, k.Port, k.why())
	}
	_ = t.Flush()
}

func (k *deniedKind) why() string {
	switch {
	case k.Rule != "":
		return "denied by " + k.Rule
	case k.Nearest != "":
		return "no rule; nearest: " + k.Nearest
	}
	return "no rule"
}
