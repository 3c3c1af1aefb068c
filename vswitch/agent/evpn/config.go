package evpn

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Config is what the speaker of a host goes by.
type Config struct {
	AS         uint32
	RouterID   netip.Addr
	Listen     netip.AddrPort // where neighbours may connect to; invalid: nowhere, we connect
	Keep       time.Duration  // for which the routes of a lost neighbour are kept
	Neighbours []Neighbour
	Peers      []Peer
	Segments   []Segment
	Labels     []Labels
}

// Neighbour is who we speak BGP with.
type Neighbour struct {
	Address   netip.Addr
	AS        uint32
	Port      uint16
	Source    netip.Addr // our address to it; invalid: the kernel's choice
	Password  string     // of TCP MD5 (RFC 2385); empty: none
	Hops      int        // routers to it at most; 1: it is on the link
	MaxRoutes int        // what it may say; beyond that the session ends
}

// Peer is a VTEP that may be believed, and of which segments.
type Peer struct {
	Name     string
	Address  netip.Addr
	Segments []string
}

// Segment is a segment that is shared.
type Segment struct {
	Name         string
	Targets      []Target // said and asked for; none: derived of the VNI
	MaxEndpoints int      // that are believed, of all peers
}

// Labels says who a workload is of which a peer says a community.
type Labels struct {
	Community uint32
	Text      string // of the community
	Labels    map[string]string
	Peers     []string // who may say so
}

// Bounds of the configuration, and what is so without a word.
const (
	maxFile          = 1 << 20
	maxNeighbours    = 64
	maxPeers         = 4096
	maxSegments      = 4096
	maxLabels        = 1024
	maxTargets       = 16
	defaultRoutes    = 16384
	mostRoutes       = 1 << 20
	defaultEndpoints = 4096
	mostEndpoints    = 1 << 17
	defaultKeep      = time.Hour
	bgpPort          = 179
)

// file is the text's form.
type file struct {
	AS         uint32        `toml:"as"`
	RouterID   string        `toml:"router_id"`
	Listen     string        `toml:"listen"`
	Keep       string        `toml:"keep"`
	Neighbours []fileBeside  `toml:"neighbours"`
	Peers      []filePeer    `toml:"peers"`
	Segments   []fileSegment `toml:"segments"`
	Labels     []fileLabels  `toml:"labels"`
}

type fileBeside struct {
	Address      string `toml:"address"`
	AS           uint32 `toml:"as"`
	Port         uint16 `toml:"port"`
	Source       string `toml:"source"`
	PasswordFile string `toml:"password_file"`
	Hops         int    `toml:"hops"`
	MaxRoutes    int    `toml:"max_routes"`
}

type filePeer struct {
	Name     string   `toml:"name"`
	Address  string   `toml:"address"`
	Segments []string `toml:"segments"`
}

type fileSegment struct {
	Name         string   `toml:"name"`
	Targets      []string `toml:"targets"`
	MaxEndpoints int      `toml:"max_endpoints"`
}

type fileLabels struct {
	Community string            `toml:"community"`
	Labels    map[string]string `toml:"labels"`
	Peers     []string          `toml:"peers"`
}

// Load reads a file. All its mistakes come as one error, each with its key and cure.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	cfg, err := Parse(path, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// Parse reads a configuration; files that it names lie beside path.
func Parse(path string, text []byte) (*Config, error) {
	var f file
	meta, err := toml.Decode(string(text), &f)
	if err != nil {
		if at := (toml.ParseError{}); errors.As(err, &at) {
			return nil, fmt.Errorf("line %d: %s", at.Position.Line, at.Message)
		}
		return nil, err
	}
	c := &checker{dir: filepath.Dir(path)}
	for _, key := range meta.Undecoded() {
		c.wrong(key.String(), "there is no such key; see vswitch-agent evpn --help")
	}
	cfg := c.config(&f)
	if len(c.mistakes) > 0 {
		return nil, errors.Join(c.mistakes...)
	}
	return cfg, nil
}

type checker struct {
	dir      string
	mistakes []error
}

func (c *checker) wrong(key, format string, args ...any) {
	c.mistakes = append(c.mistakes, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
}

func (c *checker) config(f *file) *Config {
	cfg := &Config{AS: f.AS, Keep: defaultKeep}
	if f.AS == 0 {
		c.wrong("as", "add our AS, as as = 65001")
	}
	if cfg.RouterID = c.addr("router_id", f.RouterID); cfg.RouterID.IsValid() && !cfg.RouterID.Is4() {
		c.wrong("router_id", "%s is no IPv4 address; take one of the host's", f.RouterID)
	}
	if f.Listen != "" {
		var err error
		if cfg.Listen, err = netip.ParseAddrPort(f.Listen); err != nil || cfg.Listen.Port() == 0 {
			c.wrong("listen", "%.60q is no address and port, as 192.0.2.1:179 or [2001:db8::1]:179", f.Listen)
		}
	}
	if f.Keep != "" {
		var err error
		if cfg.Keep, err = time.ParseDuration(f.Keep); err != nil || cfg.Keep < 0 || cfg.Keep > 7*24*time.Hour {
			c.wrong("keep", "%.20q is no time from 0s to 168h, as 1h", f.Keep)
		}
	}
	c.most("neighbours", len(f.Neighbours), maxNeighbours)
	c.most("peers", len(f.Peers), maxPeers)
	c.most("segments", len(f.Segments), maxSegments)
	c.most("labels", len(f.Labels), maxLabels)
	if len(c.mistakes) > 0 {
		return cfg
	}
	c.segments(cfg, f.Segments)
	c.peers(cfg, f.Peers)
	c.neighbours(cfg, f.Neighbours)
	c.labels(cfg, f.Labels)
	return cfg
}

func (c *checker) most(key string, n, most int) {
	if n > most {
		c.wrong(key, "there are %d, and at most %d may be", n, most)
	}
	if n == 0 && key != "labels" {
		c.wrong(key, "add [[%s]]: without one nothing is said or heard", key)
	}
}

func (c *checker) addr(key, text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
		c.wrong(key, "%.60q is no address of a host", text)
		return netip.Addr{}
	}
	return a
}

// number is a number within bounds, or what it is without a word.
func (c *checker) number(key string, n, otherwise, most int) int {
	if n == 0 {
		return otherwise
	}
	if n < 0 || n > most {
		c.wrong(key, "%d is not from 1 to %d", n, most)
	}
	return n
}

func (c *checker) segments(cfg *Config, list []fileSegment) {
	for i, f := range list {
		key := func(k string) string { return fmt.Sprintf("segments[%d].%s", i, k) }
		s := Segment{Name: f.Name, MaxEndpoints: c.number(key("max_endpoints"), f.MaxEndpoints, defaultEndpoints, mostEndpoints)}
		if f.Name == "" {
			c.wrong(key("name"), "name a segment of the switch")
		}
		if slices.ContainsFunc(cfg.Segments, func(o Segment) bool { return o.Name == f.Name }) {
			c.wrong(key("name"), "segment %q is there twice: take one away", f.Name)
		}
		if len(f.Targets) > maxTargets {
			c.wrong(key("targets"), "there are %d, and at most %d may be", len(f.Targets), maxTargets)
		}
		for j, text := range f.Targets {
			t, err := ParseTarget(text)
			if err != nil {
				c.wrong(fmt.Sprintf("%s[%d]", key("targets"), j), "%v", err)
			}
			s.Targets = append(s.Targets, t)
		}
		cfg.Segments = append(cfg.Segments, s)
	}
}

func (c *checker) peers(cfg *Config, list []filePeer) {
	for i, f := range list {
		key := func(k string) string { return fmt.Sprintf("peers[%d].%s", i, k) }
		p := Peer{Name: f.Name, Address: c.addr(key("address"), f.Address), Segments: f.Segments}
		if f.Name == "" {
			c.wrong(key("name"), "give the peer a name")
		}
		for _, o := range cfg.Peers {
			if o.Name == f.Name || o.Address == p.Address {
				c.wrong(key("name"), "peer %q has the name or the address of %q: take one away", f.Name, o.Name)
			}
		}
		if len(f.Segments) == 0 {
			c.wrong(key("segments"), "name the segments of which it may be believed")
		}
		for j, s := range f.Segments {
			if !slices.ContainsFunc(cfg.Segments, func(o Segment) bool { return o.Name == s }) {
				c.wrong(fmt.Sprintf("%s[%d]", key("segments"), j), "%q is none of [[segments]]: add it there", s)
			}
		}
		cfg.Peers = append(cfg.Peers, p)
	}
}

func (c *checker) neighbours(cfg *Config, list []fileBeside) {
	for i, f := range list {
		key := func(k string) string { return fmt.Sprintf("neighbours[%d].%s", i, k) }
		n := Neighbour{Address: c.addr(key("address"), f.Address), AS: f.AS, Port: f.Port, Hops: c.number(key("hops"), f.Hops, 1, 255),
			MaxRoutes: c.number(key("max_routes"), f.MaxRoutes, defaultRoutes, mostRoutes)}
		if n.Port == 0 {
			n.Port = bgpPort
		}
		if f.AS == 0 {
			c.wrong(key("as"), "add the neighbour's AS")
		}
		if f.Source != "" {
			n.Source = c.addr(key("source"), f.Source)
		}
		if slices.ContainsFunc(cfg.Neighbours, func(o Neighbour) bool { return o.Address == n.Address }) {
			c.wrong(key("address"), "%s is there twice: take one away", f.Address)
		}
		if f.PasswordFile != "" {
			n.Password = c.password(key("password_file"), f.PasswordFile)
		}
		cfg.Neighbours = append(cfg.Neighbours, n)
	}
}

// password reads a file of one line (TCP MD5 takes 80 bytes).
func (c *checker) password(key, path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		c.wrong(key, "%v", err)
		return ""
	}
	p := strings.TrimRight(string(text), "\n")
	if p == "" || len(p) > 80 || strings.Contains(p, "\n") {
		c.wrong(key, "%s holds no password: one line of at most 80 bytes", path)
	}
	return p
}

func (c *checker) labels(cfg *Config, list []fileLabels) {
	for i, f := range list {
		key := func(k string) string { return fmt.Sprintf("labels[%d].%s", i, k) }
		l := Labels{Text: f.Community, Labels: f.Labels, Peers: f.Peers}
		var err error
		if l.Community, err = ParseCommunity(f.Community); err != nil {
			c.wrong(key("community"), "%v", err)
		}
		if slices.ContainsFunc(cfg.Labels, func(o Labels) bool { return o.Community == l.Community }) {
			c.wrong(key("community"), "%s is there twice: take one away", f.Community)
		}
		if len(f.Labels) == 0 {
			c.wrong(key("labels"), "add what it means, as { app = \"shop\" }")
		}
		for j, p := range f.Peers {
			if !slices.ContainsFunc(cfg.Peers, func(o Peer) bool { return o.Name == p }) {
				c.wrong(fmt.Sprintf("%s[%d]", key("peers"), j), "%q is none of [[peers]]: add it there", p)
			}
		}
		cfg.Labels = append(cfg.Labels, l)
	}
}
