package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"

	"bulkhead/dataplane/packet"
)

// checker turns a file into a Config, and collects what is wrong on the way.
type checker struct {
	name     string
	at       map[string]position
	mistakes Mistakes

	segments, ports, peers []string // names, for references
	macs                   map[string]string
	addrs                  map[string]string
}

// wrong notes a mistake at a key.
func (c *checker) wrong(key, format string, args ...any) {
	p := find(c.at, key)
	c.mistakes = append(c.mistakes, Mistake{File: c.name, Line: p.line, Column: p.column, Key: key, Text: fmt.Sprintf(format, args...)})
}

// unknownKey notes a key that nothing reads.
func (c *checker) unknownKey(key toml.Key) {
	path := key.String()
	p, placed := c.at[path]
	if !placed {
		p = c.findInArrays(key)
	}
	t := reflect.TypeOf(file{})
	for _, part := range key[:len(key)-1] {
		t = fieldType(t, part)
	}
	text := "no such key" + meant(key[len(key)-1], keysOf(t))
	c.mistakes = append(c.mistakes, Mistake{File: c.name, Line: p.line, Column: p.column, Key: path, Text: text})
}

// findInArrays places a key whose path, as the TOML package tells it, does not
// say which element of an array it is in: at the first place it stands.
func (c *checker) findInArrays(key toml.Key) position {
	best := position{1, 1}
	for path, p := range c.at {
		plain := path
		for {
			open, end := strings.IndexByte(plain, '['), strings.IndexByte(plain, ']')
			if open < 0 || end < open {
				break
			}
			plain = plain[:open] + plain[end+1:]
		}
		if plain == key.String() && (best == position{1, 1} || p.line < best.line) {
			best = p
		}
	}
	return best
}

// fieldType is the type under a key of a type, through lists and pointers.
func fieldType(t reflect.Type, key string) reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("toml") == key {
			t = f.Type
			for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
				t = t.Elem()
			}
			return t
		}
	}
	return nil
}

// keysOf lists the keys of a type.
func keysOf(t reflect.Type) []string {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("toml"))
	}
	return keys
}

// check checks everything and returns the configuration with its defaults.
func (c *checker) check(f *file, dir string) *Config {
	c.macs, c.addrs = map[string]string{}, map[string]string{}
	cfg := &Config{ControlGroup: f.ControlGroup, Policy: inDir(dir, f.Policy)}
	c.checkTop(f, cfg, dir)
	for i := range f.Segments {
		c.segments = append(c.segments, f.Segments[i].Name)
	}
	for i := range f.Ports {
		c.ports = append(c.ports, f.Ports[i].Name)
	}
	for i := range f.Peers {
		c.peers = append(c.peers, f.Peers[i].Name)
	}
	for i := range f.Segments {
		cfg.Segments = append(cfg.Segments, c.segment(i, &f.Segments[i]))
	}
	c.unique("segments", c.segments)
	for i := range f.Ports {
		cfg.Ports = append(cfg.Ports, c.port(i, &f.Ports[i], cfg))
	}
	c.unique("ports", c.ports)
	for i := range f.Endpoints {
		cfg.Endpoints = append(cfg.Endpoints, c.endpoint(i, &f.Endpoints[i], cfg))
	}
	c.overlay(f, cfg)
	for i := range f.Routes {
		cfg.Routes = append(cfg.Routes, c.route(i, &f.Routes[i], cfg))
	}
	return cfg
}

func inDir(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// number takes a number of the file, its default where it is zero, and holds
// it in its range.
func (c *checker) number(key string, n, otherwise, least, most int) int {
	if n == 0 {
		return otherwise
	}
	if n < least || n > most {
		c.wrong(key, "%d is out of range; from %d to %d", n, least, most)
	}
	return n
}

func (c *checker) checkTop(f *file, cfg *Config, dir string) {
	cfg.Workers = c.number("workers", f.Workers, defaultWorkers, 1, maxWorkers)
	cfg.Control = inDir(dir, f.Control)
	if cfg.Control == "" {
		cfg.Control = DefaultControl
	}
	if len(cfg.Control) > 107 {
		c.wrong("control", "%d bytes are too long for a socket's path; at most 107", len(cfg.Control))
	}
	cfg.Metrics = DefaultMetrics
	if f.Metrics != nil {
		cfg.Metrics = *f.Metrics
	}
	if cfg.Metrics != "" {
		if _, err := netip.ParseAddrPort(cfg.Metrics); err != nil {
			c.wrong("metrics", "%q is no address and port; write it as 127.0.0.1:9477, or leave it empty for none", cfg.Metrics)
		}
	}
	l := &cfg.Limits
	l.Sessions = c.number("limits.sessions", f.Limits.Sessions, defaultSessions, 16, maxSessionsTotal)
	l.SessionsPerPort = c.number("limits.sessions_per_port", f.Limits.SessionsPerPort, max(1, l.Sessions/portShare), 1, l.Sessions)
	l.EmbryonicPerPort = c.number("limits.embryonic_per_port", f.Limits.EmbryonicPerPort, max(1, l.SessionsPerPort/embryonicShare), 1, l.SessionsPerPort)
	l.Frames = c.number("limits.frames", f.Limits.Frames, defaultFrames, 64, maxFrames)
}

// unique notes names that are missing, wrong, or there twice.
func (c *checker) unique(list string, names []string) {
	seen := map[string]int{}
	for i, name := range names {
		key := fmt.Sprintf("%s[%d].name", list, i)
		switch first, dup := seen[name]; {
		case !goodName(name):
			c.wrong(key, "%v", Name(name))
		case dup:
			c.wrong(key, "%q is also the name of %s[%d]", name, list, first)
		default:
			seen[name] = i
		}
	}
}

func goodName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r) {
			return false
		}
	}
	return s != "" && len(s) <= maxNameLength
}

// one takes one of a few words, the first where it is empty.
func (c *checker) one(key, word string, words ...string) string {
	if word == "" {
		return words[0]
	}
	for _, w := range words {
		if w == word {
			return word
		}
	}
	c.wrong(key, "%q is none of %s%s", word, strings.Join(words, ", "), meant(word, words))
	return words[0]
}

// reference notes a name that nothing has.
func (c *checker) reference(key, what, name string, names []string) {
	for _, n := range names {
		if n == name {
			return
		}
	}
	if name == "" {
		c.wrong(key, "a %s must be named", what)
		return
	}
	c.wrong(key, "no %s is called %q%s", what, name, meant(name, names))
}

// mac reads a unicast MAC.
func (c *checker) mac(key, s string) packet.MAC {
	m, err := HostMAC(s)
	if err != nil {
		c.wrong(key, "%v", err)
	}
	return m
}

// addr reads an address that a host can have.
func (c *checker) addr(key, s string) netip.Addr {
	a, err := HostAddr(s)
	if err != nil {
		c.wrong(key, "%v", err)
	}
	return a
}

// prefix reads a prefix without host bits.
func (c *checker) prefix(key, s string) netip.Prefix {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		c.wrong(key, "%q is no prefix; write it as 10.0.0.0/24 or fd00::/64", s)
	case p.Addr().Is4In6():
		c.wrong(key, "%q: write IPv4 as IPv4", s)
	case p != p.Masked():
		c.wrong(key, "%q has bits behind its length; write %s", s, p.Masked())
	}
	return p
}

// bound notes a MAC or an address that two have.
func (c *checker) bound(key, who, segment, vrf string, mac packet.MAC, ips []netip.Addr) {
	claim := func(taken map[string]string, what, scope string) {
		if other, dup := taken[scope+" "+what]; dup {
			c.wrong(key, "%s is also that of %q", what, other)
			return
		}
		taken[scope+" "+what] = who
	}
	claim(c.macs, mac.String(), segment)
	for _, ip := range ips {
		if ip.IsValid() {
			claim(c.addrs, ip.String(), vrf)
		}
	}
}
