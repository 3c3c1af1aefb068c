package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/control/api"
)

func endpointCommand(v *view) *cobra.Command {
	cmd := &cobra.Command{
		Use: "endpoint", Short: "Add, move or delete a workload",
		Long: "Changes who is where. The policy is not compiled again: it does not name places.",
		Example: `  vsctl endpoint add cache --port p7 --mac 02:00:00:00:00:07 --ip 10.0.0.7 --label app=shop,tier=cache
  vsctl endpoint move db --to-port spare
  vsctl endpoint del cache`,
	}
	cmd.AddCommand(addCommand(v), moveCommand(v), delCommand(v))
	return cmd
}

func addCommand(v *view) *cobra.Command {
	c := api.EndpointChange{Op: api.EndpointAdd}
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Bind a workload to a port, or register it at a peer",
		Long: `Who is added may send from its MAC and IPs on its port, and from no other. Which
services it is in the policy decides by its labels.

Exit codes: 0 added, 1 the switch refused, 2 error.`,
		Args: cli.OneArg("name"),
		Example: `  vsctl endpoint add cache --port p7 --mac 02:00:00:00:00:07 --ip 10.0.0.7 --label app=shop,tier=cache
  vsctl endpoint add far --peer host2 --segment shop --mac 02:00:00:00:00:08 --ip 10.0.0.8
  vsctl endpoint add dual --port p9 --mac 02:00:00:00:00:09 --ip 10.0.0.9 --ip fd00::9`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (c.Port == "") == (c.Peer == "") {
				return errors.New("name one of --port and --peer")
			}
			c.Name = args[0]
			return v.change(cmd, "/v1/endpoint", &c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Port, "port", "", "it is on `PORT` of this host")
	f.StringVar(&c.Peer, "peer", "", "it is behind `PEER`")
	f.StringVar(&c.Segment, "segment", "", "its `SEGMENT`, if behind a peer or on a trunk")
	f.StringVar(&c.MAC, "mac", "", "its `MAC`")
	f.StringSliceVar(&c.IPs, "ip", nil, "its `IP`; may be given again")
	f.StringToStringVar(&c.Labels, "label", nil, "its labels, as `KEY=VALUE`,...")
	_ = cmd.RegisterFlagCompletionFunc("port", v.completePorts)
	return cmd
}

func moveCommand(v *view) *cobra.Command {
	c := api.EndpointChange{Op: api.EndpointMove}
	cmd := &cobra.Command{
		Use: "move NAME --to-port PORT", Short: "A workload is elsewhere now",
		Long: `From one batch of frames to the next its frames go to the new place, and are
taken from there only. Its open connections stay.

Exit codes: 0 moved, 1 the switch refused, 2 error.`,
		Args: cli.OneArg("name"),
		Example: `  vsctl endpoint move db --to-port spare
  vsctl endpoint move db --to-peer host2
  vsctl endpoint move db --to-port spare -o json`,
		ValidArgsFunction: v.completeEndpoints,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (c.Port == "") == (c.Peer == "") {
				return errors.New("name one of --to-port and --to-peer")
			}
			c.Name = args[0]
			return v.change(cmd, "/v1/endpoint", &c)
		},
	}
	cmd.Flags().StringVar(&c.Port, "to-port", "", "to `PORT` of this host")
	cmd.Flags().StringVar(&c.Peer, "to-peer", "", "to `PEER`")
	_ = cmd.RegisterFlagCompletionFunc("to-port", v.completePorts)
	return cmd
}

func delCommand(v *view) *cobra.Command {
	return &cobra.Command{
		Use: "del NAME", Short: "A workload is gone: nothing passes to or from it",
		Long:              "Takes the endpoint's MAC and IPs back. What it sends after that is dropped as\nspoofed.\n\nExit codes: 0 deleted, 1 the switch refused, 2 error.",
		Args:              cli.OneArg("name"),
		Example:           "  vsctl endpoint del db\n  vsctl endpoint del db -o json\n  vsctl endpoints && vsctl endpoint del db",
		ValidArgsFunction: v.completeEndpoints,
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.change(cmd, "/v1/endpoint", &api.EndpointChange{Op: api.EndpointDel, Name: args[0]})
		},
	}
}

func policyLoadCommand(v *view) *cobra.Command {
	var p api.PolicyLoad
	var shadow bool
	cmd := &cobra.Command{
		Use: "load [--allow-older] [--shadow] FILE", Short: "Put a compiled policy in force", Args: cli.OneArg("file"),
		ValidArgsFunction: completeArtifacts,
		Long: `Loads what policyc build wrote. It comes into force whole, between two batches of
frames, or not at all. Open connections are asked about again at their next packet.

Where the configuration has policy_keys the policy must be signed with one of
them and must not be of an older generation than the one in force: --allow-older
takes one back.

With --shadow it comes into force not yet: it stands beside the policy in force
as a candidate, and what it would do is shown (vsctl policy shadow).

Exit codes: 0 loaded, 1 the switch refused, 2 error.`,
		Example: "  vsctl policy load policy.bhp\n  policyc build p.toml -o p.bhp && vsctl policy load p.bhp\n  vsctl policy load --allow-older /etc/bulkhead/last-good.bhp\n  vsctl policy load --shadow next.bhp",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			p.File = path
			if shadow {
				return v.loadShadow(cmd, &p)
			}
			return v.change(cmd, "/v1/policy", &p)
		},
	}
	cmd.Flags().BoolVar(&p.AllowOlder, "allow-older", false, "take a policy of an older generation")
	cmd.Flags().BoolVar(&shadow, "shadow", false, "let it stand beside the one in force, and show what it would do")
	return cmd
}

func reloadCommand(v *view) *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Read configuration and policy again: all or nothing",
		Long: `The same as SIGHUP to the daemon, but it answers: every mistake is printed, and
the state before stays in force.

Exit codes: 0 reloaded, 1 the switch refused, 2 error.`,
		Args:    cli.NoArgs,
		Example: "  vsctl reload\n  vswitchd check -c bulkhead.toml && vsctl reload\n  vsctl reload -o json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return v.change(cmd, "/v1/reload", nil) },
	}
}

func captureCommand(v *view) *cobra.Command {
	var r api.CaptureRequest
	var file string
	cmd := &cobra.Command{
		Use: "capture -w FILE", Short: "Record frames, each with how it ended", Args: cli.NoArgs,
		Long: `Writes pcapng. Each frame carries a comment: where it went, or the reason it was
dropped for, and the rule. Ends with --count, --seconds or an interrupt.`,
		Example: `  vsctl capture -w all.pcapng --seconds 10
  vsctl capture -w - --drops --port web | tshark -r -
  vsctl capture -w denied.pcapng --reason no-rule --count 100`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Count < 0 || r.Snaplen < 0 || r.Seconds < 0 {
				return errors.New("--count, --snaplen and --seconds are not below zero")
			}
			if file == "-" {
				return v.client().Stream(cmd.Context(), "/v1/capture", &r, cmd.OutOrStdout())
			}
			out := &late{name: file}
			return errors.Join(v.client().Stream(cmd.Context(), "/v1/capture", &r, out), out.Close())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "write", "w", "", "write to `FILE`; - is standard output")
	f.StringVar(&r.Port, "port", "", "only frames in or out by `PORT`")
	f.BoolVar(&r.Drops, "drops", false, "only frames that were dropped")
	f.StringVar(&r.Reason, "reason", "", "only those dropped for `REASON`")
	f.StringVar(&r.Rule, "rule", "", "only those that `RULE` decided")
	f.IntVar(&r.Count, "count", 0, "stop after `N` frames")
	f.IntVar(&r.Snaplen, "snaplen", 0, "keep `N` bytes of each")
	f.IntVar(&r.Seconds, "seconds", 0, "stop after `N` seconds")
	_ = cmd.MarkFlagRequired("write")
	_ = cmd.RegisterFlagCompletionFunc("port", v.completePorts)
	_ = cmd.RegisterFlagCompletionFunc("reason", completeReasons)
	_ = cmd.RegisterFlagCompletionFunc("rule", v.completeRules)
	return cmd
}

// late is a file that is made when the first byte for it comes: a capture that
// the switch refuses leaves an older one as it was.
type late struct {
	name string
	file *os.File
}

func (l *late) Write(b []byte) (int, error) {
	if l.file == nil {
		f, err := os.OpenFile(l.name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return 0, fmt.Errorf("%w; name a file to write with -w FILE", err)
		}
		l.file = f
	}
	return l.file.Write(b)
}

// Close closes the file, if there is one.
func (l *late) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
