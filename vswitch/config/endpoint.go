package config

// ReadEndpoint reads a workload that somebody other than the file states, by
// the rules of the file: name, MAC, addresses and labels, for its segment. Who
// has the same name, MAC or address is for the caller to find. A host's label is
// kept where e.Host says that it is one, and refused elsewhere.
func (cfg *Config) ReadEndpoint(e Endpoint, mac string, ips []string) (Endpoint, error) {
	c := newChecker("", nil)
	c.cfg, c.segments.index = cfg, map[string]int{}
	for i := range cfg.Segments {
		s := &cfg.Segments[i]
		c.segments.index[s.Name] = i
		c.segments.all = append(c.segments.all, s.Name)
		for _, g := range s.Gateways {
			c.gatewayAt("", s, g)
		}
	}
	if e.Host {
		e.Labels, _ = SplitHost(e.Labels)
	}
	key := func(k string) string { return k }
	for _, k := range []string{"name", "segment", "mac", "ips"} {
		c.set[k] = true
	}
	if !goodName(e.Name) {
		c.wrong("name", nameForm, "%s is no name", short(e.Name))
	}
	c.reference("segment", "segment", e.Segment, c.segments)
	if len(ips) == 0 {
		c.wrong("ips", "add one, as 10.0.0.1", "an endpoint needs ips")
	}
	c.workload(key, &e, mac, ips)
	if len(c.mistakes) > 0 {
		return e, c.mistakes
	}
	return e, nil
}
