package vswitch

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// choice is the probes of one segment, and what they were chosen by.
type choice struct {
	segment string
	made    time.Time
	keep    time.Duration
	rules   *policy.Ruleset // nil: no policy
	probes  []*probe        // none: nobody is on a port of this host
}

// choiceLooks is how often a choice goes through the rules and sets, at most: the
// sets of each candidate, the allowed probe's rules and questions, the denied one's.
const choiceLooks = 2*seenMost + 2*triesMost + 1

// triesMost is how many connections are asked about before a choice gives up.
const triesMost = 8

// sighting is a few endpoints of each segment, drawn out of all: who may send, and
// to whom. It is made of a snapshot, so no lock is held; whoever is chosen is then
// looked up in the roster, which is the truth.
type sighting struct {
	at time.Time
	of func(l *live, segment string) seen
}

// seen is the candidates of a segment.
type seen struct {
	here  []string // on ports of this host
	other []string // behind peers, or in another segment of the VRF
}

// seenMost is how many candidates of a kind are kept of a segment, and seenKeep how
// long: to look goes through every endpoint.
const (
	seenMost = 6
	seenKeep = 10 * time.Second
)

// look makes the sighting anew, if it is old.
func (s *sighting) look(l *live, now time.Time) {
	if s.of != nil && now.Sub(s.at) < seenKeep {
		return
	}
	here, far, zones := map[uint16]*draw{}, map[uint16]*draw{}, map[uint16]*draw{}
	for _, e := range l.snapshot.Identity.All() {
		if e.Port == packet.NoPort {
			drawInto(far, e.Segment, e.Name)
			continue
		}
		drawInto(here, e.Segment, e.Name)
		drawInto(zones, e.Zone, e.Name)
	}
	*s = sighting{at: now, of: func(l *live, segment string) seen {
		i := slices.Index(l.snapshot.Names.Segments, segment)
		if i < 0 {
			return seen{}
		}
		zone := l.snapshot.Segments[i].Zone
		return seen{here: here[uint16(i)].names(), other: append(far[uint16(i)].names(), zones[zone].names()...)}
	}}
}

// draw is a sample of names, each as likely as any other (Vitter's algorithm R).
type draw struct {
	list  [seenMost]string
	count int
}

func drawInto(of map[uint16]*draw, key uint16, name string) {
	d := of[key]
	if d == nil {
		d = &draw{}
		of[key] = d
	}
	if d.count < seenMost {
		d.list[d.count] = name
	} else if i := rand.IntN(d.count + 1); i < seenMost {
		d.list[i] = name
	}
	d.count++
}

func (d *draw) names() []string {
	if d == nil {
		return nil
	}
	return slices.Clone(d.list[:min(d.count, seenMost)])
}

// fits tells whether a choice is of what is declared now: the rules, and who its
// probes are about. The caller holds mu.
func (sw *Switch) fits(l *live, c *choice) bool {
	if l.snapshot.Rules != c.rules {
		return false
	}
	for _, p := range c.probes {
		from, to := sw.roster[p.from.Name], sw.roster[p.to.Name]
		id, open := sw.ports[p.from.Port]
		if !sameEndpoint(&from, &p.from) || !sameEndpoint(&to, &p.to) || !open || id != p.port {
			return false
		}
	}
	return true
}

// stillRight is fits, of what was live when the lock was not held.
func (sw *Switch) stillRight(l *live, c *choice) bool {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	return sw.fits(l, c)
}

func sameEndpoint(a, b *endpoint) bool {
	return a.Name == b.Name && a.Segment == b.Segment && a.Port == b.Port && a.Peer == b.Peer && a.MAC == b.MAC &&
		slices.Equal(a.IPs, b.IPs) && slices.Equal(a.Prefixes, b.Prefixes) && maps.Equal(a.Labels, b.Labels)
}

// pair is two endpoints that may meet, an address of either, and the sets of each.
type pair struct {
	from, to         endpoint
	src, dst         netip.Addr
	fromSets, toSets []policy.SetID
}

// choose chooses the probes of a segment: one that the policy allows, if there is one
// among the pairs, of which there is one at least, and one that it denies.
func (c *choice) choose(pairs []pair, ports map[string]packet.PortID) {
	sets := map[string][]policy.SetID{}
	for i := range pairs {
		p := &pairs[i]
		p.fromSets, p.toSets = setsOf(c.rules, sets, &p.from, p.src), setsOf(c.rules, sets, &p.to, p.dst)
	}
	rand.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	made := []*probe{c.denied(pairs)}
	if c.rules != nil {
		made = append(made, c.allowed(pairs))
	}
	for _, p := range made {
		if p != nil {
			p.segment, p.port = c.segment, ports[p.from.Port]
			c.probes = append(c.probes, p)
		}
	}
}

// pairsOf is who may meet whom, as the roster has them now, and the ports of those who
// send. It asks no rule and no set. In a segment in which nobody is on a port of this
// host, nothing comes in, and there is nothing to show.
func (sw *Switch) pairsOf(l *live, segment string, who seen) (pairs []pair, ports map[string]packet.PortID) {
	if len(who.here) == 0 {
		return nil, nil
	}
	senders, others := []endpoint{}, []endpoint{}
	ports = map[string]packet.PortID{}
	sw.mu.Lock()
	for _, name := range who.here {
		if e, found := sw.roster[name]; found && e.Segment == segment && e.Port != "" {
			senders = append(senders, e)
			ports[e.Port] = sw.ports[e.Port]
		}
	}
	for _, name := range who.other {
		if e, found := sw.roster[name]; found {
			others = append(others, e)
		}
	}
	sw.mu.Unlock()
	for i := range senders {
		from := &senders[i]
		for _, to := range slices.Concat(senders, others) {
			if to.Name == from.Name || to.Port != "" && to.Port == from.Port || to.Segment != segment && !routed(l, segment, to.Segment) {
				continue
			}
			if src, dst, found := oneFamily(from.IPs, to.IPs); found {
				pairs = append(pairs, pair{from: *from, to: to, src: src, dst: dst})
			}
		}
	}
	return pairs, ports
}

// routed tells whether both segments have a gateway.
func routed(l *live, a, b string) bool {
	for _, name := range []string{a, b} {
		i := slices.Index(l.snapshot.Names.Segments, name)
		if i < 0 || l.snapshot.Segments[i].GatewayMAC == (packet.MAC{}) {
			return false
		}
	}
	return true
}

// oneFamily picks an address of each, both of one family.
func oneFamily(from, to []netip.Addr) (src, dst netip.Addr, found bool) {
	for _, i := range rand.Perm(len(from)) {
		for _, j := range rand.Perm(len(to)) {
			if from[i].Is4() == to[j].Is4() {
				return from[i], to[j], true
			}
		}
	}
	return src, dst, false
}

// setsOf asks the ruleset itself, set by set, and not the index that linking asks.
func setsOf(rs *policy.Ruleset, known map[string][]policy.SetID, e *endpoint, ip netip.Addr) []policy.SetID {
	if rs == nil {
		return []policy.SetID{policy.Any}
	}
	key := e.Name + " " + ip.String()
	if sets, is := known[key]; is {
		return sets
	}
	sets := append(rs.ServicesOf(e.Labels), rs.NetworksOf(ip)...)
	slices.Sort(sets)
	known[key] = slices.Compact(sets)
	return known[key]
}

// allowed finds a connection that a rule allows, and no other denies: it looks for
// the rules that speak of a pair, in one go, and asks about some of them.
func (c *choice) allowed(pairs []pair) *probe {
	var found []*probe
	tries := 0
	for i := range c.rules.Rules {
		r := &c.rules.Rules[i]
		if r.Verdict != policy.Allow || r.Dormant {
			continue
		}
		at := slices.IndexFunc(pairs, func(p pair) bool { return meets(r.From, p.fromSets) && meets(r.To, p.toSets) })
		if at < 0 {
			continue
		}
		if p := headerOf(&pairs[at], r.Ports[rand.IntN(len(r.Ports))]); p != nil {
			// Each rule as likely as any other, whichever it is in the list.
			if tries++; len(found) < triesMost {
				found = append(found, p)
			} else if k := rand.IntN(tries); k < triesMost {
				found[k] = p
			}
		}
	}
	for _, p := range found {
		if p.ask(c.rules); p.expect == passes {
			return p
		}
	}
	return nil
}

func meets(named, sets []policy.SetID) bool {
	return slices.ContainsFunc(named, func(s policy.SetID) bool { return slices.Contains(sets, s) })
}

// denied finds a connection that the policy denies; where it allows all that was
// tried, a frame that says it is from its own destination.
func (c *choice) denied(pairs []pair) *probe {
	for i := range triesMost {
		x := &pairs[i%len(pairs)]
		port := policy.Port{Proto: packet.ProtoTCP, SrcHi: 65535, DstLo: 1, DstHi: 65535}
		if i%2 == 1 {
			port.Proto = packet.ProtoUDP
		}
		p := headerOf(x, port)
		if p == nil {
			continue
		}
		if c.rules == nil {
			p.expect = dropped
			return p
		}
		if p.ask(c.rules); p.expect == dropped {
			return p
		}
	}
	p := headerOf(&pairs[0], policy.Port{Proto: policy.AnyProto})
	if p == nil {
		return nil
	}
	p.expect, p.rule, p.src = spoofed, 0, p.dst
	return p
}

// headerOf draws a transport header that a port of a rule names; nil if the port is
// of a protocol that the canary does not speak, or of messages that no workload may
// send.
func headerOf(x *pair, port policy.Port) *probe {
	p := &probe{from: x.from, to: x.to, src: x.src, dst: x.dst, fromSets: x.fromSets, toSets: x.toSets}
	proto, lo, hi := port.Proto, port.SrcLo, port.SrcHi
	if proto == policy.AnyProto {
		port = policy.Port{Proto: packet.ProtoTCP, SrcHi: 65535, DstLo: 1, DstHi: 65535}
		proto, lo, hi = port.Proto, port.SrcLo, port.SrcHi
	}
	switch proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP:
		if lo <= 49152 && hi == 65535 {
			lo = 49152 // as hosts choose them (RFC 6335 6)
		}
		p.sport, p.dport = between(max(1, lo), hi), between(max(1, port.DstLo), port.DstHi)
		if proto == packet.ProtoUDP && (asksServer(p.sport) || asksServer(p.dport)) {
			return nil
		}
	case packet.ProtoICMP, packet.ProtoICMPv6:
		request := uint16(packet.ICMPEchoRequest) << 8
		if proto == packet.ProtoICMPv6 {
			request = uint16(packet.ICMPv6EchoRequest) << 8
		}
		if x.src.Is4() != (proto == packet.ProtoICMP) || port.DstLo > request || port.DstHi < request {
			return nil
		}
		p.dport = request
	default:
		return nil
	}
	p.proto = uint8(proto)
	return p
}

func between(lo, hi uint16) uint16 {
	if lo >= hi {
		return lo
	}
	return lo + uint16(rand.IntN(int(hi-lo)+1))
}

// asksServer tells of the ports of DHCP, which the switch answers itself.
func asksServer(port uint16) bool { return port == 67 || port == 68 || port == 546 || port == 547 }
