package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/control/api"
)

// list makes a command that shows something.
func list[T any](v *view, use, short, long, example, path string, table func(io.Writer, *T)) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return show(cmd, v, path, table) },
	}
	cmd.Flags().DurationVar(&v.watch, "watch", 0, "show it again every `TIME`, as 1s")
	return cmd
}

// columns writes rows under a header, aligned.
func columns(w io.Writer, header string, rows func(row func(cells ...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, header)
	rows(func(cells ...any) {
		texts := make([]string, len(cells))
		for i, c := range cells {
			if texts[i] = fmt.Sprint(c); texts[i] == "" {
				texts[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(texts, "\t"))
	})
	_ = t.Flush()
}

func statusCommand(v *view) *cobra.Command {
	cmd := list(v, "status", "How the switch is, and whether it is ready", `Shows version, policy, ports, sessions, and what is wrong.

The switch is ready when made frames, once a second, have shown in every segment
that what the policy allows passes and what it denies does not.

Exit codes: 0 it is ready, 1 it is not, 2 error.`,
		"  vsctl status\n  vsctl status -o json\n  vsctl status >/dev/null || echo 'not ready'", "/v1/status", statusText)
	watched := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if v.watch > 0 {
			return watched(cmd, args)
		}
		s := new(api.Status)
		if err := v.client().Get(cmd.Context(), "/v1/status", s); err != nil {
			return unanswered{err}
		}
		if err := v.print(cmd.OutOrStdout(), s, func(w io.Writer) { statusText(w, s) }); err != nil {
			return err
		}
		if !s.Ready {
			return errNo
		}
		return nil
	}
	return cmd
}

func statusText(w io.Writer, s *api.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "version\t%s\nprocess\t%d, up %s\n", s.Version, s.PID, time.Since(s.Started).Round(time.Second))
	fmt.Fprintf(t, "ready\t%s\n", readyText(s))
	fmt.Fprintf(t, "policy\t%s%s\n", s.Policy, ofFile(s))
	fmt.Fprintf(t, "generation\t%d\nsegments\t%d\nports\t%d, %d up\nendpoints\t%d\n", s.Generation, s.Segments, s.Ports, s.PortsUp, s.Endpoints)
	fmt.Fprintf(t, "sessions\t%d of %d\nfragmented packets\t%d of %d, %d of %d fragments held\n", s.Sessions, s.SessionsMax,
		s.Fragments, s.FragmentsMax, s.FragmentsHeld, s.FragmentsHeldMax)
	for _, table := range s.Tables {
		fmt.Fprintf(t, "%s\t%d of %d\n", table.Name, table.Used, table.Max)
	}
	fmt.Fprintf(t, "workers\t%d\nframe memory\t%d of %d free\n", s.Workers, s.FramesFree, s.Frames)
	fmt.Fprintf(t, "huge pages\t%s\nprocesses\t%s\n", yesNo(s.HugePages), processes(s))
	if s.TakenOver != (api.TakenOver{}) {
		fmt.Fprintf(t, "taken over\t%s\n", takenOver(&s.TakenOver))
	}
	_ = t.Flush()
	if s.PolicyError != "" {
		fmt.Fprintln(w, "warning:", s.PolicyError)
	}
	for _, failure := range s.Canary.Failures {
		fmt.Fprintln(w, "alarm:", failure)
	}
	for _, warning := range s.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}

// readyText says whether the switch is ready, and by what it is known.
func readyText(s *api.Status) string {
	if !s.Ready {
		return "no: " + s.NotReady
	}
	if s.Canary.Segments == 0 {
		return "yes; no segment has two endpoints to show it with"
	}
	return fmt.Sprintf("yes: shown in %s every %gs", count(s.Canary.Segments, "segment"), s.Canary.PeriodSeconds)
}

// processes says who opens ports, and with whose privileges frames are parsed.
func processes(s *api.Status) string {
	if s.SingleProcess {
		return "one: the dataplane has the daemon's privileges"
	}
	return "two: the dataplane has no privileges, the port helper opens ports"
}

// takenOver says what is from the switch before.
func takenOver(t *api.TakenOver) string {
	text := fmt.Sprintf("%s, %s, %s, %s", count(t.Ports, "port"), count(t.Sessions, "session"), count(t.Translations, "translation"), count(t.MACs, "MAC"))
	if left := t.Torn + t.Unknown + t.Refused; left > 0 {
		text += fmt.Sprintf("; not taken: %d torn, %d of what is no more, %d whose time was over or that had no room", t.Torn, t.Unknown, t.Refused)
	}
	if t.Cold != "" {
		text = fmt.Sprintf("%s; all else began cold: %s", count(t.Ports, "port"), t.Cold)
	}
	return text
}

// ofFile says where a loaded policy is from.
func ofFile(s *api.Status) string {
	if s.PolicyFile == "" || s.Policy != "loaded" {
		return ""
	}
	text := fmt.Sprintf("%s, %s", s.PolicyFile, count(s.Rules, "rule"))
	if len(s.PolicySignedBy) > 0 {
		text += fmt.Sprintf(", generation %d, signed by %s", s.PolicyGeneration, strings.Join(s.PolicySignedBy, " and "))
	}
	return " (" + text + ")"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func portsCommand(v *view) *cobra.Command {
	return list(v, "ports", "The ports, how they run and what they carried", `A superframe counts as one frame. A trunk has its VLANs with their segments, as
20:back; a segment without a VLAN is that of untagged frames. What bounds a port
is in -o json.`,
		"  vsctl ports\n  vsctl ports -o json | jq '.[].mode'\n  vsctl ports --watch 1s", "/v1/ports", func(w io.Writer, ports *[]api.Port) {
			columns(w, "PORT\tROLE\tSEGMENT\tDRIVER\tDEVICE\tNETNS\tUP\tRX\tTX\tDROPPED\tMODE", func(row func(...any)) {
				for _, p := range *ports {
					mode := p.Mode
					if p.Blocked != "" {
						mode = p.Blocked
					}
					if p.Error != "" {
						mode = p.Error
					}
					row(p.Name, p.Role, segmentsText(&p), p.Driver, p.Device, p.Netns, yesNo(p.Up), p.RxFrames, p.TxFrames, sum(p.Drops), mode)
				}
			})
		})
}

// segmentsText is the segments that a port is in: its own, and those of the VLANs
// of a trunk, as front,20:back.
func segmentsText(p *api.Port) string {
	var out []string
	if p.Segment != "" {
		out = append(out, p.Segment)
	}
	for _, tags := range slices.Sorted(maps.Keys(p.VLANs)) {
		out = append(out, tags+":"+p.VLANs[tags])
	}
	return strings.Join(out, ",")
}

func sum(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

func fdbCommand(v *view) *cobra.Command {
	return list(v, "fdb", "Which MAC is where", "MACs that are bound to endpoints, and those learned from peers.",
		"  vsctl fdb\n  vsctl fdb -o json\n  vsctl fdb --watch 5s", "/v1/fdb", func(w io.Writer, entries *[]api.FDBEntry) {
			columns(w, "SEGMENT\tMAC\tPORT\tPEER\tKIND\tENDPOINT\tIDLE", func(row func(...any)) {
				for _, e := range *entries {
					idle := ""
					if e.Kind == "learned" {
						idle = fmt.Sprintf("%.0fs", e.IdleSeconds)
					}
					row(e.Segment, e.MAC, e.Port, e.Peer, e.Kind, e.Endpoint, idle)
				}
			})
		})
}

func groupsCommand(v *view) *cobra.Command {
	return list(v, "groups", "Who listens to which multicast group", `In segments that snoop: listeners, routers, who hear every group, and where
somebody other than the switch asks who listens (querier).`,
		"  vsctl groups\n  vsctl groups -o json\n  vsctl groups --watch 5s", "/v1/groups", func(w io.Writer, groups *[]api.Group) {
			columns(w, "SEGMENT\tKIND\tGROUP\tPORT\tPEER\tLEFT", func(row func(...any)) {
				for _, g := range *groups {
					left := ""
					if g.SecondsLeft > 0 {
						left = fmt.Sprintf("%.0fs", g.SecondsLeft)
					}
					row(g.Segment, g.Kind, g.Group, g.Port, g.Peer, left)
				}
			})
		})
}

func mirrorsCommand(v *view) *cobra.Command {
	return list(v, "mirrors", "What is shown to analysers, and how much of it was lost", `SELECTED are the frames that a mirror wanted; of these SENT were taken by its
port, LIMITED were more than its rate, FULL more than a batch has memory for,
and LOST not taken by the port. CUT are longer than is shown. What a mirror
selects is in -o json.`,
		"  vsctl mirrors\n  vsctl mirrors -o json | jq '.[].unknown'\n  vsctl mirrors --watch 1s", "/v1/mirrors", func(w io.Writer, mirrors *[]api.Mirror) {
			columns(w, "MIRROR\tTO\tSELECTED\tSENT\tBYTES\tCUT\tLIMITED\tFULL\tLOST\tREMARK", func(row func(...any)) {
				for _, m := range *mirrors {
					to, remark := m.Port, ""
					if m.Collector != "" {
						to += fmt.Sprintf(" (%s, session %d)", m.Collector, m.Session)
					}
					if len(m.Unknown) > 0 {
						remark = "not in the policy: " + strings.Join(m.Unknown, ", ")
					}
					row(m.Name, to, m.Selected, m.Sent, m.SentBytes, m.Cut, m.Limited, m.Full, m.Lost, remark)
				}
			})
		})
}

func sessionsCommand(v *view) *cobra.Command {
	limit := 100
	cmd := &cobra.Command{
		Use: "sessions", Short: "The open connections, and the rule that allowed each", Args: cli.NoArgs,
		Long:    "A session without a rule was judged by an earlier policy: its next packet asks\nagain. OUTSIDE is the address that the end inside has there, where it is translated.",
		Example: "  vsctl sessions\n  vsctl sessions --limit 10000 -o json\n  vsctl sessions --watch 1s",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 {
			return fmt.Errorf("--limit %d: at least one session is shown", limit)
		}
		return show(cmd, v, fmt.Sprintf("/v1/sessions?limit=%d", limit), func(w io.Writer, s *api.Sessions) {
			columns(w, "PROTO\tSOURCE\tDESTINATION\tOUTSIDE\tSTATE\tRULE\tFRAMES\tBYTES\tBACK\tBYTES\tLEFT", func(row func(...any)) {
				for _, x := range s.Sessions {
					row(x.Proto, x.Source, x.Destination, x.Outside, x.State, x.Rule, x.Frames, x.Bytes, x.ReplyFrames, x.ReplyBytes, fmt.Sprintf("%.0fs", x.ExpiresAfter))
				}
			})
			if s.More {
				fmt.Fprintf(w, "%d of %d shown; --limit shows more\n", len(s.Sessions), s.Total)
			}
		})
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "show at most `N`")
	cmd.Flags().DurationVar(&v.watch, "watch", 0, "show it again every `TIME`, as 1s")
	return cmd
}

func endpointsCommand(v *view) *cobra.Command {
	return list(v, "endpoints", "The workloads: who, where, and in which services", `BY says who stated it: config, api, or a source's name. config+agent: who it is says
the configuration, and the agent that it is elsewhere.`,
		"  vsctl endpoints\n  vsctl endpoints -o json\n  vsctl endpoints | grep shop", "/v1/endpoints", func(w io.Writer, all *[]api.Endpoint) {
			columns(w, "ENDPOINT\tSEGMENT\tPORT\tPEER\tMAC\tIPS\tSERVICES\tLABELS\tBY", func(row func(...any)) {
				for _, e := range *all {
					row(e.Name, e.Segment, e.Port, e.Peer, e.MAC, strings.Join(e.IPs, ","), strings.Join(e.Services, ","), whoText(e), byText(e))
				}
			})
		})
}

// byText is who stated an endpoint, and who its place.
func byText(e api.Endpoint) string {
	if e.PlacedBy == "" {
		return e.Source
	}
	return e.Source + "+" + e.PlacedBy
}

// whoText is an endpoint's labels, and that it is a host.
func whoText(e api.Endpoint) string {
	text := labelText(e.Labels)
	switch {
	case !e.Host:
		return text
	case len(e.Labels) == 0:
		return "host"
	}
	return "host," + text
}

func labelText(labels map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, k+"="+labels[k])
	}
	return strings.Join(out, ",")
}

// priorityText is where a rule stands in its tier; behind every priority is the
// tier's default.
func priorityText(priority uint32) string {
	if priority == math.MaxUint32 {
		return "default"
	}
	return strconv.FormatUint(uint64(priority), 10)
}

func policyCommand(v *view) *cobra.Command {
	cmd := list(v, "policy", "The policy in force, rule by rule", `In the order of decision. Hits are connections that the rule decided, or packets
if it is stateless. Notes are what it says beside: an audit with what it would
have denied, when it is valid, whose it is and what for. A rule of a scope that
says one thing where a connection leaves and another where it arrives is here
twice, with the end that each speaks for and the hits that each has.`,
		"  vsctl policy\n  vsctl policy -o json\n  vsctl policy load /etc/bulkhead/policy.bhp", "/v1/policy", func(w io.Writer, p *api.Policy) {
			if !p.Loaded {
				fmt.Fprintln(w, "no policy is loaded: everything is denied")
				return
			}
			fmt.Fprintf(w, "%s: generation %d, source %.12s, %s, %s\n", p.File, p.Generation, p.SourceHash, count(p.Services, "service"), count(p.Networks, "network"))
			t := p.Tables
			fmt.Fprintf(w, "tables: %d identities, %d x %d classes, %d port classes, %d programs, %d bytes, at most %d memory touches a lookup\n\n",
				t.Identities, t.SourceClasses, t.DestClasses, t.PortClasses, t.Programs, t.Bytes, t.Touches)
			columns(w, "RULE\tVERDICT\tTIER\tPRIORITY\tENDS\tFROM\tTO\tPORTS\tHITS\tPLACE\tNOTES", func(row func(...any)) {
				for _, r := range p.Rules {
					row(r.Name, r.Verdict, r.Tier, priorityText(r.Priority), r.Direction, strings.Join(r.From, ","), strings.Join(r.To, ","), strings.Join(r.Ports, ","), r.Hits, r.Place, ruleNotes(&r))
				}
			})
		})
	cmd.AddCommand(policyLoadCommand(v), policyShadowCommand(v))
	return cmd
}

// ruleNotes is what a rule says beside its verdict.
func ruleNotes(r *api.Rule) string {
	var out []string
	if r.Audit {
		out = append(out, fmt.Sprintf("audit: would deny %d", r.WouldDeny))
	}
	if r.Stateless {
		out = append(out, "stateless")
	}
	if r.Log {
		out = append(out, "log")
	}
	switch r.State {
	case "expired":
		out = append(out, "expired "+r.ValidUntil)
	case "not-yet":
		out = append(out, "not valid before "+r.ValidFrom)
	default:
		if r.ValidUntil != "" {
			out = append(out, "until "+r.ValidUntil)
		}
	}
	for _, remark := range []string{r.Owner, r.Reason} {
		if remark != "" {
			out = append(out, remark)
		}
	}
	return strings.Join(out, "; ")
}

func countersCommand(v *view) *cobra.Command {
	return list(v, "counters", "Every drop by port and reason, every rule by its hits", "in + copies = out + consumed + dropped, exactly.",
		"  vsctl counters\n  vsctl counters --watch 1s\n  vsctl counters -o json | jq .drops", "/v1/counters", func(w io.Writer, c *api.Counters) {
			fmt.Fprintf(w, "in %d  copies %d  out %d  consumed %d  dropped %d\n\n", c.In, c.Copies, c.Out, c.Consumed, c.Dropped)
			columns(w, "PORT\tREASON\tSTAGE\tFRAMES\tMEANS", func(row func(...any)) {
				for _, d := range c.Drops {
					row(d.Port, d.Reason, d.Stage, d.Frames, d.Meant)
				}
			})
			fmt.Fprintln(w)
			columns(w, "RULE\tHITS", func(row func(...any)) {
				for _, name := range slices.Sorted(maps.Keys(c.Rules)) {
					row(name, c.Rules[name])
				}
				row("(default deny)", c.DefaultDeny)
			})
			if len(c.Audits) > 0 {
				fmt.Fprintln(w)
				columns(w, "RULE UNDER AUDIT\tWOULD DENY", func(row func(...any)) {
					for _, name := range slices.Sorted(maps.Keys(c.Audits)) {
						row(name, c.Audits[name])
					}
				})
			}
			if c.LogLost > 0 {
				fmt.Fprintf(w, "\n%d events of rules were not logged one by one: there were too many\n", c.LogLost)
			}
		})
}
