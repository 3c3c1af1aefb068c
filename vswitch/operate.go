package vswitch

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
)

// Operator is the switch as its control API sees it: what operators ask and
// what they may change. What workers own is read by the workers themselves,
// between two batches, so nothing on the path is guarded for the operator.
type Operator struct {
	sw      *Switch
	version string
	reload  func() error
}

// Control returns the switch's operator; reload reads the configuration again
// and puts it in force.
func (sw *Switch) Control(version string, reload func() error) *Operator {
	return &Operator{sw: sw, version: version, reload: reload}
}

// errStopping answers a call while the switch goes down.
var errStopping = api.Busy("the switch is stopping", "start it again")

// now returns what is live.
func (o *Operator) live() (*live, error) {
	l := o.sw.live.Load()
	if l == nil {
		return nil, api.Busy("the switch is starting", "try again in a moment")
	}
	return l, nil
}

// mayChange refuses a change while the switch starts or stops.
func (o *Operator) mayChange() error {
	if o.sw.closed {
		return errStopping
	}
	_, err := o.live()
	return err
}

// Status tells how the switch is.
func (o *Operator) Status() (*api.Status, error) {
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	sw := o.sw
	sw.mu.Lock()
	s := &api.Status{
		Version: o.version, PID: os.Getpid(), Started: sw.started, SingleProcess: true,
		Policy: "none: everything is denied", PolicyFile: sw.rulesFrom, PolicyError: sw.rulesErr,
		Generation: l.snapshot.Generation, Workers: sw.workerCount, Segments: len(l.snapshot.Segments),
		Endpoints: l.snapshot.Identity.Len(), Frames: sw.region.Chunks(), FramesFree: sw.region.Free(),
	}
	if sw.rules != nil {
		s.Policy, s.Rules, s.PolicyGeneration = "loaded", len(sw.rules.Rules), sw.rules.Generation
		for _, key := range sw.rulesBy {
			s.PolicySignedBy = append(s.PolicySignedBy, key.String())
		}
	}
	s.Warnings = sw.warnings()
	sw.mu.Unlock()
	for i := range l.ports {
		if p := l.ports[i].port; p != nil {
			s.Ports++
			if up, why := o.health(packet.PortID(i), p); up {
				s.PortsUp++
			} else {
				s.Warnings = append(s.Warnings, fmt.Sprintf("port %q is down: %s", l.ports[i].name, why))
			}
		}
	}
	return s, o.sessionTotals(s)
}

// health tells whether a port works, and if not why.
func (o *Operator) health(id packet.PortID, p port.Port) (up bool, why string) {
	if reason, is := o.sw.notUp.Load(id); is {
		return false, reason.(string) + "; it is tried again by itself"
	}
	if reason, failed := o.sw.failed.Load(id); failed {
		return false, reason.(string)
	}
	status := p.Status()
	return status.Up, status.Err
}

// sessionTotals adds up the session tables.
func (o *Operator) sessionTotals(s *api.Status) error {
	if !o.sw.onWorker(0, func(w *worker) {
		w.lane.State.Sessions.Each(func(t *conntrack.Table) {
			stats := t.Stats()
			s.Sessions += stats.Sessions
			s.SessionsMax += t.Max()
			s.HugePages = stats.Huge
		})
	}) {
		return errStopping
	}
	return nil
}

// Workers tells what the workers did with their time.
func (o *Operator) Workers() ([]api.Worker, error) {
	if _, err := o.live(); err != nil {
		return nil, err
	}
	out := []api.Worker{}
	for i := range o.sw.workers {
		if !o.sw.onWorker(i, func(w *worker) {
			l := &w.load
			out = append(out, api.Worker{
				Worker: i, IdleSeconds: l.asleep.Seconds(), BusySeconds: (time.Since(l.began) - l.asleep).Seconds(),
				Batches: l.batches, Frames: l.frames,
			})
		}) {
			return nil, errStopping
		}
	}
	return out, nil
}

// counters adds up the workers' accounts of what is live. Who also adds what
// was before holds mu from before he asked what is live: a reload moves the
// one to the other.
func (o *Operator) counters(l *live) (ports []dataplane.PortCounters, rules, audits []uint64, err error) {
	ports = make([]dataplane.PortCounters, len(l.ports))
	rules, audits = make([]uint64, len(l.ruleHits[0])), make([]uint64, len(l.audits[0]))
	for i := range o.sw.workers {
		if !o.sw.onWorker(i, func(w *worker) {
			for p := range ports {
				ports[p].Add(&w.lane.Counters.Ports[p])
			}
			for r, n := range l.ruleHits[i] {
				rules[r] += n
			}
			for r, n := range l.audits[i] {
				audits[r] += n
			}
		}) {
			return nil, nil, nil, errStopping
		}
	}
	return ports, rules, audits, nil
}

// Ports lists the ports.
func (o *Operator) Ports() ([]api.Port, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	counters, _, _, err := o.counters(l)
	if err != nil {
		return nil, err
	}
	out := []api.Port{}
	for i := range l.ports {
		if l.ports[i].port != nil {
			out = append(out, o.port(l, packet.PortID(i), counters[i]))
		}
	}
	return out, nil
}

// port describes one port; what its name counted before goes on.
func (o *Operator) port(l *live, id packet.PortID, c dataplane.PortCounters) api.Port {
	p := l.ports[id].port
	info, stats := p.Info(), port.Stats{Extra: map[string]uint64{}}
	up, why := o.health(id, p)
	addStats(&stats, p.Stats())
	if before := o.sw.retired[l.ports[id].name]; before != nil {
		addStats(&stats, before.stats)
		c.Add(&before.counters)
	}
	out := api.Port{
		Name: l.ports[id].name, ID: uint16(id), Driver: info.Driver, Device: info.Device, Netns: info.Netns,
		MAC: info.MAC.String(), MTU: info.MTU, Mode: info.Mode, Up: up, Error: why,
		RxFrames: stats.RxFrames, RxBytes: stats.RxBytes, TxFrames: stats.TxFrames, TxBytes: stats.TxBytes,
		In: c.In, Copies: c.Copies, Out: c.Out, Consumed: c.Consumed, Drops: map[string]uint64{}, Extra: stats.Extra,
		Role: config.RoleWorkload,
	}
	if l.snapshot.Ports[id].Role == dataplane.RoleUplink {
		out.Role = config.RoleUplink
	} else if s := int(l.snapshot.Ports[id].Segment); s < len(o.sw.cfg.Segments) {
		out.Segment = o.sw.cfg.Segments[s].Name
	}
	for _, r := range drop.All() {
		if n := c.Drops[r] + stats.Drops[r]*rxOnly(r); n > 0 {
			out.Drops[r.String()] = n
		}
	}
	return out
}

// rxOnly is 1 for what a driver loses before the switch sees it; what it loses
// on the way out is booked by the switch as well.
func rxOnly(r drop.Reason) uint64 {
	if r.Stage() == "rx" {
		return 1
	}
	return 0
}

// nameAt returns the name that a snapshot has for a number; empty for none.
func nameAt(names []string, i uint16) string {
	if int(i) < len(names) {
		return names[i]
	}
	return ""
}

// FDB lists the MACs that are bound, and those that were learned.
func (o *Operator) FDB() ([]api.FDBEntry, error) {
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	out := []api.FDBEntry{}
	for _, e := range l.snapshot.Identity.All() {
		out = append(out, api.FDBEntry{
			Segment: nameAt(l.snapshot.Names.Segments, e.Segment), MAC: e.MAC.String(), Kind: "bound", Endpoint: e.Name,
			Port: portAt(l, e.Port), Peer: nameAt(l.snapshot.Names.Peers, e.Peer),
		})
	}
	slices.SortFunc(out, func(a, b api.FDBEntry) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
	learned, err := o.learned()
	if err != nil {
		return nil, err
	}
	for _, e := range learned {
		out = append(out, api.FDBEntry{
			Segment: nameAt(l.snapshot.Names.Segments, e.Segment), MAC: e.MAC.String(), Kind: "learned",
			Port: portAt(l, e.Dest.Port), Peer: nameAt(l.snapshot.Names.Peers, e.Dest.Peer), IdleSeconds: e.Idle.Seconds(),
		})
	}
	return out, nil
}

// learned lists the MACs that were learned. The table's memory goes with the
// switch: it is read under the lock that Close takes.
func (o *Operator) learned() ([]fdb.Entry, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	if o.sw.closed {
		return nil, errStopping
	}
	var list []fdb.Entry
	o.sw.state.FDB.Each(o.sw.now(), func(e fdb.Entry) { list = append(list, e) })
	return list, nil
}

func portAt(l *live, id packet.PortID) string {
	if int(id) < len(l.ports) {
		return l.ports[id].name
	}
	return ""
}

// Sessions lists at most limit open sessions.
func (o *Operator) Sessions(limit int) (*api.Sessions, error) {
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	out := &api.Sessions{Sessions: []api.Session{}}
	now := o.sw.now()
	ok := o.sw.onWorker(0, func(w *worker) {
		w.lane.State.Sessions.Each(func(t *conntrack.Table) {
			out.Total += t.Stats().Sessions
			_, done := t.Range(0, limit-len(out.Sessions), now, func(s *conntrack.Session, left dataplane.Time) {
				out.Sessions = append(out.Sessions, describeSession(l, s, left))
			})
			out.More = out.More || !done
		})
	})
	if !ok {
		return nil, errStopping
	}
	return out, nil
}

func describeSession(l *live, s *conntrack.Session, left dataplane.Time) api.Session {
	k := &s.Key
	frames, bytes := s.Traffic(conntrack.Original)
	replyFrames, replyBytes := s.Traffic(conntrack.Reply)
	out := api.Session{
		VRF: k.Zone, Proto: packet.ProtoName(k.Proto), State: s.State().String(),
		Source: k.Src.String(), Destination: k.Dst.String(), Port: portAt(l, s.Owner()),
		Generation: s.Generation, Frames: frames, Bytes: bytes, ReplyFrames: replyFrames, ReplyBytes: replyBytes,
		ExpiresAfter: float64(left) / 1e9,
	}
	if k.SrcPort != 0 || k.DstPort != 0 {
		out.Source, out.Destination = hostPort(k.Src, k.SrcPort), hostPort(k.Dst, k.DstPort)
	}
	if rules := l.snapshot.Rules; rules != nil && s.Generation == l.snapshot.Generation && s.Rule > 0 && int(s.Rule) <= len(rules.Rules) {
		out.Rule = rules.Rules[s.Rule-1].Name
	}
	return out
}

// Endpoints lists the workloads.
func (o *Operator) Endpoints() ([]api.Endpoint, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	out := []api.Endpoint{}
	for _, e := range o.sw.roster.sorted() {
		a := api.Endpoint{Name: e.Name, Segment: e.Segment, Port: e.Port, Peer: e.Peer, MAC: e.MAC.String(), Source: "config", Services: []string{}, IPs: []string{}}
		a.Labels, a.Host = config.SplitHost(e.Labels)
		if e.FromAPI {
			a.Source = "api"
		}
		for _, ip := range e.IPs {
			a.IPs = append(a.IPs, ip.String())
		}
		if l := o.sw.live.Load(); l != nil && l.snapshot.Rules != nil {
			rules := l.snapshot.Rules
			for _, s := range o.sw.indexOf(rules).ServicesOf(e.Labels) {
				if s != policy.Any {
					a.Services = append(a.Services, rules.Sets[s].Name)
				}
			}
		}
		out = append(out, a)
	}
	return out, nil
}

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

// Counters adds up the accounts.
func (o *Operator) Counters() (*api.Counters, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	ports, hits, audits, err := o.counters(l)
	if err != nil {
		return nil, err
	}
	out := &api.Counters{
		Rules: map[string]uint64{}, Audits: map[string]uint64{}, Drops: []api.Drop{},
		DefaultDeny: hits[len(hits)-1] + o.sw.defaultDeny, LogLost: o.sw.journal.Lost(),
	}
	o.addAccounts(out, l, ports)
	if rs := l.snapshot.Rules; rs != nil {
		for i := range rs.Rules {
			out.Rules[rs.Rules[i].Name] += hits[i]
			if rs.Rules[i].Audit {
				out.Audits[rs.Rules[i].Name] += audits[i]
			}
		}
	}
	for rule, n := range o.sw.auditTotals {
		out.Audits[rule.name] += n
	}
	for rule, n := range o.sw.ruleTotals {
		out.Rules[rule.name] += n
	}
	return out, nil
}

// addAccounts adds the accounts of every port: those that are open, and those
// that were, by name.
func (o *Operator) addAccounts(out *api.Counters, l *live, ports []dataplane.PortCounters) {
	byName := map[string]*dataplane.PortCounters{}
	add := func(name string, c *dataplane.PortCounters) {
		if byName[name] == nil {
			byName[name] = new(dataplane.PortCounters)
		}
		byName[name].Add(c)
	}
	for i := range ports {
		add(l.ports[i].name, &ports[i])
	}
	for name, before := range o.sw.retired {
		add(name, &before.counters)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		c := byName[name]
		out.In, out.Copies, out.Out, out.Consumed = out.In+c.In, out.Copies+c.Copies, out.Out+c.Out, out.Consumed+c.Consumed
		for _, r := range drop.All() {
			if n := c.Drops[r]; n > 0 {
				out.Dropped += n
				out.Drops = append(out.Drops, api.Drop{Port: name, Reason: r.String(), Stage: string(r.Stage()), Meant: r.Sentence(), Frames: n})
			}
		}
	}
}

// changed says of a change that it is done.
var changed = map[string]string{api.EndpointAdd: "added", api.EndpointMove: "moved", api.EndpointDel: "deleted"}

// ChangeEndpoint adds, moves or deletes an endpoint: a new snapshot, the same
// policy, and nothing linked again but that endpoint. The generation is a new one
// if some address is another's, or another workload's, than before.
func (o *Operator) ChangeEndpoint(c *api.EndpointChange) (*api.Done, error) {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	next, err := sw.roster.change(c, sw.cfg)
	if err != nil {
		return nil, err
	}
	if err := sw.relinkEndpoint(next); err != nil {
		return nil, api.Invalid(err.Error(), "nothing has changed")
	}
	sw.log.Info("endpoint", "op", c.Op, "name", c.Name, "port", c.Port, "generation", sw.generation)
	return &api.Done{Done: changed[c.Op] + " " + c.Name, Generation: sw.generation}, nil
}

// LoadPolicy puts the policy of a file in force. A file that is not whole
// changes nothing.
func (o *Operator) LoadPolicy(p *api.PolicyLoad) (*api.Done, error) {
	if !filepath.IsAbs(p.File) {
		return nil, api.Invalid(fmt.Sprintf("%q is no absolute path", p.File), "name the file as the daemon sees it")
	}
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	least := floor{inForce: sw.rules, kept: true}
	if p.AllowOlder {
		least = floor{}
	}
	rules, by, err := readRules(sw.cfg, p.File, least)
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

// portNamed finds a port that is open.
func portNamed(l *live, name string) (packet.PortID, error) {
	i := slices.IndexFunc(l.ports, func(p openPort) bool { return p.name == name && p.port != nil })
	if i < 0 {
		return 0, unknownPort(l, name)
	}
	return packet.PortID(i), nil
}

// hostPort writes an address and a port as people write them.
func hostPort(a packet.Addr, port uint16) string {
	return netip.AddrPortFrom(a.Netip(), port).String()
}
