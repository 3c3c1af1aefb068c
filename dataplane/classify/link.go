package classify

import (
	"fmt"
	"slices"

	"bulkhead/dataplane/policy"
)

// Link works a valid policy out for the identities there are: sets has, by
// identity.ID, the policy sets of each; identity 0 has none. It fails if the
// tables would not fit in their bounds, which the package comment states.
func Link(rs *policy.Ruleset, sets [][]uint32) (*Engine, error) {
	l, err := NewLinker(rs, sets)
	if err != nil {
		return nil, err
	}
	return l.Engine(), nil
}

// newLinking begins the table of a stage of a policy: with what its rules alone say.
func newLinking(rs *policy.Ruleset, stage []uint32) (*linking, error) {
	rs = part(rs, stage)
	ports, err := buildPorts(rs)
	if err != nil {
		return nil, err
	}
	b := newBundles(rs, ports)
	return &linking{e: &table{ports: ports.table}, bundles: b, programs: newPrograms(rs, stage, b, ports)}, nil
}

// link makes the table for the identities there are.
func (l *linking) link(sets [][]uint32, choose choice) error {
	rs, b := l.programs.rs, l.bundles
	src, dst := newSide(len(rs.Sets), b.from, sets), newSide(len(rs.Sets), b.to, sets)
	p, err := choose(b, src, dst)
	if err != nil {
		return fmt.Errorf("%w: %s", err, blame(rs, b, src, dst))
	}
	l.e.single, l.e.identities = p.single(), len(sets)
	l.src, l.dst = newEnd(src, p.src.limit, b.len()), newEnd(dst, p.dst.limit, b.len())
	if err := l.pairUp(&p); err != nil {
		return err
	}
	l.src.join(len(sets))
	l.dst.join(len(sets))
	l.measure()
	return nil
}

// linking is a table, and what it was made from: more identities can be added.
type linking struct {
	e        *table // as it was made; what grows is filled in by table()
	bundles  *bundles
	programs *programs
	src, dst *end
	more     [2][2]moreEditor // by part of the source, part of the destination
	base     size             // as it was made
	both     []uint32
	found    []uint64
}

// pairUp makes the program of every pair of classes.
func (l *linking) pairUp(p *plan) error {
	var found [2][2][]pair // of those that are sparse
	for s := range l.src.parts {
		for d := range l.dst.parts {
			if p.single() && s+d > 0 {
				continue
			}
			var err error
			if found[s][d], err = l.pairTable(&l.e.pairs[s][d], p.matrix[s][d], s, d); err != nil {
				return err
			}
			l.more[s][d] = newMore()
		}
	}
	l.programs.settle()
	for s := range found {
		for d := range found[s] {
			if t := &l.e.pairs[s][d]; t.cells == nil && l.more[s][d].index != nil {
				t.sparse = newSparse(found[s][d], l.programs.program)
				l.e.stats.Pairs += len(found[s][d])
			}
		}
	}
	return nil
}

// pairTable makes the programs of the classes of two parts: in a matrix, or as
// pairs.
func (l *linking) pairTable(t *pairTable, matrix bool, s, d int) ([]pair, error) {
	joined := func(src, dst uint32) {
		l.src.parts[s].joinTo(src, tableOf(s, d))
		l.dst.parts[d].joinTo(dst, tableOf(s, d))
	}
	sources, dests := l.src.parts[s].lists, l.dst.parts[d].lists
	if matrix {
		return nil, l.matrix(t, sources, dests, joined)
	}
	pairs, err := l.pairs(sources, dests)
	for _, p := range pairs {
		joined(p.src, p.dst)
	}
	return pairs, err
}

// matrix makes the programs of all pairs of two lists of classes.
func (l *linking) matrix(t *pairTable, sources, dests *interner, joined func(src, dst uint32)) error {
	t.cells, t.width = make([]uint32, sources.len()*dests.len()), uint32(dests.len())
	for s := range sources.len() {
		from := sources.list(uint32(s))
		row := t.cells[s*dests.len():][:dests.len()]
		for d := range row {
			l.both = l.bundles.shared(l.both[:0], from, dests.list(uint32(d)))
			if len(l.both) == 0 {
				continue
			}
			row[d] = l.programs.of(l.both)
			joined(uint32(s), uint32(d))
			if err := l.programs.fits(); err != nil {
				return err
			}
		}
	}
	return nil
}

// pairs makes the programs of those pairs that a bundle names. It goes from a
// source by its bundles to their destinations, so pairs that nothing names cost
// nothing.
func (l *linking) pairs(sources, dests *interner) ([]pair, error) {
	named := newInverse(dests, l.bundles.len())
	var out []pair
	var found []uint64 // destination << 32 | bundle
	for s := range sources.len() {
		found = found[:0]
		for _, bundle := range sources.list(uint32(s)) {
			for _, d := range named.of(bundle) {
				found = append(found, uint64(d)<<32|uint64(bundle))
			}
		}
		slices.Sort(found)
		for len(found) > 0 {
			d := uint32(found[0] >> 32)
			l.both = l.both[:0]
			for len(found) > 0 && uint32(found[0]>>32) == d {
				l.both = append(l.both, uint32(found[0]))
				found = found[1:]
			}
			out = append(out, pair{uint32(s), d, l.programs.of(l.both)})
			if err := l.programs.fits(); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
