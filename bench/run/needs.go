package run

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"bulkhead/bench/peers"
)

func needsRoot(uid int) error {
	if uid == 0 {
		return nil
	}
	return errors.New("needs root, for network namespaces; vsbench run walk does not")
}

// NeedsTools names every program that is missing for the subjects, and the one
// command that installs them all.
func NeedsTools(subjects []peers.Peer, look func(string) (string, error)) error {
	var commands, packages []string
	for _, p := range subjects {
		for _, t := range p.Tools {
			if _, err := look(t.Command); err == nil || slices.Contains(commands, t.Command) {
				continue
			}
			commands = append(commands, t.Command)
			if !slices.Contains(packages, t.Package) {
				packages = append(packages, t.Package)
			}
		}
	}
	if commands == nil {
		return nil
	}
	return fmt.Errorf("%s: not found; apt-get install %s", strings.Join(commands, ", "), strings.Join(packages, " "))
}
