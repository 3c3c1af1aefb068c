// Command vswitch-agent joins a switch to those of other hosts, through etcd, and to
// fabrics, by BGP EVPN: it tells them what runs here, and the switch what runs elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
)

// Exit codes, as --help states them.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(codeOf(cli.Run(ctx, command(), os.Args[1:])))
}

// codeOf says what went wrong, and returns the exit code for it.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "vswitch-agent: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nvswitch-agent: "))
	if usage := (cli.Usage{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func command() *cobra.Command {
	s := &storeFlags{}
	root := &cobra.Command{
		Use:   "vswitch-agent",
		Short: "Joins a switch to other hosts, through etcd, and to fabrics, by BGP EVPN",
		Long: `vswitch-agent run tells the store which workloads are on this host's ports, and
the switch which are on other hosts, by the control API of vswitchd. It holds no
traffic up: killed, hung or without its store, what the switch was told last stays.
vswitch-agent evpn does the same with the neighbours of a fabric instead of a store.

The other commands are an administrator's: they make a store a cluster's and say
what all hosts have alike.

Exit codes: 0 done, 1 it failed, 2 the call is wrong.`,
		Example: `  vswitch-agent init --store http://10.0.0.1:2379
  vswitch-agent segment front --vni 7701 --gateway 10.78.1.1/24 --gateway fd78:1::1/64
  vswitch-agent run --host h1 --store http://10.0.0.1:2379
  vswitch-agent evpn --config /etc/bulkhead/evpn.toml
  vswitch-agent place db h2`,
		SilenceErrors: true, SilenceUsage: true,
	}
	s.add(root)
	root.AddCommand(runCommand(s), evpnCommand(), initCommand(s), segmentCommand(s), grantCommand(s), placeCommand(s), policyCommand(s), hostCommand(s), authCommand(s), showCommand(s))
	cli.Finish(root)
	return root
}
