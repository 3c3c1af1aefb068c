package vswitch

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// A shadow is a candidate: a policy that is linked beside the one in force and
// decides nothing. Each new decision is asked of both (dataplane.Shadow), what is open
// is asked when an operator wants to know (operate_shadow.go), and where they differ
// that is counted by rule. To commit is to publish the snapshot that the shadow's own
// link has made: nothing is linked then that could fail.
//
// The shadow follows what is declared as the live policy does: an endpoint that comes,
// goes or changes is changed in its tables, too, and whatever links the live policy
// whole links it whole. If it cannot be linked any more it is forgotten, which is
// logged and said; the live policy does not wait for it. There is one at a time, and
// a restart forgets it.
//
// Cost: the memory of one policy more, and twice the time of each change; a lookup
// more for each new decision. A packet of an open session pays nothing, ever, and
// without a shadow a new decision pays one comparison.

// shadow is the candidate that stands. Switch.mu guards it but for what log guards
// itself, and the counts, which are their workers'.
type shadow struct {
	file    string
	rules   *policy.Ruleset
	by      []policy.KeyID
	older   bool   // allowed to be of an older generation
	against uint64 // the generation that was in force when it came; 0: none
	highest uint64 // that had been in force then
	index   *policy.Index
	view    view
	linked  *linker
	counts  []*dataplane.Differences // by worker
	log     *examples
	since   time.Time // counts and log are of what has been since then
}

// restart begins to count anew: against another policy in force.
func (s *shadow) restart(workers int) {
	s.counts = make([]*dataplane.Differences, workers)
	for i := range s.counts {
		s.counts[i] = dataplane.NewDifferences(len(s.rules.Rules))
	}
	s.log, s.since = &examples{seen: map[exampleKey]int{}}, time.Now()
}

// link links the candidate whole, for the time that it is.
func (s *shadow) link(sw *Switch, cfg *config.Config, r roster, p *plan, z zones, mirrors map[string]*dataplane.MirrorState) error {
	now := sw.wall().Unix()
	if v := &s.view; v.of == nil || !v.around.Has(now) {
		*v = view{s.rules, s.rules.At(now), s.rules.Around(now)}
		s.index = policy.NewIndex(v.rules)
	}
	linked, err := link(cfg, r, s.index, p.ids, p.open, z, mirrors, sw.generation+1)
	if err != nil {
		return err
	}
	s.linked = linked
	return nil
}

// tables is what the walk asks.
func (s *shadow) tables() *dataplane.Shadow {
	return &dataplane.Shadow{Identity: s.linked.s.Identity, Policy: s.linked.s.Policy, Rules: s.linked.s.Rules}
}

// follow links the candidate along with what is about to be published. The caller
// holds mu.
func (sw *Switch) followShadow(cfg *config.Config, r roster, rules *policy.Ruleset, p *plan, z zones, mirrors map[string]*dataplane.MirrorState) {
	s := sw.shadow
	if s == nil {
		return
	}
	if err := s.link(sw, cfg, r, p, z, mirrors); err != nil {
		sw.forgetShadow(err)
		return
	}
	if rules != sw.rules {
		s.restart(len(sw.workers))
	}
}

// changeShadow changes endpoints in the candidate's tables.
func (sw *Switch) changeShadow(edits []edit) {
	s := sw.shadow
	if s == nil {
		return
	}
	for _, e := range edits {
		if _, err := s.linked.change(e); err != nil { // worn: link the whole
			if err := s.link(sw, sw.cfg, sw.roster, sw.keepPorts(), sw.zones, sw.mirrors); err != nil {
				sw.forgetShadow(err)
			}
			return
		}
	}
}

// turnShadow links the candidate anew when other rules of it speak. The caller holds
// mu.
func (sw *Switch) turnShadow() {
	s := sw.shadow
	if s == nil || s.view.around.Has(sw.wall().Unix()) {
		return
	}
	if err := s.link(sw, sw.cfg, sw.roster, sw.keepPorts(), sw.zones, sw.mirrors); err != nil {
		sw.forgetShadow(err)
	}
	sw.replaceSnapshot(sw.generation)
}

// forgetShadow forgets a candidate that cannot be linked any more.
func (sw *Switch) forgetShadow(why error) {
	sw.shadowErr = fmt.Sprintf("the candidate %s is forgotten, as it could not be linked any more: %v", sw.shadow.file, why)
	sw.log.Warn("shadow-forgotten", "file", sw.shadow.file, "error", why, "effect", "the policy in force is as it was")
	sw.shadow = nil
}

// shadowIn puts the candidate that stands, or none, into what is to be live.
func (sw *Switch) shadowIn(next *live) {
	next.snapshot.Shadow, next.differences, next.examples = nil, nil, nil
	if s := sw.shadow; s != nil {
		next.snapshot.Shadow, next.differences, next.examples = s.tables(), s.counts, s.log
	}
}

// ShadowPolicy links the policy of a file beside the one in force, in place of the
// candidate that stood. The same files are refused that LoadPolicy would refuse.
func (o *Operator) ShadowPolicy(p *api.PolicyLoad) (*api.Shadow, error) {
	if err := absolute(p.File); err != nil {
		return nil, err
	}
	if err := o.takeShadow(p); err != nil {
		return nil, err
	}
	return o.Shadow()
}

func (o *Operator) takeShadow(p *api.PolicyLoad) error {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return err
	}
	rules, by, err := sw.candidate(p)
	if err != nil {
		return api.Invalid(err.Error(), "the policy in force, and a candidate that stood, are as they were")
	}
	s := &shadow{file: p.File, rules: rules, by: by, older: p.AllowOlder, highest: sw.highest}
	if sw.rules != nil {
		s.against = sw.rules.Generation
	}
	s.restart(len(sw.workers))
	if err := s.link(sw, sw.cfg, sw.roster, sw.keepPorts(), sw.zones, sw.mirrors); err != nil {
		return api.Invalid(err.Error(), "the policy in force, and a candidate that stood, are as they were")
	}
	sw.shadow, sw.shadowErr = s, ""
	sw.replaceSnapshot(sw.generation)
	sw.log.Info("shadow", "file", p.File, "rules", len(rules.Rules), "policy_generation", rules.Generation, "signed_by", by)
	return nil
}

// CommitShadow puts the candidate in force.
func (o *Operator) CommitShadow() (*api.Done, error) {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	sw.turnShadow()
	s := sw.shadow
	if s == nil {
		return nil, sw.noShadow()
	}
	if err := sw.mayCommit(s); err != nil {
		return nil, api.Invalid(fmt.Sprintf("policy %s: %v", s.file, err), "the candidate still stands; abort it, and load another")
	}
	linked := s.linked
	snapshot := *linked.s
	snapshot.Generation = sw.generation + 1
	linked.s = &snapshot
	sw.shadow, sw.view, sw.index = nil, s.view, s.index
	sw.install(sw.cfg, sw.roster, s.rules, sw.keepPorts(), sw.zones, sw.mirrors, linked, s.view)
	sw.rulesFrom, sw.rulesErr, sw.rulesBy = s.file, "", s.by
	sw.keepGeneration(sw.cfg, s.rules)
	sw.log.Info("policy", "file", s.file, "rules", len(s.rules.Rules), "policy_generation", s.rules.Generation, "signed_by", s.by, "shadow_since", s.since, "generation", sw.generation)
	return &api.Done{Done: "committed " + s.file, Generation: sw.generation}, nil
}

// mayCommit asks again what was asked when the candidate came: keys may have been
// taken back since, and a newer policy may be in force.
func (sw *Switch) mayCommit(s *shadow) error {
	keys, err := readKeys(sw.world.disk, sw.cfg.PolicyKeys)
	if err != nil {
		return err
	}
	trusted := slices.ContainsFunc(keys, func(key ed25519.PublicKey) bool { return slices.Contains(s.by, policy.IDOf(key)) })
	if len(keys) > 0 && !trusted {
		return errors.New("no key that signed it is trusted any more")
	}
	least := floor{inForce: sw.rules, highest: sw.highest, kept: true}
	if s.older || sw.rules != nil && sw.rules.Generation == s.against && sw.highest == s.highest { // by a rollback, perhaps
		least = floor{}
	}
	return recent(sw.world.disk, sw.cfg, s.rules, least)
}

// AbortShadow forgets the candidate.
func (o *Operator) AbortShadow() (*api.Done, error) {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	s := sw.shadow
	if s == nil {
		return nil, sw.noShadow()
	}
	sw.shadow = nil
	sw.replaceSnapshot(sw.generation)
	sw.log.Info("shadow-aborted", "file", s.file)
	return &api.Done{Done: "forgot the candidate " + s.file, Generation: sw.generation}, nil
}

func (sw *Switch) noShadow() error {
	if sw.shadowErr != "" {
		return api.NotFound(sw.shadowErr, "vsctl policy load --shadow FILE makes another")
	}
	return api.NotFound("no candidate stands", "vsctl policy load --shadow FILE makes one")
}

// examples are connections of which the two policies say different things: a few of
// each kind of difference, so that one busy connection does not hide the others.
type examples struct {
	mu   sync.Mutex // guards what follows; a worker holds it for a few copies
	list []example
	seen map[exampleKey]int
}

// exampleKey is a kind of difference: what the shadow says, and by which rules.
type exampleKey struct {
	allowed     bool
	live, shade string
}

const (
	examplesOfAKind = 4
	examplesMost    = 256
)

// example is one of them, with the names of its rules.
type example struct {
	dataplane.Difference
	exampleKey
	session bool // it is open; else it was a new decision
}

// take takes examples of a worker, judged by a state.
func (x *examples) take(list []dataplane.Difference, by *dataplane.Snapshot, session bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, d := range list {
		key := exampleKey{d.Allowed, nameOfRule(by.Rules, d.Live), nameOfRule(by.Shadow.Rules, d.Shadow)}
		if len(x.list) == examplesMost || x.seen[key] == examplesOfAKind {
			continue
		}
		x.seen[key]++
		x.list = append(x.list, example{d, key, session})
	}
}

// nameOfRule is the name of a rule, given as its number plus one; "" of none.
func nameOfRule(rs *policy.Ruleset, rule uint32) string {
	if rs == nil || rule == 0 || int(rule) > len(rs.Rules) {
		return ""
	}
	return rs.Rules[rule-1].Name
}

// differ gives the shadow what the walk has found. It is called by the worker,
// between two batches.
func (w *worker) differ() {
	d := w.lane.Differences
	if d == nil || len(d.Examples) == 0 {
		return
	}
	w.live.examples.take(d.Examples, w.live.snapshot, false)
	d.Examples = d.Examples[:0]
}
