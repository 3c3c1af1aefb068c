package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/policyc/internal/atomicfile"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
	"bulkhead/policyc/internal/kube"
)

func importKubernetesCommand() *cobra.Command {
	var out target
	var o kube.Options
	var allowAll bool
	cmd := &cobra.Command{
		Use:   "kubernetes FILE|DIR... -o OUT",
		Short: "Import Kubernetes network policies",
		Long: `Reads manifests (YAML or JSON, also lists as kubectl get -o yaml prints them, and
every *.yaml, *.yml and *.json below a directory) and writes a policy with
exactly the same meaning, or says what it cannot, with the field and the cure,
and writes nothing.

Read are NetworkPolicy, ClusterNetworkPolicy, AdminNetworkPolicy and
BaselineAdminNetworkPolicy; of Namespaces, Pods, workloads (for the Pods they
make) and Nodes their labels, named ports and addresses. Other objects are left
out. Questions name them, as policyc query imported.toml --from pod:shop/web --to
pod:shop/db --port tcp/5432, and node:NAME. The Pods of a workload are
under its name, for no policy tells them apart; a question from that name to
itself is of two of them, but for replicas: 1. Where another object has the name,
too, a workload is KIND:NAMESPACE/NAME (statefulset:shop/web).

An endpoint of a Pod needs these labels, for rules to find it:
  namespace         the Pod's namespace
  ns/KEY            label KEY of the Namespace
  port/PROTO/NAME   the number of the container port NAME
  KEY               label KEY of the Pod (pod/KEY where KEY is one of the above)

What a host says to Pods is allowed, as Kubernetes allows it to the Pod's own node
for the kubelet's sake, and no NetworkPolicy keeps Pods from a host; cluster-wide
policies do. --no-host leaves both to the policies. A Pod on the host's network is
the host. A block of addresses matches the Pods that have them, too.

A cluster without any policy lets everybody talk to everybody. Manifests without
one are refused, as more often a file is missing; --allow-all imports them so.

Exit codes: 0 imported, 1 mistakes, or it cannot be said, 2 error.`,
		Example: `  policyc import kubernetes manifests/ -o imported.toml
  policyc import kubernetes pods.yaml policies.yaml -o imported.toml
  cat cluster.yaml | policyc import kubernetes - -o imported.toml -o json`,
		Args: func(cmd *cobra.Command, args []string) error { return files(cmd, args) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
		},
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := manifests(args)
			if err != nil {
				return err
			}
			if err := out.good(names); err != nil {
				return err
			}
			return importKubernetes(cmd, names, &out, o, allowAll)
		},
	}
	out.flag(cmd, "write the policy to `OUT`")
	cmd.Flags().BoolVar(&o.NoHost, "no-host", false, "no rules for what the node and its Pods say to each other")
	cmd.Flags().BoolVar(&allowAll, "allow-all", false, "where there is no policy at all, allow everything")
	return cmd
}

// manifests names the files of arguments, those of a directory in their order.
func manifests(args []string) ([]string, error) {
	var names []string
	var errs []error
	for _, arg := range args {
		if info, err := os.Stat(arg); arg == "-" || err != nil || !info.IsDir() {
			names = append(names, arg)
			continue
		}
		found, err := below(arg)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("%s has no *.yaml, *.yml or *.json", arg)
		}
		names, errs = append(names, found...), append(errs, err)
	}
	return names, errors.Join(errs...)
}

func below(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		ext := strings.ToLower(filepath.Ext(name))
		if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, ext) {
			found = append(found, name)
		}
		return err
	})
	return found, err
}

func importKubernetes(cmd *cobra.Command, names []string, out *target, o kube.Options, allowAll bool) error {
	sources, err := readAll(names)
	if err != nil {
		return err
	}
	var list diag.List
	var texts []*diag.Source
	for _, s := range sources {
		texts = append(texts, diag.NewSource(s.Name, s.Text))
	}
	cluster, ignored := kube.Read(texts, &list)
	somePolicy(cluster, allowAll, &list)
	program := kube.Translate(cluster, o, &list)
	list.Sort(texts)
	if !list.Failed() {
		if err := writeImport(cmd, out.file, kube.Write(program)); err != nil {
			return err
		}
	}
	if out.json() {
		return reportList(out.talk(cmd), &list, importOf(out.file, cluster, program, ignored, &list))
	}
	if err := list.Render(cmd.ErrOrStderr()); err != nil {
		return err
	}
	if list.Failed() {
		fmt.Fprintf(cmd.ErrOrStderr(), "nothing is imported: %s\n", count(list.Count(diag.Error), "error"))
		return answerNo{}
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), imported(out.file, cluster, program, ignored))
	return err
}

// somePolicy refuses manifests without a policy: what they mean, everything allowed, is
// seldom what is wanted of a policy, and what a lost file looks like.
func somePolicy(c *kube.Cluster, allowAll bool, list *diag.List) {
	switch {
	case list.Failed() || c.Policies() > 0:
	case allowAll:
		list.Warnf(diag.Span{}, "no policy is among the objects: everything is allowed, from and to everybody")
	default:
		list.Errorf(diag.Span{}, "no policy is among the objects, and to Kubernetes that means that everything is allowed").
			With("name the files with the policies, too; if everything is to be allowed: --allow-all")
	}
}

// importedCluster is what an import prints as JSON. Of one that failed nothing is
// written; what is counted is what was understood.
type importedCluster struct {
	File     string        `json:"file"`
	Written  bool          `json:"written"`
	Policies int           `json:"policies"`
	Rules    int           `json:"rules"`
	Pods     int           `json:"pods"`
	LeftOut  int           `json:"left_out"` // objects that say nothing about who may connect
	Findings []findingJSON `json:"findings"`
}

func importOf(out string, c *kube.Cluster, p *kube.Program, ignored int, list *diag.List) *importedCluster {
	return &importedCluster{out, !list.Failed(), c.Policies(), len(p.Rules), podsOf(p), ignored, listJSON(list.All)}
}

// writeImport writes a policy in its canonical form.
func writeImport(cmd *cobra.Command, out string, text []byte) error {
	var list diag.List
	formatted := format.Source(diag.NewSource(out, text), &list)
	if formatted == nil {
		return errors.Join(list.Render(cmd.ErrOrStderr()), errors.New("what was imported is no policy: that is a mistake of policyc"))
	}
	if out == "-" {
		_, err := cmd.OutOrStdout().Write(formatted)
		return err
	}
	return atomicfile.Write(out, formatted, 0o644)
}

// imported sums up an import.
func imported(out string, c *kube.Cluster, p *kube.Program, ignored int) string {
	policies := c.Policies()
	if policies == 1 {
		return fmt.Sprintf("%s: %s from 1 policy%s", out, count(len(p.Rules), "rule"), rest(p, ignored))
	}
	return fmt.Sprintf("%s: %s from %d policies%s", out, count(len(p.Rules), "rule"), policies, rest(p, ignored))
}

func podsOf(p *kube.Program) int {
	pods := 0
	for _, e := range p.Endpoints {
		if !strings.HasPrefix(e.Name, "node:") {
			pods++
		}
	}
	return pods
}

func rest(p *kube.Program, ignored int) string {
	text := ", " + count(podsOf(p), "pod")
	if ignored > 0 {
		text += "; " + count(ignored, "other object") + " left out"
	}
	return text
}
