// Command vsbench measures the switch beside what else the machine has.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"bulkhead/bench/netns"
	"bulkhead/bench/report"
	"bulkhead/bench/walk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "vsbench: %v\n", err)
		os.Exit(2)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "vsbench",
		Short: "Measure the switch beside its peers",
		Long: `vsbench measures the walk in memory, and real traffic between two network
namespaces through vswitchd and through the kernel's own bridge and nftables, in
turn, in the same rounds. It prints medians with their spread, ratios of the same
rounds, and a winner only where the spreads do not overlap.

Exit codes: 0 measured, 2 error.`,
		Example: `  vsbench list
  vsbench run walk
  vsbench run tap-tcp tap-rtt --rounds 5 -o json`,
		SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
	}
	root.AddCommand(listCommand(), runCommand())
	return root
}

func names() []string {
	out := []string{"walk"}
	for _, sc := range netns.Scenarios() {
		out = append(out, sc.Name)
	}
	return out
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the scenarios", Args: cobra.NoArgs,
		Example: "  vsbench list\n  vsbench list | head -1\n  vsbench run $(vsbench list | head -1)",
		Run: func(cmd *cobra.Command, _ []string) {
			for _, n := range names() {
				fmt.Fprintln(cmd.OutOrStdout(), n)
			}
		},
	}
}

type options struct {
	rounds, seconds  int
	output, vswitchd string
}

func runCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run SCENARIO...|all",
		Short: "Run scenarios and print what they found",
		Long: `Runs the scenarios, each for all its subjects in turn. walk needs no privilege;
the others need root, iperf3 and nft, and make and remove their own namespaces.`,
		Example: `  vsbench run walk
  vsbench run tap-tcp --rounds 5 --seconds 3
  vsbench run all -o json > report.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("no scenario is named; one of %s, or all", strings.Join(names(), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, args, o) },
	}
	cmd.Flags().IntVar(&o.rounds, "rounds", 5, "measure `N` times")
	cmd.Flags().IntVar(&o.seconds, "seconds", 2, "each for `N` seconds, where traffic is real")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	cmd.Flags().StringVar(&o.vswitchd, "vswitchd", "", "the daemon's `PATH`; beside vsbench, or on the PATH")
	return cmd
}

func run(cmd *cobra.Command, args []string, o options) error {
	if o.rounds < 1 || o.seconds < 1 || o.output != "text" && o.output != "json" {
		return errors.New("--rounds and --seconds are at least 1, --output is text or json")
	}
	if len(args) == 1 && args[0] == "all" {
		args = names()
	}
	r := &report.Report{Command: "vsbench run " + strings.Join(args, " "), Machine: machine()}
	for _, name := range args {
		figures, ratios, err := scenario(cmd.Context(), name, o)
		if err != nil {
			return err
		}
		r.Figures = append(r.Figures, figures...)
		r.Ratios = append(r.Ratios, ratios...)
	}
	progress("")
	if o.output == "json" {
		return r.JSON(cmd.OutOrStdout())
	}
	return r.Text(cmd.OutOrStdout())
}

func scenario(ctx context.Context, name string, o options) ([]report.Figure, []report.Ratio, error) {
	if name == "walk" {
		figures, err := walk.Measure(walk.Cases(), o.rounds, 200*time.Millisecond, progress)
		return figures, nil, err
	}
	for _, sc := range netns.Scenarios() {
		if sc.Name == name {
			return netns.Measure(ctx, sc, netns.Options{Rounds: o.rounds, Seconds: o.seconds, VSwitchd: daemon(o.vswitchd), Progress: progress})
		}
	}
	return nil, nil, fmt.Errorf("no scenario is called %q; one of %s", name, strings.Join(names(), ", "))
}

// daemon finds vswitchd: where it was named, beside this program, or on the
// path.
func daemon(named string) string {
	if named != "" {
		return named
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "vswitchd")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	path, _ := exec.LookPath("vswitchd")
	return path
}

// progress shows what is under way, to a terminal only.
func progress(text string) {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		fmt.Fprintf(os.Stderr, "\r\033[K%s", text)
	}
}

// machine says where this was measured.
func machine() string {
	var u unix.Utsname
	kernel := "unknown kernel"
	if unix.Uname(&u) == nil {
		kernel = "Linux " + unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%s, %d CPUs, %s, %s/%s", kernel, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
