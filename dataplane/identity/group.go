package identity

import (
	"fmt"
	"slices"
)

// A group is a number that stands for services between hosts: a frame in a
// tunnel may carry it (package vxlan), and then says who sent it where nobody is
// registered with the address. The policy knows services and networks, and so a
// sender of a group, at an address, is the group's services and the networks
// around that address: an identity as any other, made before a frame asks.

// maxGrouped bounds the identities that groups make: so many groups times so
// many different combinations of networks outside.
const maxGrouped = 1 << 16

// grouped is a group at an address that outside is the identity of.
type grouped struct {
	number  uint16
	outside ID
}

// Group says which services, as a list of policy sets, a group stands for. It
// comes behind all of Outside, and before the first table.
func (b *Builder) Group(number uint16, services []uint32) {
	if b.grouped == nil {
		b.grouped = map[grouped]ID{}
	}
	for _, o := range b.outside.list {
		at := grouped{number, o.id}
		if _, made := b.grouped[at]; made {
			continue
		}
		if len(b.grouped) == maxGrouped {
			b.errs = append(b.errs, fmt.Errorf("groups, each with every combination of networks, are more than %d identities: take groups away", maxGrouped))
			return
		}
		sets := slices.Concat(services, *b.sets.At(uint32(o.id)))
		slices.Sort(sets)
		b.grouped[at] = b.use(slices.Compact(sets))
	}
}

// HasGroups tells whether there are groups.
func (t *Table) HasGroups() bool { return len(t.grouped) > 0 }

// InGroup returns the identity of a member of a group at an address that
// outside is the identity of; None if there is no such group.
func (t *Table) InGroup(number uint16, outside ID) ID { return t.grouped[grouped{number, outside}] }
