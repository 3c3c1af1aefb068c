package config

import "net/netip"

// Mirror shows frames by a port of RoleMirror.
type Mirror struct {
	Name string
	Port string // of RoleMirror
	// Of whom frames are, and for whom: names of services and networks of the policy,
	// or labels that an endpoint has all of; neither: everybody.
	From, To             []string
	FromLabels, ToLabels map[string]string
	Replies              bool     // also the other way
	Ports                []string // that they come in or go out by; none: any
	In, Out              bool
	Drops                []string // reasons; none: all frames; "any": all that were dropped
	Snaplen              int      // bytes
	Rate                 Bound
	Session              int // of ERSPAN
}

// Everybody tells whether a mirror asks of nobody in particular.
func (m *Mirror) Everybody() bool {
	return len(m.From) == 0 && len(m.To) == 0 && len(m.FromLabels) == 0 && len(m.ToLabels) == 0
}

// Collector is where a port of driver erspan sends, and how.
type Collector struct {
	Remote netip.Addr
	Type   int // 2 or 3
}
