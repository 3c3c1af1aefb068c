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
	return link(rs, sets, newPlan)
}

// choice makes the plan of a table.
type choice func(*bundles, *side, *side) (plan, error)

// link is Link under plans that choose makes: tests choose others.
func link(rs *policy.Ruleset, sets [][]uint32, choose choice) (*Engine, error) {
	if len(sets) == 0 {
		sets = [][]uint32{nil} // nobody, at least
	}
	e, err := linkRules(rs, sets, choose, false)
	if err != nil || !slices.ContainsFunc(rs.Rules, func(r policy.Rule) bool { return r.Audit && !r.Dormant }) {
		return e, err
	}
	e.audit, err = linkRules(rs, sets, choose, true)
	return e, err
}

// linkRules links the rules that speak, those under audit only if they are to
// be enforced.
func linkRules(rs *policy.Ruleset, sets [][]uint32, choose choice, enforced bool) (*Engine, error) {
	e := &Engine{marks: marksOf(rs)}
	for i := range rs.Rules {
		e.verdicts = append(e.verdicts, rs.Rules[i].Verdict)
	}
	err := e.linkStages(rs, enforced, func(stage []uint32) (*table, error) {
		t, err := linkTable(part(rs, stage), sets, choose)
		if err != nil {
			return nil, err
		}
		for i, local := range t.rules {
			t.rules[i] = stage[local]
		}
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// linkTable makes the table of a stage; its rules are numbered as there.
func linkTable(rs *policy.Ruleset, sets [][]uint32, choose choice) (*table, error) {
	ports, err := buildPorts(rs)
	if err != nil {
		return nil, err
	}
	b := newBundles(rs, ports)
	src, dst := newSide(len(rs.Sets), b.from, sets), newSide(len(rs.Sets), b.to, sets)
	p, err := choose(b, src, dst)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, blame(rs, b, src, dst))
	}
	e := &table{ports: ports.table, single: p.single()}
	l := &linking{e: e, bundles: b, programs: newPrograms(rs, b, ports)}
	e.src, l.sources = src.places(p.src.limit)
	e.dst, l.dests = dst.places(p.dst.limit)
	if err := l.pairUp(&p); err != nil {
		return nil, err
	}
	l.finish()
	return e, nil
}

type linking struct {
	e              *table
	bundles        *bundles
	programs       *programs
	sources, dests [2]*interner // by part: the bundles of each class
	both           []uint32
}

// pairUp makes the program of every pair of classes.
func (l *linking) pairUp(p *plan) error {
	for s, sources := range l.sources {
		for d, dests := range l.dests {
			if p.single() && s+d > 0 {
				continue
			}
			if err := l.table(&l.e.pairs[s][d], p.matrix[s][d], sources, dests); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *linking) table(t *pairTable, matrix bool, sources, dests *interner) error {
	if matrix {
		return l.matrix(t, sources, dests)
	}
	pairs, err := l.pairs(sources, dests)
	if err != nil {
		return err
	}
	t.sparse = newSparse(pairs)
	l.e.stats.Pairs += len(pairs)
	return nil
}

// matrix makes the programs of all pairs of two lists of classes.
func (l *linking) matrix(t *pairTable, sources, dests *interner) error {
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
	named := inverse(dests, l.bundles.len())
	var out []pair
	var found []uint64 // destination << 32 | bundle
	for s := range sources.len() {
		found = found[:0]
		for _, bundle := range sources.list(uint32(s)) {
			for _, d := range named[bundle] {
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

// inverse returns the classes that have each bundle.
func inverse(classes *interner, bundles int) [][]uint32 {
	out := make([][]uint32, bundles)
	for c := range classes.len() {
		for _, bundle := range classes.list(uint32(c)) {
			out[bundle] = append(out[bundle], uint32(c))
		}
	}
	return out
}

// finish copies out of the builders what a lookup needs.
func (l *linking) finish() {
	e, p := l.e, l.programs
	e.pages, e.dirs, e.rules = slices.Clip(p.pages.words), slices.Clip(p.dirs.words), slices.Clip(p.lists.words)
	e.pageBits, e.paged = p.pageBits, len(p.dirty) > 1
	e.programs = make([]program, p.all.len())
	for i := range e.programs {
		parts := p.all.list(uint32(i))
		e.programs[i] = program{shape: parts[0], base: parts[1]}
	}
	e.stats.Shapes = len(p.made)
	for part := range l.sources {
		e.stats.SourceClasses += l.sources[part].len()
		e.stats.DestClasses += l.dests[part].len()
	}
	if e.single { // the narrow part is one class, of nobody
		e.stats.SourceClasses--
		e.stats.DestClasses--
	}
}
