package api

// Sessions is some or all of the open connections.
type Sessions struct {
	// The connections.
	Sessions []Session `json:"sessions"`
	// How many are open.
	Total uint32 `json:"total"`
	// The limit left some out.
	More bool `json:"more"`
}

// Session is one open connection.
type Session struct {
	// The VRF's number.
	VRF uint16 `json:"vrf"`
	// The protocol: tcp, udp, sctp, icmp, icmpv6, or its number.
	Proto string `json:"proto"`
	// Who opened it: address, and port where the protocol has ports.
	Source string `json:"source"`
	// To whom.
	Destination string `json:"destination"`
	// The address and port outside that the one end that is translated has there;
	// empty: none is.
	Outside string `json:"outside,omitempty"`
	// How far the connection is, by its protocol.
	State string `json:"state"`
	// The rule that allowed it; empty if an earlier policy did: the next
	// packet asks again.
	Rule string `json:"rule"`
	// The port that opened it.
	Port string `json:"port"`
	// The generation that judged it.
	Generation uint32 `json:"generation"`
	// Frames from the source.
	Frames uint64 `json:"frames"`
	// Bytes of these.
	Bytes uint64 `json:"bytes"`
	// Frames from the destination.
	ReplyFrames uint64 `json:"reply_frames"`
	// Bytes of these.
	ReplyBytes uint64 `json:"reply_bytes"`
	// When it is forgotten if nothing more comes.
	ExpiresAfter float64 `json:"expires_after_seconds"`
}
