package main

import "github.com/spf13/cobra"

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Write what others' policies say in this language",
		Long:  "Reads policies of other systems and writes what they mean in this language, or\nsays what of it cannot be said.",
		Example: `  policyc import kubernetes manifests/ -o imported.toml
  policyc import kubernetes pods.yaml policies.yaml -o imported.toml
  policyc import kubernetes - -o - <cluster.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(importKubernetesCommand())
	return cmd
}
