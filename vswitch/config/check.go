package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"bulkhead/dataplane/packet"
)

// checker turns a file into a Config, and collects what is wrong on the way.
type checker struct {
	name     string
	places   *places
	set      map[string]bool // keys that the file has
	silent   map[string]bool // keys of which a mistake has been told that explains others
	mistakes Mistakes

	cfg                    *Config
	segments, ports, peers names
	groups                 names
	macs                   map[string]string // by segment: whose
	addrs                  map[string]string // by VRF: whose
	devices                map[string]string // by namespace: the port that has it
	prefixes               []gatewayPrefix
	tunnelMTU              int // what a tunnel leaves of the uplink's MTU; 0: no overlay
}

func newChecker(name string, p *places) *checker {
	return &checker{
		name: name, places: p, set: map[string]bool{}, silent: map[string]bool{}, cfg: &Config{},
		macs: map[string]string{}, addrs: map[string]string{}, devices: map[string]string{},
	}
}

// wrong notes a mistake at a key.
func (c *checker) wrong(key, cure, format string, args ...any) {
	if c.silent[key] {
		return
	}
	m := Mistake{File: c.name, Key: key, Text: fmt.Sprintf(format, args...), Cure: cure}
	if c.places != nil {
		at := c.places.of(key)
		m.Line, m.Column = at.line, at.column
	}
	c.mistakes = append(c.mistakes, m)
}

// check checks everything and returns the configuration with its defaults.
func (c *checker) check(f *file, dir string) *Config {
	cfg := c.cfg
	cfg.ControlGroup, cfg.Policy = f.ControlGroup, inDir(dir, f.Policy)
	c.policyKeys(f.PolicyKeys, dir)
	cfg.PolicyLeast = uint64(c.number("policy_generation", f.PolicyLeast))
	c.top(f, dir)
	c.limits(&f.Limits)
	c.atMost("segments", len(f.Segments), maxSegments)
	c.atMost("ports", len(f.Ports), packet.MaxPorts)
	c.atMost("peers", len(f.Peers), maxPeers)
	c.segments = c.named("segments", len(f.Segments), func(i int) string { return f.Segments[i].Name })
	c.ports = c.named("ports", len(f.Ports), func(i int) string { return f.Ports[i].Name })
	c.atMost("groups", len(f.Groups), maxGroups)
	c.groups = c.named("groups", len(f.Groups), func(i int) string { return f.Groups[i].Name })
	c.peers = c.named("peers", len(f.Peers), func(i int) string { return f.Peers[i].Name })
	c.tunnelMTU = mtuInTunnel(f)
	for i := range f.Segments {
		cfg.Segments = append(cfg.Segments, c.segment(i, &f.Segments[i]))
	}
	c.gatewaysApart()
	for i := range f.Ports {
		cfg.Ports = append(cfg.Ports, c.port(i, &f.Ports[i]))
	}
	c.enoughFrames()
	c.endpoints(f.Endpoints)
	for i := range f.Groups {
		cfg.Groups = append(cfg.Groups, c.group(i, &f.Groups[i]))
	}
	c.overlay(f)
	c.mirrors(f.Mirrors)
	for i := range f.Routes {
		cfg.Routes = append(cfg.Routes, c.route(i, &f.Routes[i]))
	}
	c.translations(f)
	return cfg
}

// atMost bounds a list.
func (c *checker) atMost(list string, n, most int) {
	if n > most {
		c.wrong(fmt.Sprintf("%s[%d]", list, most), "spread them over several hosts", "a switch has at most %d %s, not %d", most, list, n)
	}
}

func inDir(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// number takes a whole number of the file in its bounds, or its default.
func (c *checker) number(key string, n int) int {
	r := ruleOf(key)
	if !c.set[key] || c.silent[key] {
		otherwise, _ := r.otherwise.(int)
		return otherwise
	}
	if n < r.least || n > r.most {
		c.wrong(key, fmt.Sprintf("from %d to %d", r.least, r.most), "%d is out of range", n)
	}
	return n
}

// text takes a text of the file, or its default. An empty text is no default:
// who writes one means something else.
func (c *checker) text(key, s string) string {
	if !c.set[key] || c.silent[key] {
		otherwise, _ := ruleOf(key).otherwise.(string)
		return otherwise
	}
	return s
}

// word takes one of a few words, or the first.
func (c *checker) word(key, s string) string {
	words := ruleOf(key).words
	if !c.set[key] || c.silent[key] {
		return words[0]
	}
	if !slices.Contains(words, s) {
		cure := "write one of " + strings.Join(words, ", ")
		if name := near(s, words); name != "" {
			cure = fmt.Sprintf("did you mean %q?", name)
		}
		c.wrong(key, cure, "%s means nothing here", short(s))
	}
	return s
}

// names are the names of a list, and where each is in it.
type names struct {
	list  string
	all   []string
	index map[string]int
}

// named collects the names of a list, and notes those that are missing, wrong
// or there twice.
func (c *checker) named(list string, n int, name func(int) string) names {
	out := names{list: list, index: map[string]int{}}
	for i := range n {
		key, s := fmt.Sprintf("%s[%d].name", list, i), name(i)
		out.all = append(out.all, s)
		first, dup := out.index[s]
		switch {
		case !c.set[key]:
			c.wrong(key, fmt.Sprintf("give each of %s a name", list), "there is no name")
		case !goodName(s):
			c.wrong(key, nameForm, "%s is no name", short(s))
		case dup:
			c.wrong(key, "each needs a name of its own", "%q is also the name of %s[%d]", s, list, first)
		default:
			out.index[s] = i
		}
	}
	return out
}

func goodName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r) {
			return false
		}
	}
	return s != "" && len(s) <= maxName && s != "." && s != ".."
}

// short quotes a text, and only the beginning of a long one.
func short(s string) string {
	if len(s) > 2*maxName {
		return fmt.Sprintf("%q... (%d bytes)", s[:maxName], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// reference looks a name up; a name that nothing has is noted.
func (c *checker) reference(key, what, name string, in names) (index int, found bool) {
	if i, known := in.index[name]; known {
		return i, true
	}
	switch {
	case c.silent[in.list]: // the list itself could not be read
	case !c.set[key]:
		c.wrong(key, meant("", in.all), "a %s must be named", what)
	default:
		c.wrong(key, meant(name, in.all), "no %s is called %s", what, short(name))
	}
	return 0, false
}
