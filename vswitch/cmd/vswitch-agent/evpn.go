package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/agent/evpn"
	"bulkhead/vswitch/agent/evpn/speaker"
	"bulkhead/vswitch/cli"
)

func evpnCommand() *cobra.Command {
	config, socket, check := "", "", false
	cmd := &cobra.Command{
		Use: "evpn --config FILE", DisableFlagsInUseLine: true, Short: "Join this host's switch to a fabric that speaks BGP EVPN",
		Long: `Tells neighbours by BGP EVPN (RFC 7432, RFC 8365) which workloads are on this host's
ports, and the switch which are behind the fabric's VTEPs. It needs no store, and
runs beside vswitch-agent run where there is one. Runs until SIGTERM or SIGINT;
what it stated stays in force, and neighbours keep what they heard for 120 s.
Logs to stderr, as JSON.

The file's keys, in TOML; docs/networking.md says more:

  as = 65001                      our AS
  router_id = "192.0.2.1"         an IPv4 address of the host
  listen = "192.0.2.1:179"        left out: neighbours are called, and cannot call
  keep = "1h"                     how long what a lost neighbour said is kept
  [[neighbours]]                  address, as; port, source, password_file,
                                  hops, max_routes = 16384
  [[peers]]                       VTEPs to believe: name, address, segments
  [[segments]]                    to share: name; targets = ["65000:7701"],
                                  max_endpoints = 4096
  [[labels]]                      community = "65000:17", peers, and what it
                                  means of them: labels = { tier = "web" }`,
		Example: `  vswitch-agent evpn --config /etc/bulkhead/evpn.toml
  vswitch-agent evpn --config evpn.toml --check
  vswitch-agent evpn --config evpn.toml --socket /run/bulkhead/vswitchd.sock`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := evpn.Load(config)
			if err != nil || check {
				return err
			}
			return runEVPN(cmd.Context(), cfg, socket)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&config, "config", "c", "/etc/bulkhead/evpn.toml", "the `FILE`")
	f.StringVar(&socket, "socket", "/run/bulkhead/vswitchd.sock", "the switch's control `SOCKET`")
	f.BoolVar(&check, "check", false, "tell whether the file is good, and end")
	return cmd
}

func runEVPN(ctx context.Context, cfg *evpn.Config, socket string) error {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	s, err := speaker.Start(cfg, log)
	if err != nil {
		return err
	}
	defer s.Close()
	log.Info("running", "as", cfg.AS, "router_id", cfg.RouterID, "neighbours", len(cfg.Neighbours), "socket", socket)
	return evpn.New(cfg, socket, s, log).Run(ctx)
}
