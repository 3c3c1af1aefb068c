package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead/bench/peers"
	"bulkhead/bench/run"
)

// aclTool is not between namespaces: it is measured beside the policy tables.
var aclTool = peers.Peer{Name: "rte_acl", Tools: []peers.Tool{{Command: "dpdk-test-acl", Package: "dpdk-dev"}}}

func peersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "peers", Short: "Say which peers are installed", Args: cobra.NoArgs,
		Long: `Lists who can be measured, and of those that are not installed what is missing and
the command that brings it. Exit codes: 0 all are there, 1 some are not, 2 error.`,
		Example: "  vsbench peers\n  vsbench peers install\n  vsbench peers && vsbench run all",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			missing := 0
			for _, p := range append(peers.All(), aclTool) {
				state := "installed"
				if err := run.NeedsTools([]peers.Peer{p}, exec.LookPath); err != nil {
					state, missing = err.Error(), missing+1
				}
				fmt.Fprintf(t, "%s\t%s\n", p.Name, state)
			}
			if err := t.Flush(); err != nil || missing == 0 {
				return err
			}
			return fmt.Errorf("%w: %d peers are not installed; vsbench peers install brings them", errMissing, missing)
		},
	}
	cmd.AddCommand(installCommand())
	return cmd
}

// errMissing says that some peer cannot be measured.
var errMissing = errors.New("not everybody can be measured")

func installCommand() *cobra.Command {
	return &cobra.Command{
		Use: "install", Short: "Install the peers' Debian packages", Args: cobra.NoArgs,
		Long: `Runs apt-get update and apt-get install for every package that a peer needs and
that is missing, as root. Daemons of those packages are not started: a policy
program that says so stands in while it runs, unless there is one already.`,
		Example: "  vsbench peers install\n  sudo vsbench peers install\n  vsbench peers",
		RunE: func(cmd *cobra.Command, _ []string) error {
			packages := lacking(exec.LookPath)
			if packages == nil {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "all peers are installed")
				return err
			}
			undo, err := startNothing("/usr/sbin/policy-rc.d")
			if err != nil {
				return err
			}
			for _, words := range [][]string{{"update", "-q"}, append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...)} {
				apt := exec.CommandContext(cmd.Context(), "apt-get", words...)
				apt.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
				apt.Stdout, apt.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
				if err := apt.Run(); err != nil {
					return errors.Join(fmt.Errorf("apt-get %s: %w", strings.Join(words, " "), err), undo())
				}
			}
			return undo()
		},
	}
}

// lacking lists the packages of all programs that are not there, each once.
func lacking(look func(string) (string, error)) (packages []string) {
	for _, p := range append(peers.All(), aclTool) {
		for _, t := range p.Tools {
			if _, err := look(t.Command); err != nil && !slices.Contains(packages, t.Package) {
				packages = append(packages, t.Package)
			}
		}
	}
	return packages
}

// startNothing has Debian's packages start no daemon (invoke-rc.d(8)), until it
// is undone; what is there already is left alone.
func startNothing(policy string) (undo func() error, err error) {
	f, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	return func() error { return os.Remove(policy) }, errors.Join(err, f.Close())
}
