package check

import (
	"fmt"
	"slices"
)

// NewName tells what keeps a name from being that of a service or network.
func NewName(name string) *Problem {
	switch {
	case BuiltIn(name) != "":
		return &Problem{Text: fmt.Sprintf("%q is a built-in name", name), Cure: "choose another name"}
	case !goodName(name):
		return &Problem{Text: fmt.Sprintf("%q is no name", name), Cure: fmt.Sprintf("begin with a letter; letters, digits, '_', '-' and '.' after that, at most %d in all", maxName)}
	}
	return nil
}

// PortNames are the words that ports can be or begin with, in order.
func PortNames() []string {
	names := []string{anyName, "ip", "icmp", "icmp4", "icmp6"}
	for name := range protocols {
		names = append(names, name)
	}
	for name := range icmpTypes {
		names = append(names, "icmp/"+name)
	}
	slices.Sort(names)
	return names
}
