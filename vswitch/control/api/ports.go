package api

// Port is one port. What it counts goes on when a reload opens it anew.
type Port struct {
	// Its name in the configuration.
	Name string `json:"name"`
	// Its number in the tables; a port that is opened anew gets another.
	ID uint16 `json:"id"`
	// What it is for.
	Role string `json:"role" enum:"workload,uplink"`
	// The segment that it is in.
	Segment string `json:"segment,omitempty"`
	// How it treats tags; empty for an uplink. native is a trunk on which untagged
	// frames are in the segment.
	VLANMode string `json:"vlan_mode,omitempty" enum:"access,trunk,native"`
	// The segment of each VLAN of a trunk, 20 or 100.20.
	VLANs map[string]string `json:"vlans,omitempty"`
	// Why it is blocked, and for how long at least: it is part of a loop.
	Blocked string `json:"blocked,omitempty"`
	// What bounds it, by the configuration's keys: rate_in, storm_broadcast and
	// the like, a text as 1000pps 8Mbps.
	Bounds map[string]string `json:"bounds,omitempty"`
	// What opened it: tap, xdp, packet, pcap.
	Driver string `json:"driver"`
	// The kernel's device, or the file.
	Device string `json:"device"`
	// The namespace where the workload's end is.
	Netns string `json:"netns,omitempty"`
	// The device's MAC.
	MAC string `json:"mac"`
	// Bytes of IP that a frame may carry.
	MTU int `json:"mtu"`
	// How the driver runs, for people.
	Mode string `json:"mode"`
	// The link is up and the port works.
	Up bool `json:"up"`
	// Why it does not.
	Error string `json:"error,omitempty"`
	// Frames received from the device; a superframe is one.
	RxFrames uint64 `json:"rx_frames"`
	// Bytes received from the device.
	RxBytes uint64 `json:"rx_bytes"`
	// Frames sent to the device; a superframe is one.
	TxFrames uint64 `json:"tx_frames"`
	// Bytes sent to the device.
	TxBytes uint64 `json:"tx_bytes"`
	// Frames that came in by it: in + copies = out + consumed + drops.
	In uint64 `json:"in"`
	// Frames that the switch made of these, of a flood or as an answer.
	Copies uint64 `json:"copies"`
	// Of in and copies, given a way out.
	Out uint64 `json:"out"`
	// Of in and copies, taken in by the switch itself.
	Consumed uint64 `json:"consumed"`
	// Of in and copies, dropped, by reason; and frames that the driver lost
	// before the switch saw them.
	Drops map[string]uint64 `json:"drops"`
	// What else the driver counts.
	Extra map[string]uint64 `json:"extra,omitempty"`
}

// FDBEntry is where one MAC is.
type FDBEntry struct {
	// The segment that the MAC is in.
	Segment string `json:"segment"`
	// The MAC.
	MAC string `json:"mac"`
	// The port that it is on.
	Port string `json:"port,omitempty"`
	// The peer that it is behind.
	Peer string `json:"peer,omitempty"`
	// The group that it spoke for last, if its peer may.
	Group uint16 `json:"group,omitempty"`
	// Bound to an endpoint, or learned from frames.
	Kind string `json:"kind" enum:"bound,learned"`
	// The endpoint that it is bound to.
	Endpoint string `json:"endpoint,omitempty"`
	// How long ago it was last seen, if it was learned.
	IdleSeconds float64 `json:"idle_seconds"`
}
