package api

// Group is somebody who listens to a multicast group, in a segment that snoops.
type Group struct {
	// The segment.
	Segment string `json:"segment"`
	// A listener of one group, a router, who hears them all, or the mark of a
	// segment in which somebody other than the switch asks who listens.
	Kind string `json:"kind" enum:"listener,router,querier"`
	// The group, of a listener.
	Group string `json:"group,omitempty"`
	// The port that it is on.
	Port string `json:"port,omitempty"`
	// The peer that it is behind.
	Peer string `json:"peer,omitempty"`
	// When it is forgotten if it is not heard of again; 0: the configuration says so.
	SecondsLeft float64 `json:"seconds_left"`
}
