package vswitch

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/vswitch/config"
)

// keepFixed returns a configuration with what is fixed at the start as it is in
// force, and the keys of what it would have changed.
func keepFixed(inForce, wanted *config.Config) (*config.Config, []string) {
	cfg := *wanted
	var keys []string
	if keep(&keys, "workers", &cfg.Workers, inForce.Workers) {
		cfg.Ports = queuesFor(inForce, wanted)
	}
	keep(&keys, "control", &cfg.Control, inForce.Control)
	keep(&keys, "control_group", &cfg.ControlGroup, inForce.ControlGroup)
	keep(&keys, "metrics", &cfg.Metrics, inForce.Metrics)
	keep(&keys, "limits.sessions", &cfg.Limits.Sessions, inForce.Limits.Sessions)
	keep(&keys, "limits.sessions_per_port", &cfg.Limits.SessionsPerPort, inForce.Limits.SessionsPerPort)
	keep(&keys, "limits.embryonic_per_port", &cfg.Limits.EmbryonicPerPort, inForce.Limits.EmbryonicPerPort)
	keep(&keys, "limits.frames", &cfg.Limits.Frames, inForce.Limits.Frames)
	keep(&keys, "limits.nat_mappings", &cfg.Limits.NATMappings, inForce.Limits.NATMappings)
	keep(&keys, "limits.nat_mappings_per_port", &cfg.Limits.NATPerPort, inForce.Limits.NATPerPort)
	return &cfg, keys
}

// keep puts a field back to its value in force, and notes its key if that is
// another.
func keep[T comparable](keys *[]string, key string, field *T, inForce T) bool {
	if *field == inForce {
		return false
	}
	*keys = append(*keys, key)
	*field = inForce
	return true
}

// queuesFor returns the ports wanted with as many queues as there are workers,
// where they have as many as workers are wanted: they follow these, and are not
// to be opened anew for workers that there are not yet.
func queuesFor(inForce, wanted *config.Config) []config.Port {
	ports := slices.Clone(wanted.Ports)
	for i := range ports {
		old := inForce.Port(ports[i].Name)
		if ports[i].Queues == wanted.Workers && (old == nil || old.Queues != ports[i].Queues) {
			ports[i].Queues = inForce.Workers
		}
	}
	return ports
}

// warnings says what an operator should know of the declared state. The caller
// holds mu.
func (sw *Switch) warnings() []string {
	var list []string
	if sw.helper != nil {
		if why := sw.helper.Away(); why != "" {
			list = append(list, why)
		}
	}
	if len(sw.fixed) > 0 {
		list = append(list, fmt.Sprintf("changed in the configuration, in force at the next start: %s", strings.Join(sw.fixed, ", ")))
	}
	if sw.keepErr != nil {
		list = append(list, fmt.Sprintf("the policy's generation is not kept over a restart: %v", sw.keepErr))
	}
	if n := sw.books.missing; n != 0 {
		list = append(list, fmt.Sprintf("%d chunks of frame memory are in nobody's hands, or if below 0 in two at a time: report it, with the log and vsctl ports -o json", n))
	}
	if sw.reloadErr != nil {
		list = append(list, fmt.Sprintf("the last reload failed, the state before is in force: %v", sw.reloadErr))
	}
	return list
}
