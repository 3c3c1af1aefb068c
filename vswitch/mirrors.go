package vswitch

import (
	"maps"
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/erspan"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
)

// Mirrors: who a mirror selects is worked out when an endpoint is linked, so that one
// that comes, goes or changes its labels is mirrored, or not, from its first frame on.
// A service of the policy and labels of the configuration become a mark of the
// endpoint, two for each mirror: of whom, and for whom. A network of the policy is
// looked for in the identity of the address.

// linkMirrors makes the snapshot's mirrors. Services and networks that the policy has
// not are nobody: a policy must not wait for a mirror.
func (l *linker) linkMirrors() error {
	for i := range l.cfg.Mirrors {
		c := &l.cfg.Mirrors[i]
		m := dataplane.Mirror{
			Name: c.Name, State: l.mirrors[c.Name], To: l.ports[c.Port], In: c.In, Out: c.Out, Replies: c.Replies,
			Of: l.whom(c.From, c.FromLabels, fromMark(i)), For: l.whom(c.To, c.ToLabels, toMark(i)),
			Ports: l.portSet(c.Ports), Drops: reasonSet(c.Drops), Snap: uint32(c.Snaplen), Rate: boundOf(c.Rate),
		}
		if p := l.cfg.Port(c.Port); p.Driver == "erspan" {
			m.Tunnel, m.Session = erspan.Type(p.Collector.Type), uint16(c.Session)
			if a := packet.AddrFrom(p.Collector.Remote); !slices.Contains(l.s.Collectors, a) {
				l.s.Collectors = append(l.s.Collectors, a)
			}
		}
		l.s.Mirrors = append(l.s.Mirrors, m)
	}
	return nil
}

// fromMark and toMark are the marks of who a mirror selects.
func fromMark(mirror int) uint32 { return 1 << (2 * mirror) }
func toMark(mirror int) uint32   { return 2 << (2 * mirror) }

// whom is some services and networks, and who has labels; nil for everybody.
func (l *linker) whom(names []string, labels map[string]string, mark uint32) *dataplane.Who {
	if len(names) == 0 && len(labels) == 0 {
		return nil
	}
	who := &dataplane.Who{Marks: mark}
	if l.rules != nil {
		for i := range l.rules.Sets {
			if slices.Contains(names, l.rules.Sets[i].Name) {
				who.Sets = append(who.Sets, uint32(i))
			}
		}
	}
	return who
}

// marksOf are the marks of an endpoint that has so many services.
func (l *linker) marksOf(e *endpoint, services []policy.SetID) (marks uint32) {
	is := func(who *dataplane.Who, labels map[string]string) bool {
		return who != nil && (len(labels) > 0 && hasAll(e.Labels, labels) ||
			slices.ContainsFunc(services, func(s policy.SetID) bool { return slices.Contains(who.Sets, uint32(s)) }))
	}
	for i := range l.s.Mirrors {
		c, m := &l.cfg.Mirrors[i], &l.s.Mirrors[i]
		if is(m.Of, c.FromLabels) {
			marks |= fromMark(i)
		}
		if is(m.For, c.ToLabels) {
			marks |= toMark(i)
		}
	}
	return marks
}

func hasAll(labels, wanted map[string]string) bool {
	for k, v := range wanted {
		if got, has := labels[k]; !has || got != v {
			return false
		}
	}
	return true
}

func (l *linker) portSet(names []string) *dataplane.PortSet {
	if len(names) == 0 {
		return nil
	}
	set := new(dataplane.PortSet)
	for _, name := range names {
		set.Add(l.ports[name])
	}
	return set
}

// reasonSet is the reasons of a list, in which "any" stands for all.
func reasonSet(names []string) *[drop.Count]bool {
	if len(names) == 0 {
		return nil
	}
	set := new([drop.Count]bool)
	for _, r := range drop.All() {
		set[r] = slices.Contains(names, r.String()) || slices.Contains(names, "any")
	}
	return set
}

// mirrorStates are what the mirrors of a configuration count, by name: those that there
// are go on.
func mirrorStates(cfg *config.Config, before map[string]*dataplane.MirrorState) map[string]*dataplane.MirrorState {
	states := map[string]*dataplane.MirrorState{}
	for i := range cfg.Mirrors {
		name := cfg.Mirrors[i].Name
		if states[name] = before[name]; states[name] == nil {
			states[name] = new(dataplane.MirrorState)
		}
	}
	return states
}

// unknownOf are the names of a mirror that the policy in force has not.
func unknownOf(c *config.Mirror, rules *policy.Ruleset) (names []string) {
	known := map[string]bool{}
	if rules != nil {
		for i := range rules.Sets {
			known[rules.Sets[i].Name] = true
		}
	}
	for _, name := range append(slices.Clone(c.From), c.To...) {
		if !known[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sendMirrored gives out what mirrors show of the batch, when the batch itself is on
// its way, and books it. What a port does not take at once is lost.
func (w *worker) sendMirrored() {
	all := &w.lane.Mirrored
	if all.Len() == 0 {
		return
	}
	o := &w.out
	for i := range all.Len() {
		f := all.Frame(i)
		if len(o.frames[f.Egress]) == 0 {
			o.used = append(o.used, f.Egress)
		}
		o.frames[f.Egress] = append(o.frames[f.Egress], f)
	}
	for _, id := range o.used {
		if queue := w.live.queue(id, w.number); queue != nil {
			queue.Send(o.frames[id])
		} else {
			for _, f := range o.frames[id] {
				f.Reason = drop.PortDown
			}
		}
		o.frames[id] = o.frames[id][:0]
	}
	o.used = o.used[:0]
	all.Settle()
}

// sortedLabels writes labels as k=v, sorted.
func sortedLabels(labels map[string]string) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, k+"="+labels[k])
	}
	return out
}
