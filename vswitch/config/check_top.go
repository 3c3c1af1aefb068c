package config

import (
	"fmt"
	"net/netip"
)

// top checks the keys outside any table.
func (c *checker) top(f *file, dir string) {
	cfg := c.cfg
	cfg.Workers = c.number("workers", f.Workers)
	control := c.text("control", f.Control)
	cfg.Control = inDir(dir, control)
	switch {
	case control == "":
		c.wrong("control", "name a path, or take the key away for "+DefaultControl, "a switch cannot do without a control socket")
	case len(cfg.Control) > maxSocket:
		c.wrong("control", fmt.Sprintf("at most %d, as the kernel has it", maxSocket), "%d bytes are too long for a socket's path", len(cfg.Control))
	}
	cfg.PolicyState = inDir(dir, f.PolicyState)
	if f.PolicyState == "" {
		if c.set["policy_state"] && !c.silent["policy_state"] {
			c.wrong("policy_state", "name a path, or take the key away", "this names no file")
		}
		cfg.PolicyState = cfg.Control + ".generation"
	}
	cfg.Metrics = c.text("metrics", f.Metrics)
	if cfg.Metrics != "" {
		if _, err := netip.ParseAddrPort(cfg.Metrics); err != nil {
			c.wrong("metrics", "write it as "+DefaultMetrics+", or leave it empty for none", "%s is no address and port", short(cfg.Metrics))
		}
	}
}

// limits checks [limits]: a part is not more than the whole.
func (c *checker) limits(f *fileLimits) {
	l := &c.cfg.Limits
	l.Sessions = c.number("limits.sessions", f.Sessions)
	l.SessionsPerPort = c.share("limits.sessions_per_port", f.SessionsPerPort, l.Sessions, "sessions")
	l.EmbryonicPerPort = c.share("limits.embryonic_per_port", f.EmbryonicPerPort, l.SessionsPerPort, "sessions_per_port")
	l.Frames = c.number("limits.frames", f.Frames)
	l.NATMappings = c.number("limits.nat_mappings", f.NATMappings)
	l.NATPerPort = c.share("limits.nat_mappings_per_port", f.NATPerPort, l.NATMappings, "nat_mappings")
}

// What a queue of an xdp port takes of the frames: to receive into, without which
// its port does not open, and to send, besides.
const (
	framesToReceive = 1024
	framesOfQueue   = 2 * framesToReceive
)

// enoughFrames holds the frames against the queues that take them.
func (c *checker) enoughFrames() {
	queues := 0
	for i := range c.cfg.Ports {
		if p := &c.cfg.Ports[i]; p.Driver == "xdp" {
			queues += p.Queues
		}
	}
	key := "limits.frames"
	if !c.set[key] {
		key = "ports"
	}
	if n := c.cfg.Limits.Frames; queues*framesToReceive > n {
		c.wrong(key, fmt.Sprintf("set limits.frames = %d", queues*framesOfQueue), "%d frames are too few: %d queues of xdp ports receive into %d each", n, queues, framesToReceive)
	}
}

// quarter is the part of a bound that a smaller one has by default.
const quarter = 4

// share takes a bound that is a part of another; by default a quarter of it.
func (c *checker) share(key string, n, whole int, of string) int {
	before := len(c.mistakes)
	if n = c.number(key, n); !c.set[key] {
		return max(1, whole/quarter)
	}
	if n > whole && len(c.mistakes) == before {
		c.wrong(key, fmt.Sprintf("at most %d", whole), "%d is more than %s", n, of)
	}
	return n
}
