package vswitch

import (
	"fmt"

	"bulkhead/vswitch/cli/nearest"
	"bulkhead/vswitch/control/api"
)

// unknown answers a name that nothing has with the nearest one that something
// has, else with how to list them.
func unknown(what, name string, names []string, list string) error {
	cure := list + " lists them"
	if meant := nearest.Name(name, names); meant != "" {
		cure = fmt.Sprintf("did you mean %q?", meant)
	}
	return api.NotFound(fmt.Sprintf("%s %q is not known", what, name), cure)
}

// unknownPort is unknown of a port that is live.
func unknownPort(l *live, name string) error {
	var names []string
	for i := range l.ports {
		if l.ports[i].port != nil {
			names = append(names, l.ports[i].name)
		}
	}
	return unknown("port", name, names, "vsctl ports")
}
