package vswitch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"bulkhead/dataplane"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
)

// A reload builds all that is new beside what is in force, publishes it by one
// pointer store, waits until every worker goes by it, and only then lets go of
// what is old. Whatever fails before the store is undone, and the old state
// goes on untouched.

// Reload puts a configuration in force in place of the one before. What is
// fixed at the start stays as it was, and the status says so.
func (sw *Switch) Reload(cfg *config.Config) error {
	return sw.ReloadFrom(func() (*config.Config, error) { return cfg, nil })
}

// ReloadFrom reloads what load reads. One reload is read and put in force
// before the next is read, so that of two at a time the newer file stays.
func (sw *Switch) ReloadFrom(load func() (*config.Config, error)) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.closed {
		return errClosed
	}
	cfg, err := load()
	if err == nil {
		err = sw.reload(cfg)
	}
	sw.reloadErr = err
	return err
}

var errClosed = errors.New("the switch is closed")

// reload is Reload under mu.
func (sw *Switch) reload(wanted *config.Config) error {
	cfg, fixed := keepFixed(sw.cfg, wanted)
	rules, by, err := readRules(sw.world.disk, cfg, cfg.Policy, floor{inForce: sw.rules, highest: sw.highest, kept: true})
	if errors.Is(err, fs.ErrNotExist) && sw.rules == nil {
		rules, err = nil, nil // there was none before: still everything is denied
	} else if err != nil {
		sw.rulesErr = err.Error()
		return err
	}
	file := cfg
	if cfg, err = sw.stated.overlay(file); err != nil {
		return fmt.Errorf("the configuration contradicts what sources state: %w", err)
	}
	local := rosterOf(cfg)
	lost := local.carryOver(sw.local, cfg)
	next, outdone := sw.stated.laid(local, cfg)
	if err := sw.apply(cfg, next, rules); err != nil {
		return err
	}
	sw.file, sw.local = file, local
	sw.version++
	if len(outdone) > 0 {
		for _, name := range outdone {
			delete(sw.stated.endpoints, name)
		}
		sw.log.Warn("stated-not-kept", "endpoints", outdone, "effect", "they are as the configuration has them, until their source states them again")
	}
	if len(lost) > 0 {
		sw.log.Warn("endpoints-not-kept", "endpoints", lost, "effect", "they are as the configuration has them, or gone")
	}
	sw.rulesFrom, sw.rulesErr, sw.rulesBy, sw.fixed = cfg.Policy, missing(cfg.Policy, rules), by, fixed
	sw.keepGeneration(cfg, rules)
	if len(fixed) > 0 {
		sw.log.Warn("restart-needed", "keys", fixed, "effect", "they keep their values until the next start")
	}
	return nil
}

// missing says that a policy is named and not there.
func missing(path string, rules *policy.Ruleset) string {
	if path == "" || rules != nil {
		return ""
	}
	return path + " does not exist"
}

// apply makes a declared state live, with the ports that it names. The caller
// holds mu. If it fails the state before stays in force.
func (sw *Switch) apply(cfg *config.Config, r roster, rules *policy.Ruleset) error {
	p, err := sw.openPorts(cfg)
	if err == nil {
		err = sw.publish(cfg, r, rules, p)
	}
	if err != nil {
		return errors.Join(err, p.undo(sw))
	}
	return nil
}

// relink makes another policy live, or the roster anew. It opens no port: a port that is
// broken must not be in the way of a rule that is to be revoked.
func (sw *Switch) relink(r roster, rules *policy.Ruleset) error {
	if sw.closed {
		return errStopping
	}
	return sw.publish(sw.cfg, r, rules, sw.keepPorts())
}

// publish links a declared state over the plan's ports and puts it in force.
// If it fails nothing has happened, and the plan is still to be undone.
func (sw *Switch) publish(cfg *config.Config, r roster, rules *policy.Ruleset, p *plan) error {
	zones := sw.zones.follow(cfg)
	rulesNow, around := sw.viewOf(rules)
	mirrors := mirrorStates(cfg, sw.mirrors)
	linked, err := link(cfg, r, sw.indexOf(rulesNow), p.ids, p.open, zones, mirrors, sw.generation+1)
	if err != nil {
		return err
	}
	sw.followShadow(cfg, r, rules, p, zones, mirrors)
	sw.install(cfg, r, rules, p, zones, mirrors, linked, view{rules: rulesNow, around: around})
	return nil
}

// install puts what has been linked in force. Nothing of it can fail.
func (sw *Switch) install(cfg *config.Config, r roster, rules *policy.Ruleset, p *plan, zones zones, mirrors map[string]*dataplane.MirrorState, linked *linker, at view) {
	snapshot := linked.s
	snapshot.Arrivals = sw.arrivalsIn(cfg, r, zones)
	next := &live{snapshot: snapshot, ports: p.open, ruleHits: sw.rows(at.rules, 1), audits: sw.rows(at.rules, 0), around: at.around}
	sw.shadowIn(next)
	before := sw.live.Load()
	if before != nil && renumbered(&before.snapshot.Names, &snapshot.Names) {
		sw.forgetLearned()
	}
	sw.leaveNote(p.ids, zones, &snapshot.Names)
	if before == nil {
		sw.takeOver(p, snapshot, zones)
	}
	sw.live.Store(next)
	sw.generation++
	if before == nil {
		for _, w := range sw.workers {
			w.adopt(next)
			go w.run()
		}
	} else {
		sw.settle()
		sw.forgetLoops(before.snapshot, snapshot)
		sw.keepRuleHits(before, rules)
	}
	sw.cfg, sw.roster, sw.rules, sw.zones, sw.linked, sw.mirrors = cfg, r, rules, zones, linked, mirrors
	sw.ports, sw.opened, sw.nextPort = p.ids, p.open, p.next
	p.finish(sw)
}

// rows makes a row for each worker: a counter for each rule, and so many more.
func (sw *Switch) rows(rules *policy.Ruleset, more int) [][]uint64 {
	n := more
	if rules != nil {
		n += len(rules.Rules)
	}
	rows := make([][]uint64, len(sw.workers))
	for i := range rows {
		rows[i] = make([]uint64, n)
	}
	return rows
}

// settle waits until no worker goes by anything but what is live now.
func (sw *Switch) settle() {
	for _, w := range sw.workers {
		w.do(func() { w.adopt(sw.live.Load()) })
	}
}

// countedRule is what the hits of a rule are kept under from one policy to the
// next: its name, and the end that it speaks for. A rule of a scope may be two of
// one name, and each has decided what it has decided.
type countedRule struct {
	name      string
	direction policy.Direction
}

func countedAs(r *policy.Rule) countedRule { return countedRule{r.Name, r.Direction} }

// keepRuleHits adds the hits of a snapshot that is over to the totals by rule;
// next is the policy in force after it.
func (sw *Switch) keepRuleHits(old *live, next *policy.Ruleset) {
	for _, row := range old.ruleHits {
		sw.defaultDeny += row[len(row)-1]
	}
	rules := old.snapshot.Rules
	if rules == nil {
		return
	}
	for _, row := range old.ruleHits {
		for i := range rules.Rules {
			if row[i] != 0 {
				sw.ruleTotals[countedAs(&rules.Rules[i])] += row[i]
			}
		}
	}
	for _, row := range old.audits {
		for i, n := range row {
			if n != 0 {
				sw.auditTotals[countedAs(&rules.Rules[i])] += n
			}
		}
	}
	if len(sw.ruleTotals) > maxRuleTotals {
		sw.ruleTotals = known(sw.ruleTotals, next)
	}
	if len(sw.auditTotals) > maxRuleTotals {
		sw.auditTotals = known(sw.auditTotals, next)
	}
}

// maxRuleTotals bounds the rules that hits are kept of, those of
// policies long gone included: with more, these are forgotten.
const maxRuleTotals = 1 << 17

// known leaves of the totals those of the rules that a policy, or none, has.
func known(totals map[countedRule]uint64, rules *policy.Ruleset) map[countedRule]uint64 {
	kept := map[countedRule]uint64{}
	if rules == nil {
		rules = &policy.Ruleset{}
	}
	for i := range rules.Rules {
		rule := countedAs(&rules.Rules[i])
		if n, counted := totals[rule]; counted {
			kept[rule] = n
		}
	}
	return kept
}

// readWhole reads a file that has its bytes already, and no more of it than it
// says that it has: the switch is locked meanwhile, and must not wait for the
// writer of a pipe, or for a file of /proc, which says that it has none.
func readWhole(d disk, path string, most int64) ([]byte, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if n := info.Size(); !info.Mode().IsRegular() || n == 0 || n > most {
		return nil, fmt.Errorf("%s is not a regular file of 1 to %d bytes", path, most)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}
