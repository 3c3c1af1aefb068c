package main

import (
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/control/api"
)

// beginning returns the names that begin as a word does. No files: where a name
// is wanted a file is none.
func beginning(begun string, names []string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, name := range names {
		if strings.HasPrefix(name, begun) {
			out = append(out, name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completePorts completes names of ports by asking the switch.
func (v *view) completePorts(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var ports []api.Port
	_ = v.client().Get(cmd.Context(), "/v1/ports", &ports) // no switch, no names
	var names []string
	for i := range ports {
		names = append(names, ports[i].Name)
	}
	return beginning(begun, names)
}

// completeEndpoints completes the one name of an endpoint by asking the switch.
func (v *view) completeEndpoints(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []api.Endpoint
	if len(args) == 0 {
		_ = v.client().Get(cmd.Context(), "/v1/endpoints", &all)
	}
	var names []string
	for i := range all {
		names = append(names, all[i].Name)
	}
	return beginning(begun, names)
}

// completeRules completes names of rules by asking the switch.
func (v *view) completeRules(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var p api.Policy
	_ = v.client().Get(cmd.Context(), "/v1/policy", &p)
	var names []string
	for i := range p.Rules {
		names = append(names, p.Rules[i].Name)
	}
	return beginning(begun, names)
}

// completeReasons completes drop reasons.
func completeReasons(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, r := range drop.All() {
		names = append(names, r.String())
	}
	return beginning(begun, names)
}

// completeArtifacts completes compiled policies.
func completeArtifacts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"bhp"}, cobra.ShellCompDirectiveFilterFileExt
}
