package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/agent/store"
	"bulkhead/vswitch/cli"
)

func initCommand(s *storeFlags) *cobra.Command {
	grants := false
	cmd := &cobra.Command{
		Use: "init", Short: "Make a store a cluster's", Args: cli.NoArgs,
		Long: `Writes which cluster the store is of, once. Hosts remember it, and believe no store
that says another.`,
		Example: "  vswitch-agent init\n  vswitch-agent init --store http://10.0.0.1:2379\n  vswitch-agent init --grants-required",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
				id, made, err := store.Init(ctx, c, grants)
				if err == nil && made {
					fmt.Fprintf(cmd.OutOrStdout(), "made cluster %s\n", id)
				} else if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "it is cluster %s already\n", id)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&grants, "grants-required", false, "a host may claim nothing without a grant")
	return cmd
}

func segmentCommand(s *storeFlags) *cobra.Command {
	r, remove := schema.Segment{Schema: schema.Version}, false
	cmd := &cobra.Command{
		Use: "segment NAME --vni N", Short: "State a segment for all hosts, or take it back", Args: cli.OneArg("name"),
		Long: `A host whose configuration has the segment must have it with the same VNI, VRF and
gateways. On the others it is made, so that they can route into it.`,
		Example: `  vswitch-agent segment front --vni 7701 --gateway 10.78.1.1/24 --gateway fd78:1::1/64
  vswitch-agent segment lab --vni 7709 --vrf lab
  vswitch-agent segment lab --delete`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			return s.put(cmd, schema.SegmentKey(args[0]), &r, remove)
		},
	}
	f := cmd.Flags()
	f.Uint32Var(&r.VNI, "vni", 0, "its VNI, from 1 to 16777215")
	f.StringVar(&r.VRF, "vrf", "", "its `VRF`; left out: default")
	f.StringArrayVar(&r.Gateways, "gateway", nil, "an `ADDRESS/LENGTH` of its gateway; may be given again")
	f.StringVar(&r.GatewayMAC, "gateway-mac", "", "the gateway's `MAC`; left out: made of the name")
	f.BoolVar(&remove, "delete", false, "take it back")
	return cmd
}

func grantCommand(s *storeFlags) *cobra.Command {
	r, remove := schema.Grant{Schema: schema.Version}, false
	cmd := &cobra.Command{
		Use: "grant HOST", Short: "Bound what a host may claim", Args: cli.OneArg("host"),
		Long: `What a host claims beyond its grant the other hosts refuse. A host without a grant
may claim anything that is nobody else's, unless the cluster asks for grants.`,
		Example: `  vswitch-agent grant h1 --segment front --prefix 10.78.1.0/24 --label app=shop --label 'tier=*'
  vswitch-agent grant h1 --vtep 192.0.2.1 --segment front --prefix 10.78.0.0/16 --label 'app=*'
  vswitch-agent grant h1 --delete`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Host = args[0]
			return s.put(cmd, schema.GrantKey(args[0]), &r, remove)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&r.VTEPs, "vtep", nil, "an `ADDRESS` that its VTEP may have; none: any")
	f.StringArrayVar(&r.Segments, "segment", nil, "a `SEGMENT` that its endpoints may be in")
	f.StringArrayVar(&r.Prefixes, "prefix", nil, "a `PREFIX` that their addresses may be of")
	f.StringArrayVar(&r.Labels, "label", nil, "a `KEY=VALUE` that they may have, or KEY=*")
	f.BoolVar(&remove, "delete", false, "take it back")
	return cmd
}

// put writes or deletes an administrator's record.
func (s *storeFlags) put(cmd *cobra.Command, key string, record any, remove bool) error {
	return s.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
		what := strings.TrimPrefix(key, schema.Prefix)
		if remove {
			resp, err := c.Delete(ctx, key)
			if err == nil && resp.Deleted == 0 {
				return fmt.Errorf("there is no %s", what)
			}
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "deleted", what)
			}
			return err
		}
		err := store.Put(ctx, c, key, record)
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), "wrote", what)
		}
		return err
	})
}

func placeCommand(s *storeFlags) *cobra.Command {
	remove := false
	cmd := &cobra.Command{
		Use: "place ENDPOINT HOST", Short: "Say on which host an endpoint is: it moves there",
		Long: `From then on the claim of that host is the one that counts, as soon as it has one;
until then the endpoint is where it was. An old host cannot claim it back.`,
		Example: "  vswitch-agent place db h2\n  vswitch-agent place shop/db-1 h3 --store http://10.0.0.1:2379\n  vswitch-agent place db --delete",
		Args: func(_ *cobra.Command, args []string) error {
			if n := len(args); !remove && n != 2 || remove && n != 1 {
				return fmt.Errorf("place takes an endpoint and a host, or with --delete an endpoint, not %d words", n)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove {
				return s.put(cmd, schema.PlacementKey(args[0]), nil, true)
			}
			return s.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
				epoch, err := store.Place(ctx, c, args[0], args[1])
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "placed %s on %s; epoch %d\n", args[0], args[1], epoch)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&remove, "delete", false, "take the placement back: who has it keeps it")
	return cmd
}

func policyCommand(s *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use: "policy FILE", Short: "Put a signed policy in force on all hosts", Args: cli.OneArg("file"),
		Long: `Writes what policyc build and sign wrote into the store. Each host's switch takes it
only if a key of its own configuration signed it, and not if it is older.`,
		Example: "  vswitch-agent policy policy.bhp\n  policyc sign policy.bhp --key key && vswitch-agent policy policy.bhp\n  vswitch-agent policy /srv/policy.bhp --store http://10.0.0.1:2379",
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			artifact, signatures, err := policy.Unseal(data)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if len(signatures) == 0 {
				return fmt.Errorf("%s is not signed, and no host would take it: policyc sign", args[0])
			}
			rules, err := policy.Decode(artifact)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return s.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
				err := store.WritePolicy(ctx, c, data, rules.Generation)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "wrote the policy of generation %d, %d rules\n", rules.Generation, len(rules.Rules))
				}
				return err
			})
		},
	}
}

func hostCommand(s *storeFlags) *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use: "host HOST", Short: "Make a host's credentials in the store", Args: cli.OneArg("host"),
		Long: `Makes a user of the host's name that reads what all may and writes the host's own
keys only. Without a password the host shows a certificate with that common name.`,
		Example: "  vswitch-agent host h1\n  vswitch-agent host h1 --host-password-file h1.password\n  vswitch-agent host h1 --user root --password-file root.password",
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := "", error(nil)
			if file != "" {
				if secret, err = password(file); err != nil {
					return err
				}
			}
			return s.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
				err := store.AddHost(ctx, c, args[0], secret)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), "host", args[0], "may write its own keys")
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&file, "host-password-file", "", "`FILE` of the host's password")
	return cmd
}

func authCommand(s *storeFlags) *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use: "auth", Short: "Have the store ask everybody who they are", Args: cli.NoArgs,
		Long: `Makes the user root, the store's administrator, and turns authentication on. Make
the hosts' credentials first.`,
		Example: "  vswitch-agent auth --root-password-file root.password\n  vswitch-agent auth --store https://10.0.0.1:2379 --ca ca.pem --cert root.pem --key root.key\n  vswitch-agent host h1 && vswitch-agent auth",
		RunE: func(cmd *cobra.Command, _ []string) error {
			secret, err := "", error(nil)
			if file != "" {
				if secret, err = password(file); err != nil {
					return err
				}
			}
			return s.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
				err := store.EnableAuth(ctx, c, secret)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), "the store asks who they are; root is its administrator")
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&file, "root-password-file", "", "`FILE` of root's password; left out: root shows a certificate of that common name")
	return cmd
}

func showCommand(s *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "What the store says, record by record", Args: cli.NoArgs,
		Long:    "Lists every record under " + schema.Prefix + ", and what is wrong with those that\nno host believes.",
		Example: "  vswitch-agent show\n  vswitch-agent show --store http://10.0.0.1:2379\n  vswitch-agent show | grep endpoints/h1/",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
				resp, err := c.Get(ctx, schema.Prefix, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
				if err != nil {
					return err
				}
				for _, kv := range resp.Kvs {
					what, value := strings.TrimPrefix(string(kv.Key), schema.Prefix), string(kv.Value)
					if _, _, err := schema.Decode(string(kv.Key), kv.Value); err != nil {
						value = "REFUSED: " + err.Error()
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", what, value)
				}
				return nil
			})
		},
	}
}
