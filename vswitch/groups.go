package vswitch

import (
	"slices"

	"bulkhead/dataplane/policy"
)

// A group is a number that hosts agree on (config.Group), and what its labels
// make of somebody who has them and no others: services. Only an endpoint with
// the very same services carries the number, so that whoever believes it judges
// as this host would. An endpoint that has one service more, as one in
// quarantine, is of no group: the other side then knows it by its registration
// or not at all.

// serviceGroup is a group under the policy in force.
type serviceGroup struct {
	number   uint16
	services []policy.SetID
}

// linkGroups works out what each group is.
func (l *linker) linkGroups() {
	for i := range l.cfg.Groups {
		g := &l.cfg.Groups[i]
		services := []policy.SetID{policy.Any}
		if l.rules != nil {
			services = l.index.ServicesOf(g.Labels)
		}
		l.groups = append(l.groups, serviceGroup{g.Number, services})
		l.who.Group(g.Number, numbers(services))
	}
}

// groupOf returns the number that the frames of an endpoint with these services
// carry: 0 if there are none of them, or no group has the same. Where several have, the least serves: to
// the policy they are one.
func (l *linker) groupOf(services []policy.SetID) (number uint16) {
	for _, g := range l.groups {
		same := slices.Equal(g.services, services) && slices.ContainsFunc(services, func(s policy.SetID) bool { return s != policy.Any })
		if same && (number == 0 || g.number < number) {
			number = g.number
		}
	}
	return number
}

// groupNumbers are the numbers of groups that the configuration names.
func (l *linker) groupNumbers(names []string) (list []uint16) {
	for i := range l.cfg.Groups {
		if g := &l.cfg.Groups[i]; slices.Contains(names, g.Name) {
			list = append(list, g.Number)
		}
	}
	return list
}
