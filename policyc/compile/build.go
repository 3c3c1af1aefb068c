package compile

import (
	"cmp"
	"sync"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/kept"
	"bulkhead/policyc/internal/lower"
)

// Table is a policy that was built.
type Table struct {
	Rules *policy.Ruleset
	Bytes []byte // as the switch loads it
	// Kept is for the next build, in pieces that follow each other; nil where Tool is empty, or for the reason in Why.
	Kept [][]byte
	Why  string
	// Reused is how many rules were taken from what was kept.
	Reused int
}

// Build compiles the sources and writes the table. Of what was kept of a build before
// it takes what is as it was: the table is the same either way. The table is nil if
// something failed.
func Build(sources []Source, o Options) (*Table, Findings, error) {
	if o.Tool != "" {
		if t := rebuild(kept.Open(o.Kept, o.Tool), sources, o); t != nil {
			return t, Findings{&diag.List{}}, nil
		}
	}
	p, list, texts := checked(sources, o)
	if list.Failed() {
		return nil, Findings{list}, nil
	}
	o.step("lower")
	rs, of := lower.PolicyFrom(p, o.Generation)
	data, err := policy.Encode(rs)
	if err != nil || o.Tool == "" {
		return &Table{Rules: rs, Bytes: data}, Findings{list}, err
	}
	t := &Table{Rules: rs, Bytes: data}
	b, why := kept.Keep(o.Tool, cmp.Or(o.partSize, kept.PartSize), texts, p, rs, of, data, list)
	if t.Why = why; b != nil {
		t.Kept, err = b.Bytes()
	}
	return t, Findings{list}, err
}

// rebuild builds from a kept build; nil: everything is to be compiled.
func rebuild(b *kept.Build, sources []Source, o Options) *Table {
	if b == nil {
		return nil
	}
	var texts []*diag.Source
	for _, s := range sources {
		texts = append(texts, diag.NewSource(s.Name, s.Text))
	}
	changes, fine := b.Changes(texts)
	if !fine {
		return nil
	}
	parts := make([]Source, len(changes))
	for i, c := range changes {
		parts[i] = Source{Name: sources[i].Name, Text: c.Text}
	}
	fresh := &kept.Fresh{}
	if fresh.Policy, fresh.Found, fresh.Sources = read(parts); fresh.Found.Failed() {
		return nil
	}
	fresh.Rules, fresh.Of = lower.PolicyFrom(fresh.Policy, o.Generation)
	rs, reused := b.Merge(changes, fresh)
	if rs == nil {
		return nil
	}
	rs.Generation = o.Generation
	hash := sync.OnceValue(func() [32]byte { return lower.Hash(rs) })
	go hash()
	data, err := policy.EncodeHashed(rs, hash)
	if rs.SourceHash = hash(); err != nil {
		return nil // a whole build will say what is wrong
	}
	b.Renew(data)
	next, err := b.Bytes()
	if err != nil {
		return nil
	}
	return &Table{Rules: rs, Bytes: data, Kept: next, Reused: reused}
}
