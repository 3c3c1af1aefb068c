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
)

// question is what query is asked.
type question struct {
	from, to, port, source string
	at                     moment
}

func queryCommand() *cobra.Command {
	q := &question{}
	out := &answerForm{}
	cmd := &cobra.Command{
		Use:   "query FILE... [--from WHO] [--to WHO] [--port PORT]",
		Short: "May this connect to that, and by which rule?",
		Long: `Prints the verdict and the rule that decides; for a denial without a rule, the
nearest rule that would have allowed it. WHO is a service (an endpoint with
exactly the service's labels), an endpoint that the files name (pod:shop/web, of
an import) by name or address, an address of no endpoint, or labels as
app=shop,tier=db. A range of ports is allowed only if all of it is, and so
is a port without --source-port: what of it is denied, from which source port, is
said. The tests in the files are not run.

What is left out is asked for: who can reach db, what can web reach, on what, by
which rule, also of endpoints that are not there yet. "a & !b" are those in a and
not in b, "others" those in nothing that a rule names.

Exit codes: 0 allowed (something is), 1 denied (also in part), 2 error.`,
		Example: `  policyc query policy.toml --from web --to db --port tcp/5432
  policyc query policy.toml --from 192.0.2.7 --to web --port tcp/443
  policyc query policy.toml --from app=shop,tier=api --to db --port tcp/5432 -o json
  policyc query policy.toml --from web --to db --port udp/53 --source-port 1024-65535
  policyc query policy.toml --to db
  policyc query policy.toml --from web --to db --port tcp/5432 --at 2026-07-01T00:00:00Z`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.from == "" && q.to == "" && q.port == "" {
				return errors.New("one of --from, --to and --port is needed")
			}
			if err := out.check(); err != nil {
				return err
			}
			return q.run(cmd, args, out.name)
		},
	}
	q.flags(cmd)
	out.flag(cmd, "text", "json")
	return cmd
}

// flags adds the flags of a question to a command.
func (q *question) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.from, "from", "", "`WHO` connects")
	f.StringVar(&q.to, "to", "", "to `WHO`")
	f.StringVar(&q.port, "port", "", "on `PORT`, as tcp/443")
	f.StringVar(&q.source, "source-port", "", "from the source port `N`, or a range of them")
	q.at.flag(cmd, "ask of")
	_ = cmd.RegisterFlagCompletionFunc("from", completeServices)
	_ = cmd.RegisterFlagCompletionFunc("to", completeServices)
}

// run answers a question: about one connection where all is given, else about
// what is left out.
func (q *question) run(cmd *cobra.Command, args []string, output string) error {
	p, err := q.at.policy(cmd, args)
	if err != nil {
		return err
	}
	from, to, ports, err := q.parse(p)
	if err != nil {
		return err
	}
	if from == nil || to == nil || ports == nil {
		return reach(cmd.OutOrStdout(), p, analyze.Question{From: from, To: to, Ports: ports}, output)
	}
	return q.answer(compile.Ask(p, *from, *to, ports)).print(cmd.OutOrStdout(), output)
}

// completeServices completes the services of the files named so far.
func completeServices(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	sources, err := read(args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	p, _ := compile.Read(sources)
	var names []string
	for _, s := range p.Services {
		if strings.HasPrefix(s.Name, begun) {
			names = append(names, s.Name)
		}
	}
	for _, e := range p.Endpoints {
		if strings.HasPrefix(e.Text, begun) {
			names = append(names, e.Text)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// parse reads what the flags say; what is not given is nil.
func (q *question) parse(p *compile.Policy) (from, to *compile.Subject, ports []policy.Port, err error) {
	subject := func(flag, text string) (*compile.Subject, error) {
		if text == "" {
			return nil, nil
		}
		s, err := compile.SubjectOf(p, text)
		return &s, wrap(flag, err)
	}
	from, err1 := subject("--from", q.from)
	to, err2 := subject("--to", q.to)
	var err3 error
	if q.port != "" {
		ports, err3 = compile.PortsAt(p, q.to, q.port)
	}
	var err4 error
	switch {
	case q.source != "" && q.port == "":
		err4 = errors.New("a source port is one of a protocol; name it by --port, as --port tcp")
	case q.source != "" && err3 == nil:
		ports, err4 = compile.From(ports, q.source)
	}
	if err := errors.Join(err1, err2, wrap("--port", err3), wrap("--source-port", err4)); err != nil {
		return nil, nil, nil, err
	}
	if err := q.oneFamily(from, to, ports); err != nil {
		return nil, nil, nil, err
	}
	if from != nil && to != nil {
		compile.OneFamily(from, to)
		if from.Addr.IsValid() && to.Addr.IsValid() && from.Addr.Is4() != to.Addr.Is4() {
			return nil, nil, nil, fmt.Errorf("--from %s and --to %s are of two families; a connection is of one", q.from, q.to)
		}
	}
	return from, to, ports, nil
}

// oneFamily refuses ICMP of one family alone that is asked of an address of the
// other: there is no such packet, whatever the rules say.
func (q *question) oneFamily(from, to *compile.Subject, ports []policy.Port) error {
	for _, end := range []*compile.Subject{from, to} {
		if end == nil || !end.Addr.IsValid() || len(end.Addrs) > 1 || len(ports) != 1 {
			continue
		}
		if ports[0].Proto == 1 && end.Addr.Is6() || ports[0].Proto == 58 && end.Addr.Is4() {
			return fmt.Errorf("--port %s is of the other family than %s; icmp is of both", q.port, end.Text)
		}
	}
	return nil
}

func wrap(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// answer is what query prints as JSON.
type answer struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Port    string `json:"port"`
	Source  string `json:"source_port,omitempty"`
	Verdict string `json:"verdict"`      // allow, deny, part
	At      string `json:"at,omitempty"` // part: the first port that is denied
	Rule    string `json:"rule,omitempty"`
	Place   string `json:"place,omitempty"`
	Nearest string `json:"nearest,omitempty"`
	Beaten  string `json:"beaten,omitempty"` // the allow rule that the deny beats
	Why     string `json:"why,omitempty"`    // why it does
	Self    bool   `json:"self,omitempty"`   // one endpoint: it does not cross the switch

	Owner     string `json:"owner,omitempty"`     // of the rule
	Reason    string `json:"reason,omitempty"`    // of the rule
	Audit     string `json:"audit,omitempty"`     // the rule under audit that would have denied some of it
	Stateless bool   `json:"stateless,omitempty"` // the rule opens no session
}

func (q *question) answer(got compile.Answer) *answer {
	out := &answer{From: q.from, To: q.to, Port: q.port, Source: q.source, Verdict: "deny", Nearest: got.Near, Beaten: got.Beaten, Why: got.Why, Self: got.Self}
	switch {
	case got.Allow:
		out.Verdict = "allow"
	case got.Part:
		out.Verdict = "part"
		out.At = partOf(&got).String()
	}
	if got.By != nil {
		out.Rule = got.By.Name
		out.Place = fmt.Sprintf("%s:%d", got.By.At.File(), got.By.At.Line())
		out.Owner, out.Reason, out.Stateless = got.By.Owner, got.By.Reason, got.By.Stateless
	}
	if got.Audit != nil {
		out.Audit = got.Audit.Name
	}
	return out
}

// partOf is the part that an answer is about: one port, and of its source ports
// one, where the answer is not the same for all of them.
func partOf(got *compile.Answer) policy.Port {
	out := policy.Port{Proto: uint16(got.At.Proto), SrcHi: 65535, DstLo: got.At.Dst, DstHi: got.At.Dst}
	if got.From {
		out.SrcLo, out.SrcHi = got.At.Src, got.At.Src
	}
	return out
}

func (a *answer) print(w io.Writer, output string) error {
	var err error
	if output == "json" {
		err = printJSON(w, a)
	} else {
		_, err = fmt.Fprint(w, a.text())
	}
	if err == nil && a.Verdict != "allow" {
		err = answerNo{}
	}
	return err
}

func (a *answer) text() string {
	port := a.Port
	if a.Source != "" {
		port += " from " + a.Source
	}
	text := fmt.Sprintf("%s -> %s %s: %s\n", a.From, a.To, port, a.sentence())
	if a.Nearest != "" {
		text += fmt.Sprintf("nearest: %s\n", a.Nearest)
	}
	if a.Beaten != "" {
		text += fmt.Sprintf("rule %s allows it, but %s\n", a.Beaten, a.Why)
	}
	if a.Stateless {
		text += "stateless: replies need a rule of their own\n"
	}
	if a.Audit != "" {
		text += fmt.Sprintf("rule %s would have denied it (audit)\n", a.Audit)
	}
	if a.Owner != "" {
		text += fmt.Sprintf("owner: %s\n", a.Owner)
	}
	if a.Reason != "" {
		text += fmt.Sprintf("reason: %s\n", a.Reason)
	}
	return text
}

func (a *answer) sentence() string {
	switch {
	case a.Self:
		return "allowed: an endpoint reaches itself without the switch"
	case a.Verdict == "allow":
		return fmt.Sprintf("allowed by %s (%s)", a.Rule, a.Place)
	case a.Verdict == "part" && a.Rule == "":
		return fmt.Sprintf("allowed in part; no rule allows %s", a.At)
	case a.Verdict == "part":
		return fmt.Sprintf("allowed in part; %s is denied by %s (%s)", a.At, a.Rule, a.Place)
	case a.Rule == "":
		return "denied: no rule allows it"
	}
	return fmt.Sprintf("denied by %s (%s)", a.Rule, a.Place)
}
