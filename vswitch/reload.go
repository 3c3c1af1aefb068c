package vswitch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
)

// A reload builds all that is new beside what is in force, publishes it by one
// pointer store, waits until every worker goes by it, and only then lets go of
// what is old. Whatever fails before the store is undone, and the old state
// goes on untouched.

// Reload puts a configuration in force in place of the one before. Workers,
// limits, control socket and metrics address keep the values of the start.
func (sw *Switch) Reload(cfg *config.Config) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.closed {
		return errors.New("the switch is closed")
	}
	rules, err := readRules(cfg.Policy)
	if err != nil {
		return err
	}
	next := rosterOf(cfg)
	next.carryOver(sw.roster)
	if err := sw.apply(cfg, next, rules); err != nil {
		// What had to be closed first is opened again as it was.
		if back := sw.apply(sw.cfg, sw.roster, sw.rules); back != nil {
			return errors.Join(err, fmt.Errorf("going back: %w", back))
		}
		return err
	}
	sw.rulesFrom, sw.rulesErr = cfg.Policy, ""
	return nil
}

// apply makes a declared state live. The caller holds mu.
func (sw *Switch) apply(cfg *config.Config, r roster, rules *policy.Ruleset) error {
	plan, err := sw.openPorts(cfg)
	if err != nil {
		return err
	}
	snapshot, err := link(cfg, r, rules, plan.ids, plan.open, sw.generation+1)
	if err != nil {
		plan.undo()
		return err
	}
	next := &live{snapshot: snapshot, ports: plan.open}
	for range sw.workers {
		n := 1
		if rules != nil {
			n = len(rules.Rules) + 1
		}
		next.ruleHits = append(next.ruleHits, make([]uint64, n))
	}
	before := sw.live.Load()
	sw.live.Store(next)
	sw.generation++
	if before == nil {
		for _, w := range sw.workers {
			w.live = next
			w.adopt(next)
			go w.run()
		}
	} else {
		sw.settle()
		sw.keepRuleHits(before)
	}
	sw.cfg, sw.roster, sw.rules = cfg, r, rules
	sw.ports, sw.opened, sw.nextPort = plan.ids, plan.open, plan.next
	plan.finish(sw)
	return nil
}

// settle waits until no worker goes by anything but what is live now.
func (sw *Switch) settle() {
	for _, w := range sw.workers {
		w.epoll.Wake()
		w.do(func() { w.adopt(sw.live.Load()) })
	}
}

// keepRuleHits adds the hits of a snapshot that is over to the totals by name.
func (sw *Switch) keepRuleHits(old *live) {
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
				sw.ruleTotals[rules.Rules[i].Name] += row[i]
			}
		}
	}
}

// plan is which ports are open before and after a reload.
type plan struct {
	ids     map[string]packet.PortID
	open    []openPort
	next    packet.PortID
	added   []packet.PortID
	removed []openPort
}

// openPorts opens what a configuration has and the switch has not, and keeps
// what both have. A port whose own settings changed is opened anew under a new
// number, so that nothing that was known of the old one speaks for the new.
func (sw *Switch) openPorts(cfg *config.Config) (*plan, error) {
	p := &plan{ids: map[string]packet.PortID{}, open: slices.Clone(sw.opened), next: sw.nextPort}
	kept := map[packet.PortID]bool{}
	for i := range cfg.Ports {
		c := &cfg.Ports[i]
		if id, had := sw.ports[c.Name]; had && sw.opened[id].port != nil && sw.goesOn(cfg, c) {
			p.ids[c.Name], kept[id] = id, true
		}
	}
	for name, id := range sw.ports {
		switch {
		case kept[id] || p.open[id].port == nil:
		case cfg.Port(name) != nil:
			// Its successor wants the same device: it must go first.
			sw.release(id)
			p.open[id] = openPort{name: name}
		default:
			p.removed = append(p.removed, p.open[id])
			p.open[id] = openPort{name: name}
		}
	}
	for i := range cfg.Ports {
		c := &cfg.Ports[i]
		if _, have := p.ids[c.Name]; have {
			continue
		}
		if err := p.add(sw, cfg, c); err != nil {
			p.undo()
			return nil, err
		}
	}
	return p, nil
}

// release takes one port from the workers and closes it; its workload is cut
// off until a successor is up. The snapshot in force stays.
func (sw *Switch) release(id packet.PortID) {
	old := sw.live.Load()
	next := &live{snapshot: old.snapshot, ports: slices.Clone(old.ports), ruleHits: old.ruleHits}
	gone := next.ports[id]
	next.ports[id] = openPort{name: gone.name}
	sw.live.Store(next)
	sw.settle()
	sw.opened[id] = openPort{name: gone.name}
	if err := gone.port.Close(); err != nil {
		sw.log.Error("port-close", "port", gone.name, "error", err)
	}
}

// add opens one port.
func (p *plan) add(sw *Switch, cfg *config.Config, c *config.Port) error {
	id, found := p.number()
	if !found {
		return fmt.Errorf("open port %q: all %d port numbers are in use", c.Name, packet.MaxPorts)
	}
	o := Opening{ID: id, Region: sw.region, Workers: sw.workerCount, Log: sw.log, VTEP: cfg.VTEP, Segment: cfg.Segment(c.Segment)}
	opened, err := sw.open(c, o)
	if err != nil {
		return fmt.Errorf("open port %q: %w", c.Name, err)
	}
	p.ids[c.Name] = id
	p.open[id] = openPort{name: c.Name, port: opened, queues: opened.Queues(), caps: opened.Info().Caps}
	p.added = append(p.added, id)
	return nil
}

// number finds a number for a new port: the one least recently used, so that
// a session of a port that is gone does not meet its successor.
func (p *plan) number() (packet.PortID, bool) {
	for range packet.MaxPorts {
		id := p.next
		p.next = (p.next + 1) % packet.MaxPorts
		for int(id) >= len(p.open) {
			p.open = append(p.open, openPort{})
		}
		if p.open[id].port == nil {
			return id, true
		}
	}
	return 0, false
}

// undo closes what the plan opened.
func (p *plan) undo() {
	for _, id := range p.added {
		_ = p.open[id].port.Close()
	}
}

// finish closes what is no longer wanted and sets the links of what is new up.
func (p *plan) finish(sw *Switch) {
	for i := range p.removed {
		if err := p.removed[i].port.Close(); err != nil {
			sw.log.Error("port-close", "port", p.removed[i].name, "error", err)
		}
	}
	for _, id := range p.added {
		o := &p.open[id]
		sw.failed.Delete(id)
		sw.state.FDB.FlushPort(id) // what its number's last port had learned
		sw.setQuota(id)
		if err := o.port.Up(); err != nil {
			sw.failed.Store(id, err.Error())
			sw.log.Error("port-up", "port", o.name, "error", err)
			continue
		}
		info := o.port.Info()
		sw.log.Info("port-up", "port", o.name, "driver", info.Driver, "device", info.Device, "mode", info.Mode)
	}
}

// setQuota bounds the sessions of a port: an uplink speaks for many hosts, so
// the table's own bound is its only one.
func (sw *Switch) setQuota(id packet.PortID) {
	l := sw.live.Load()
	sessions, embryonic := uint32(sw.cfg.Limits.SessionsPerPort), uint32(sw.cfg.Limits.EmbryonicPerPort)
	if l.snapshot.Ports[id].Role == dataplane.RoleUplink {
		sessions, embryonic = 0, uint32(sw.cfg.Limits.Sessions)
	}
	shards := uint32(sw.state.Sessions.Shards())
	sw.onWorker(0, func(w *worker) {
		w.lane.State.Sessions.Each(func(t *conntrack.Table) {
			t.SetQuota(id, share(sessions, shards), share(embryonic, shards))
		})
	})
}

// share is a shard's part of a bound; none stays none.
func share(n, shards uint32) uint32 {
	if n == 0 {
		return 0
	}
	return max(1, n/shards)
}

// goesOn tells whether a port that is open can stay so. An uplink was opened
// with the VTEP, too: its filter knows which frames are the switch's.
func (sw *Switch) goesOn(cfg *config.Config, c *config.Port) bool {
	if c.Role == config.RoleUplink && !reflect.DeepEqual(sw.cfg.VTEP, cfg.VTEP) {
		return false
	}
	return config.SamePort(sw.portConfig(c.Name), c)
}

// portConfig returns the configuration that a port was opened with.
func (sw *Switch) portConfig(name string) *config.Port {
	for i := range sw.cfg.Ports {
		if sw.cfg.Ports[i].Name == name {
			return &sw.cfg.Ports[i]
		}
	}
	return nil
}

// loadRules reads the policy of the start. No file named, or none there yet,
// is no policy: everything is denied, and the status says so.
func (sw *Switch) loadRules(path string) error {
	rules, err := readRules(path)
	if errors.Is(err, fs.ErrNotExist) {
		sw.rulesFrom, sw.rulesErr = path, err.Error()
		sw.log.Warn("no-policy", "file", path, "effect", "everything is denied", "cure", "policyc build FILE... -o "+path+", then vsctl reload")
		return nil
	}
	if err != nil {
		return err
	}
	sw.rules, sw.rulesFrom = rules, path
	return nil
}

// maxPolicy bounds a policy file, in bytes.
const maxPolicy = 256 << 20

// readRules reads a compiled policy; an empty path is no policy.
func readRules(path string) (*policy.Ruleset, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPolicy {
		return nil, fmt.Errorf("policy %s: not a regular file of at most %d bytes", path, maxPolicy)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	rules, err := policy.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	return rules, nil
}
