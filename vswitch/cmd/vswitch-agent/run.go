package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/agent"
	"bulkhead/vswitch/agent/member"
	"bulkhead/vswitch/cli"
)

// embedded says which member of the store runs in this process.
type embedded struct {
	on            bool
	m             member.Config
	cert, key, ca string
}

func runCommand(s *storeFlags) *cobra.Command {
	c, e := agent.Config{}, embedded{}
	cmd := &cobra.Command{
		Use: "run --host NAME", DisableFlagsInUseLine: true, Short: "Join this host's switch to the others",
		Long: `Runs until SIGTERM or SIGINT. The host's keys stay in the store until their
lease runs out (--ttl); the other hosts keep what it had for --grace after that,
unless one of them claims it. Logs to stderr, as JSON.

With --embedded-store a member of the store runs in this process: on one host
alone, or on three that name each other in --store-members, as
h1=http://10.0.0.1:2380,h2=http://10.0.0.2:2380,h3=http://10.0.0.3:2380.`,
		Example: `  vswitch-agent run --host h1 --store http://10.0.0.1:2379,http://10.0.0.2:2379
  vswitch-agent run --host h1 --store https://10.0.0.1:2379 --ca ca.pem --cert h1.pem --key h1.key
  vswitch-agent run --host h1 --embedded-store --store-client http://10.0.0.1:2379`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), s, &c, &e, cmd.Flags().Changed("store"))
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Host, "host", "", "this host's `NAME`, which no other has")
	_ = cmd.MarkFlagRequired("host")
	f.StringVar(&c.Socket, "socket", "/run/bulkhead/vswitchd.sock", "the switch's control `SOCKET`")
	f.StringVar(&c.Dir, "dir", "/var/lib/bulkhead/agent", "`DIR` for what is remembered; the policy is written there as policy.bhp")
	f.DurationVar(&c.TTL, "ttl", 10*time.Second, "how long the host's keys live without the agent")
	f.DurationVar(&c.Grace, "grace", 24*time.Hour, "how long what a lost host had is kept")
	f.BoolVar(&c.NewStore, "new-store", false, "the store is another than before, and that is meant")
	f.BoolVar(&e.on, "embedded-store", false, "run a member of the store in this process")
	f.StringVar(&e.m.Name, "store-name", "", "the member's `NAME`; left out: the host's")
	f.StringVar(&e.m.Client, "store-client", "http://127.0.0.1:2379", "`URL` at which the member serves")
	f.StringVar(&e.m.Peer, "store-peer", "http://127.0.0.1:2380", "`URL` at which the other members reach it")
	f.StringVar(&e.m.Members, "store-members", "", "all members, as `NAME=URL,NAME=URL`; left out: this one alone")
	f.BoolVar(&e.m.Joins, "store-joins", false, "the members run already, and this one joins them")
	f.StringVar(&e.cert, "store-cert", "", "`FILE` of the member's certificate")
	f.StringVar(&e.key, "store-key", "", "`FILE` of its key")
	f.StringVar(&e.ca, "store-ca", "", "`FILE` of the certificate that clients' and members' are signed with")
	return cmd
}

func run(ctx context.Context, s *storeFlags, c *agent.Config, e *embedded, storeNamed bool) error {
	c.Log = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if c.TTL < 2*time.Second || c.TTL > time.Hour || c.Grace < 0 {
		return errors.New("--ttl is from 2s to 1h, and --grace is not below zero")
	}
	if e.on {
		stop, err := e.start(c)
		if err != nil {
			return err
		}
		defer stop()
		if !storeNamed {
			s.urls = []string{e.m.Client}
		}
	}
	var err error
	if c.Store, err = s.config(); err != nil {
		return err
	}
	a, err := agent.New(*c)
	if err != nil {
		return err
	}
	c.Log.Info("running", "host", c.Host, "store", strings.Join(s.urls, ","), "socket", c.Socket)
	return a.Run(ctx)
}

// start starts the member, and waits for it no longer than it takes where all is
// well: a member may have to wait for others, and the agent must not. What keeps it
// from starting at all is an error; if it fails later the agent goes on without it.
func (e *embedded) start(c *agent.Config) (stop func(), err error) {
	if e.m.Name == "" {
		e.m.Name = c.Host
	}
	e.m.Dir, e.m.Cert, e.m.Key, e.m.CA = c.Dir+"/store", e.cert, e.key, e.ca
	if err := os.MkdirAll(e.m.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := e.m.Check(); err != nil {
		return nil, err
	}
	began := make(chan error, 1)
	running := make(chan *member.Member, 1)
	go func() {
		m, err := member.Start(e.m)
		if err == nil {
			running <- m
		}
		began <- err
		if err != nil {
			c.Log.Error("embedded-store", "error", err, "dir", e.m.Dir, "effect", "the agent goes on without it; start it again")
			return
		}
		if err := <-m.Failed(); err != nil {
			c.Log.Error("embedded-store", "error", err, "effect", "the agent goes on without it")
		}
	}()
	select {
	case err := <-began:
		if err != nil {
			return nil, fmt.Errorf("%w; its data lies in %s", err, e.m.Dir)
		}
	case <-time.After(startTime):
		c.Log.Warn("embedded-store", "effect", "it waits for other members; the agent goes on meanwhile")
	}
	return func() {
		select {
		case m := <-running:
			m.Stop()
		default: // it has not come so far
		}
	}, nil
}

// startTime is how long a member takes that waits for nobody.
const startTime = 3 * time.Second
