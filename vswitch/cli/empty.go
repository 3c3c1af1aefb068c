package cli

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// EmptyFlags names the flags of a command that are given and say nothing: an empty
// text, or a list of texts with an empty one. A value of another kind that can be
// empty says so by a method Empty. It is called when the flags have been parsed.
func EmptyFlags(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if saysNothing(f.Value) {
			names = append(names, f.Name)
		}
	})
	return names
}

func saysNothing(value pflag.Value) bool {
	switch v := value.(type) {
	case interface{ Empty() bool }:
		return v.Empty()
	case pflag.SliceValue:
		return slices.Contains(v.GetSlice(), "")
	}
	return value.String() == ""
}
