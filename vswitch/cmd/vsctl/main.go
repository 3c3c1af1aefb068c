// Command vsctl is the operator's view of a running vswitchd.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// Exit codes, as --help states them.
const (
	exitNo    = 1 // the answer is no, or the switch refused
	exitUsage = 2 // the call is wrong, or no switch could be asked
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run is main, for the tests.
func run(ctx context.Context, args []string) int {
	err := cli.Run(ctx, command(), args)
	var refused *api.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return exitNo
	}
	fmt.Fprintf(os.Stderr, "vsctl: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nvsctl: "))
	var question unanswered
	if errors.As(err, &refused) && !errors.As(err, &question) {
		return exitNo
	}
	return exitUsage
}

// unanswered is a refusal of a question: it is no answer, so it is not no.
type unanswered struct{ error }

func (u unanswered) Unwrap() error { return u.error }

// errNo says that the answer is no, and has been printed.
var errNo = errors.New("no")

// view is what every command shares.
type view struct {
	socket string
	output string
	watch  time.Duration
}

func command() *cobra.Command {
	v := &view{}
	root := &cobra.Command{
		Use:   "vsctl",
		Short: "See and steer a running vswitchd",
		Long: `vsctl shows what a running switch knows and does, and changes it.

Exit codes: 0 done, 1 the switch refused, is not ready, or would drop the traced
frame, 2 the call is wrong or no switch could be asked.`,
		Example: `  vsctl status
  vsctl trace --port web --to 10.0.0.3 --tcp 5432
  vsctl endpoint move db --to-port spare`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if v.output != "text" && v.output != "json" {
				return fmt.Errorf("output %q is not known; text or json", v.output)
			}
			return nil
		},
	}
	socket := os.Getenv("BULKHEAD_SOCKET")
	if socket == "" {
		socket = "/run/bulkhead/vswitchd.sock"
	}
	root.PersistentFlags().StringVar(&v.socket, "socket", socket, "the switch's control `SOCKET`; also $BULKHEAD_SOCKET")
	root.PersistentFlags().StringVarP(&v.output, "output", "o", "text", "print as `FORMAT`: text or json")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(
		statusCommand(v), portsCommand(v), fdbCommand(v), groupsCommand(v), mirrorsCommand(v), sessionsCommand(v), endpointsCommand(v), policyCommand(v),
		countersCommand(v), traceCommand(v), endpointCommand(v), sourceCommand(v), reloadCommand(v), captureCommand(v),
	)
	cli.Finish(root)
	return root
}

func (v *view) client() *control.Client { return control.NewClient(v.socket) }

// show gets path and prints it: as the API says it, or by table. With --watch
// it does so again and again.
func show[T any](cmd *cobra.Command, v *view, path string, table func(io.Writer, *T)) error {
	for {
		answer := new(T)
		if err := v.client().Get(cmd.Context(), path, answer); err != nil {
			if v.watch > 0 && cmd.Context().Err() != nil {
				return nil // interrupted, which is how a watch ends
			}
			return err
		}
		if err := v.print(cmd.OutOrStdout(), answer, func(w io.Writer) { table(w, answer) }); err != nil {
			return err
		}
		if v.watch <= 0 {
			return nil
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-time.After(v.watch):
			fmt.Fprintln(cmd.OutOrStdout())
		}
	}
}

// change posts a change and says what was done.
func (v *view) change(cmd *cobra.Command, path string, in any) error {
	done := new(api.Done)
	if err := v.client().Post(cmd.Context(), path, in, done); err != nil {
		return err
	}
	return v.print(cmd.OutOrStdout(), done, func(w io.Writer) {
		fmt.Fprintf(w, "%s; generation %d\n", done.Done, done.Generation)
	})
}

func (v *view) print(w io.Writer, answer any, table func(io.Writer)) error {
	if v.output == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(answer)
	}
	table(w)
	return nil
}
