package identity

import "errors"

// Changes is what of a table differs from the one that its Builder made before.
type Changes struct {
	// Fresh are the identities that came up, Gone those that nobody has any
	// more. A number that is gone may come up again with a later table, as the
	// identity of other sets.
	Fresh, Gone []ID
	// Answers tells whether an address is of another identity than it was:
	// then what a policy said of it may have changed. Where an endpoint is, or
	// what its MAC is, is none of the policy's business.
	Answers bool
}

// Build makes the table, or says which endpoints contradict each other.
func (b *Builder) Build() (*Table, error) {
	t, _, err := b.Next()
	return t, err
}

// Next is Build, and tells what is new. Of the first table all is.
func (b *Builder) Next() (*Table, Changes, error) {
	if err := errors.Join(b.errs...); err != nil {
		return nil, Changes{}, err
	}
	t := &Table{
		endpoints: b.endpoints.Publish(), count: b.count, secret: b.secret, macs: b.macs.Publish(), addrs: b.addrs.Publish(), ports: b.ports.Publish(),
		bindings: b.bindings.Publish(), near: b.near.Publish(), grouped: b.grouped,
	}
	var c Changes
	c.Fresh, c.Gone = b.settle()
	t.sets, t.ids = b.sets.Publish(), int(b.ids.next)
	c.Answers = b.outside.stale || b.last == nil
	t.outside = b.outside.table()
	t.behind, t.remote = b.routers.tables()
	c.Answers = c.Answers || b.differs(t)
	b.touched = b.touched[:0]
	b.last = t
	return t, c, nil
}

// differs tells whether an address that was touched is of another identity.
// Numbers can be compared: none is used again before the table after this one.
func (b *Builder) differs(t *Table) bool {
	for _, k := range b.touched {
		was, _ := b.last.Identify(k.zone, &k.addr)
		if is, _ := t.Identify(k.zone, &k.addr); is != was {
			return true
		}
	}
	return false
}
