package vswitch

import (
	"errors"
	"fmt"
	"path/filepath"

	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// Policy describes the policy in force.
func (o *Operator) Policy() (*api.Policy, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	_, hits, audits, err := o.counters(l)
	if err != nil {
		return nil, err
	}
	out := &api.Policy{Rules: []api.Rule{}}
	rs := l.snapshot.Rules
	if rs == nil {
		return out, nil
	}
	out.Loaded, out.File, out.Generation = true, o.sw.rulesFrom, rs.Generation
	out.SourceHash = fmt.Sprintf("%x", rs.SourceHash)
	for i := range rs.Sets {
		switch rs.Sets[i].Kind {
		case policy.KindService:
			out.Services++
		case policy.KindNetwork:
			out.Networks++
		}
	}
	for i := range rs.Rules {
		rule := countedAs(&rs.Rules[i])
		out.Rules = append(out.Rules, describeRule(rs, i, hits[i]+o.sw.ruleTotals[rule], audits[i]+o.sw.auditTotals[rule], o.sw.wall().Unix()))
	}
	t := l.snapshot.Policy.Stats()
	out.Tables = api.Tables{
		Identities: t.Identities, SourceClasses: t.SourceClasses, DestClasses: t.DestClasses,
		PortClasses: t.PortClasses, Programs: t.Programs, Bytes: t.Bytes, Touches: t.Touches,
	}
	return out, nil
}

func describeRule(rs *policy.Ruleset, i int, hits, audits uint64, now int64) api.Rule {
	r := &rs.Rules[i]
	out := api.Rule{
		Name: r.Name, Verdict: r.Verdict.String(), Place: fmt.Sprintf("%s:%d", r.File, r.Line), Hits: hits,
		Tier: policy.TierNames[r.Tier], Priority: r.Precedence, Direction: r.Direction.String(),
		From: []string{}, To: []string{}, Ports: []string{},
		Log: r.Log, Audit: r.Audit, WouldDeny: audits, Stateless: r.Stateless, Owner: r.Owner, Reason: r.Reason, State: "in-force",
	}
	switch {
	case r.Dormant && r.Valid.Over(now):
		out.State = "expired"
	case r.Dormant:
		out.State = "not-yet"
	}
	if r.Valid.From != 0 {
		out.ValidFrom = policy.FormatTime(r.Valid.From)
	}
	if r.Valid.Until != 0 {
		out.ValidUntil = policy.FormatTime(r.Valid.Until)
	}
	for _, s := range r.From {
		out.From = append(out.From, rs.Sets[s].Name)
	}
	for _, s := range r.To {
		out.To = append(out.To, rs.Sets[s].Name)
	}
	for _, p := range r.Ports {
		out.Ports = append(out.Ports, p.String())
	}
	return out
}

// LoadPolicy puts the policy of a file in force. A file that is not whole
// changes nothing.
func (o *Operator) LoadPolicy(p *api.PolicyLoad) (*api.Done, error) {
	if err := absolute(p.File); err != nil {
		return nil, err
	}
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	rules, by, err := sw.candidate(p)
	if err == nil {
		err = sw.relink(sw.roster, rules)
	}
	if err != nil {
		sw.rulesErr = err.Error()
		return nil, api.Invalid(err.Error(), "the policy before stays in force")
	}
	sw.rulesFrom, sw.rulesErr, sw.rulesBy = p.File, "", by
	sw.keepGeneration(sw.cfg, rules)
	sw.log.Info("policy", "file", p.File, "rules", len(rules.Rules), "policy_generation", rules.Generation, "signed_by", by, "allow_older", p.AllowOlder, "generation", sw.generation)
	return &api.Done{Done: "loaded " + p.File, Generation: sw.generation}, nil
}

func absolute(file string) error {
	if !filepath.IsAbs(file) {
		return api.Invalid(fmt.Sprintf("%q is no absolute path", file), "name the file as the daemon sees it")
	}
	return nil
}

// candidate reads a policy that may come into force. The caller holds mu.
func (sw *Switch) candidate(p *api.PolicyLoad) (*policy.Ruleset, []policy.KeyID, error) {
	least := floor{inForce: sw.rules, highest: sw.highest, kept: true}
	if p.AllowOlder {
		least = floor{}
	}
	rules, by, err := readRules(sw.world.disk, sw.cfg, p.File, least)
	if err == nil && p.Signed && len(by) == 0 {
		err = errors.New("it must be signed with a key that the configuration trusts, and policy_keys names none")
	}
	return rules, by, err
}

// Reload reads the configuration again.
func (o *Operator) Reload() (*api.Done, error) {
	if err := o.reload(); err != nil {
		var mistakes config.Mistakes
		if errors.As(err, &mistakes) {
			return nil, api.Invalid(err.Error(), "the state before stays in force")
		}
		return nil, &api.Error{Code: api.CodeInternal, Message: err.Error(), Cure: "the state before stays in force"}
	}
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	return &api.Done{Done: "reloaded", Generation: o.sw.generation}, nil
}
