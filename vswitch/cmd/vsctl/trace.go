package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/control/api"
)

func traceCommand(v *view) *cobra.Command {
	var r api.TraceRequest
	var tcp, udp, sctp uint16
	var icmp, arp, summary bool
	cmd := &cobra.Command{
		Use:   "trace --port PORT --to IP --tcp N",
		Short: "What would happen to a frame, a line a stage",
		Long: `Carries a described frame, or the bytes of one, through the live tables and
sessions by the code that forwards, and prints each stage: the rule that decides,
or the nearest rule that would have allowed it. Nothing is sent, opened or
counted. What is not said is what the port's endpoint would send.

Exit codes: 0 it would pass, 1 it would be dropped, 2 error.`,
		Example: `  vsctl trace --port web --to 10.0.0.3 --tcp 5432
  vsctl trace --port web --to fd00::3 --icmp
  vsctl trace --port web --to 10.0.0.3 --tcp 5432 --from 10.0.0.99
  vsctl trace --port web --hex "$(cat frame.hex)"`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.To == "" && r.Hex == "" {
				return errors.New("where to? name an address with --to, or give the frame with --hex")
			}
			if summary && v.output == "json" {
				return errors.New("--summary is text; -o json has all of it")
			}
			for name, port := range map[string]uint16{"tcp": tcp, "udp": udp, "sctp": sctp} {
				if cmd.Flags().Changed(name) {
					r.Proto, r.DstPort = name, port
				}
			}
			if icmp {
				r.Proto = "icmp"
			}
			if arp {
				r.Proto = "arp"
			}
			t := new(api.Trace)
			if err := v.client().Post(cmd.Context(), "/v1/trace", &r, t); err != nil {
				return unanswered{err}
			}
			show := func(w io.Writer) { steps(w, t) }
			if summary {
				show = func(w io.Writer) { fmt.Fprintln(w, inBrief(t)) }
			}
			if err := v.print(cmd.OutOrStdout(), t, show); err != nil {
				return err
			}
			if !t.Allowed {
				return errNo
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Port, "port", "", "the frame comes in by `PORT`")
	f.StringVar(&r.To, "to", "", "destination `IP`")
	f.StringVar(&r.From, "from", "", "source `IP`; the endpoint's")
	f.StringVar(&r.FromMAC, "from-mac", "", "source `MAC`; the endpoint's")
	f.StringVar(&r.ToMAC, "to-mac", "", "destination `MAC`; the next hop's")
	f.Uint16Var(&tcp, "tcp", 0, "TCP to port `N`")
	f.Uint16Var(&udp, "udp", 0, "UDP to port `N`")
	f.Uint16Var(&sctp, "sctp", 0, "SCTP to port `N`")
	f.BoolVar(&icmp, "icmp", false, "an echo request")
	f.BoolVar(&arp, "arp", false, "an ARP request")
	f.StringVar(&r.Proto, "proto", "", "protocol `NAME` or number")
	f.Uint16Var(&r.SrcPort, "src-port", 0, "source port `N`")
	f.StringSliceVar(&r.Flags, "flags", nil, "TCP `FLAGS`, as syn,ack; syn")
	f.Uint8Var(&r.TTL, "ttl", 0, "TTL `N`; 64")
	f.StringVar(&r.Hex, "hex", "", "the whole frame, in `HEX`")
	f.BoolVar(&summary, "summary", false, "one line")
	_ = cmd.MarkFlagRequired("port")
	cmd.MarkFlagsMutuallyExclusive("tcp", "udp", "sctp", "icmp", "arp", "proto", "hex")
	cmd.MarkFlagsMutuallyExclusive("to", "hex")
	_ = cmd.RegisterFlagCompletionFunc("port", v.completePorts)
	return cmd
}

func steps(w io.Writer, t *api.Trace) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range t.Steps {
		fmt.Fprintf(tab, "%s\t%s\n", s.Stage, s.Text)
	}
	_ = tab.Flush()
	fmt.Fprintln(w, inBrief(t))
}

// inBrief is a trace in a line.
func inBrief(t *api.Trace) string {
	text := outcome(t)
	var remarks []string
	for _, remark := range []string{t.Owner, t.RuleReason} {
		if remark != "" {
			remarks = append(remarks, remark)
		}
	}
	if len(remarks) > 0 {
		text += " (" + strings.Join(remarks, "; ") + ")"
	}
	if t.Audit != "" {
		text += "; " + t.Audit + " would have denied it (audit)"
	}
	return text
}

func outcome(t *api.Trace) string {
	switch {
	case t.Allowed && t.Rule != "":
		return "allowed by " + t.Rule
	case t.Allowed && t.Egress != "":
		return "passes to " + t.Egress
	case t.Allowed:
		return "answered by the switch"
	case t.Reason == "denied":
		return "denied by " + t.Rule
	case t.Nearest != "":
		return t.Reason + "; nearest: " + t.Nearest
	}
	return t.Reason + ": " + t.Sentence
}
