package config

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/dataplane/drop"
)

// Bounds of mirrors: as many as a snapshot has, and what one names.
const (
	maxMirrors = 16
	maxWho     = 64
	maxSnap    = 9216
	// What is shown without a bound of its own: a full Ethernet frame with a tag; with
	// ERSPAN what fits an MTU of 1500 with its headers, over IPv6, too.
	snapOfPort   = 1518
	snapOfERSPAN = 1432
	framesShown  = 10_000
	bitsShown    = 100_000_000
	anyDrop      = "any"
)

// mirrors checks [[mirrors]], when all ports are known.
func (c *checker) mirrors(list []fileMirror) {
	c.atMost("mirrors", len(list), maxMirrors)
	c.named("mirrors", len(list), func(i int) string { return list[i].Name })
	used := map[string]bool{}
	for i := range list {
		m := c.mirror(i, &list[i])
		used[m.Port] = true
		c.cfg.Mirrors = append(c.cfg.Mirrors, m)
	}
	for i := range c.cfg.Ports {
		if p := &c.cfg.Ports[i]; p.Role == RoleMirror && !used[p.Name] && !c.silent["mirrors"] {
			c.wrong(fmt.Sprintf("ports[%d].role", i), "name the port in [[mirrors]], or take it away", "port %q is a mirror's, and no mirror uses it", p.Name)
		}
	}
}

func (c *checker) mirror(i int, f *fileMirror) Mirror {
	key := func(k string) string { return fmt.Sprintf("mirrors[%d].%s", i, k) }
	m := Mirror{Name: f.Name, Port: f.Port, Replies: f.Replies, Session: i + 1}
	erspan := c.mirrorPort(key, &m)
	m.From, m.To = c.whom(key("from"), f.From), c.whom(key("to"), f.To)
	m.FromLabels, m.ToLabels = f.FromLabels, f.ToLabels
	c.labels(key("from_labels"), f.FromLabels)
	c.labels(key("to_labels"), f.ToLabels)
	if m.Replies && m.Everybody() {
		c.wrong(key("replies"), "add from or to, or take it away", "everybody's frames are both ways already")
	}
	m.Ports = c.mirroredPorts(key("ports"), f.Ports)
	m.Drops = c.reasons(key("drops"), f.Drops)
	c.direction(key("direction"), f.Direction, &m)
	m.Rate = c.bound(key("rate"), f.Rate)
	if !c.set[key("rate")] {
		m.Rate = Bound{Frames: framesShown, Bits: bitsShown}
	}
	m.Snaplen = c.number(key("snaplen"), f.Snaplen)
	if !c.set[key("snaplen")] {
		m.Snaplen = snapOfPort
		if erspan {
			m.Snaplen = snapOfERSPAN
		}
	}
	if c.set[key("session")] {
		m.Session = c.number(key("session"), f.Session)
		if !erspan && m.Port != "" {
			c.wrong(key("session"), `take it away, or name a port with driver = "erspan"`, "frames go to port %q as they are, without a session", m.Port)
		}
	}
	return m
}

// mirrorPort checks where a mirror shows frames, and tells whether by ERSPAN.
func (c *checker) mirrorPort(key func(string) string, m *Mirror) (erspan bool) {
	p, found := c.reference(key("port"), "port", m.Port, c.ports)
	if !found {
		return false
	}
	port := &c.cfg.Ports[p]
	if port.Role != RoleMirror {
		c.wrong(key("port"), `name one with role = "mirror": what it is for it is for alone`, "port %q is not for mirrors", m.Port)
	}
	return port.Driver == "erspan"
}

// whom checks names of services and networks: which there are the policy says, and
// it may say so later.
func (c *checker) whom(key string, list []string) []string {
	if len(list) > maxWho {
		c.wrong(key, fmt.Sprintf("name at most %d", maxWho), "there are %d names", len(list))
	}
	for i, name := range list {
		if name == "" || len(name) > 2*maxName || !printable(name) || strings.ContainsAny(name, " \t") {
			c.wrong(fmt.Sprintf("%s[%d]", key, i), "name a service or a network of the policy, as web or shop/web", "%s is no name", short(name))
		}
	}
	if c.set[key] && len(list) == 0 && !c.silent[key] {
		c.wrong(key, "name some, or take the key away for everybody", "this is nobody")
	}
	return list
}

// mirroredPorts checks the ports that are watched.
func (c *checker) mirroredPorts(key string, list []string) []string {
	if c.set[key] && len(list) == 0 && !c.silent[key] {
		c.wrong(key, "name some, or take the key away for all", "this is no port")
	}
	for i, name := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		if p, found := c.reference(at, "port", name, c.ports); found && c.cfg.Ports[p].Role == RoleMirror {
			c.wrong(at, "take it away", "port %q shows frames, and has none of its own", name)
		}
		if slices.Contains(list[:i], name) {
			c.wrong(at, "take one away", "port %q is there twice", name)
		}
	}
	return list
}

// reasons checks names of drop reasons. Those of the rx and tx stages are the drivers',
// which the walk does not see.
func (c *checker) reasons(key string, list []string) []string {
	var known []string
	for _, r := range drop.All() {
		if s := r.Stage(); s != "rx" && s != "tx" {
			known = append(known, r.String())
		}
	}
	for i, name := range list {
		if name != anyDrop && !slices.Contains(known, name) {
			c.wrong(fmt.Sprintf("%s[%d]", key, i), meant(name, append(known, anyDrop)), "%s is no reason for which the switch drops a frame", short(name))
		}
	}
	if c.set[key] && len(list) == 0 && !c.silent[key] {
		c.wrong(key, `name some, or write ["any"], or take the key away`, "this is no reason")
	}
	return list
}

// direction is by default both of a port, and else in, so that a frame is not looked
// for twice.
func (c *checker) direction(key, text string, m *Mirror) {
	way := c.word(key, text)
	if !c.set[key] {
		way = "in"
		if len(m.Ports) > 0 && len(m.Drops) == 0 {
			way = "both"
		}
	}
	m.In, m.Out = way != "out", way != "in"
	if m.Out && len(m.Drops) > 0 {
		c.wrong(key, `set direction = "in", or take it away`, "what is dropped does not go out")
	}
}

// collector checks where a port of driver erspan sends.
func (c *checker) collector(key func(string) string, p *Port, f *filePort) {
	kind := c.number(key("erspan_type"), f.ERSPANType)
	if p.Driver != "erspan" {
		for _, k := range []string{"remote", "erspan_type"} {
			if c.set[key(k)] {
				c.wrong(key(k), `take it away, or set driver = "erspan"`, "a port of driver %s has no %s", p.Driver, k)
			}
		}
		return
	}
	if p.Role != RoleMirror {
		c.wrong(key("driver"), `set role = "mirror", or another driver`, "an erspan port shows what mirrors copy, and nothing else")
	}
	p.Collector.Type = kind
	if !c.set[key("remote")] {
		c.wrong(key("remote"), `add remote = "192.0.2.9" or the like`, "an erspan port must name the collector's address")
		return
	}
	p.Collector.Remote, _ = c.addr(key("remote"), f.Remote)
}

// onlyMirrors notes what a mirror's port has no use for.
func (c *checker) onlyMirrors(key func(string) string, p *Port) {
	for _, k := range append([]string{"storm_broadcast", "storm_multicast", "storm_unknown", "rate_in", "rate_out"}, ofWorkloads...) {
		if c.set[key(k)] {
			c.wrong(key(k), "take it away; what a mirror shows is bounded by its own rate", "a mirror's port is in no segment and has no endpoint")
		}
	}
	if !slices.Contains([]string{"tap", "packet", "auto", "erspan"}, p.Driver) && slices.Contains(ruleOf("ports[0].driver").words, p.Driver) {
		c.wrong(key("driver"), "set one of tap, packet, auto, erspan", "a mirror cannot show frames by driver %s", p.Driver)
	}
}
