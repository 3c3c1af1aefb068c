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

// present returns the subjects whose programs are there. The first must be: so
// all that is missing is named, with its cure. Of the others a remark tells.
func present(scenario string, subjects []peers.Peer, look func(string) (string, error)) (there []peers.Peer, remarks []string, err error) {
	for i, p := range subjects {
		lacks := NeedsTools([]peers.Peer{p}, look)
		if lacks == nil {
			there = append(there, p)
			continue
		}
		if i == 0 {
			return nil, nil, NeedsTools(subjects, look)
		}
		remarks = append(remarks, fmt.Sprintf("%s: %s is left out: %v", scenario, p.Name, lacks))
	}
	return there, remarks, nil
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
