package api

// State is what is stated of the overlay and of the workloads, layer by layer.
type State struct {
	// Changes so far of what is stated.
	Version uint64 `json:"version"`
	// Our VTEP's addresses, with the length of the on-link prefix; none without an
	// overlay.
	VTEP []string `json:"vtep"`
	// The segments that there are.
	Segments []StateSegment `json:"segments"`
	// The peers that there are.
	Peers []StatePeer `json:"peers"`
	// The workloads that configuration and API have on ports of this host, and those
	// that the API has moved away, whatever sources say of them.
	Local []StateEndpoint `json:"local"`
	// The workloads that sources state.
	Stated []StateEndpoint `json:"stated"`
}

// StateSegment is a segment that is stated.
type StateSegment struct {
	// Its name.
	Name string `json:"name"`
	// Its VNI.
	VNI uint32 `json:"vni"`
	// Its VRF; left out: default.
	VRF string `json:"vrf,omitempty"`
	// The gateway's addresses, each with the length of the segment's prefix.
	Gateways []string `json:"gateways,omitempty"`
	// The gateway's MAC; left out: made of the name.
	GatewayMAC string `json:"gateway_mac,omitempty"`
	// Who states it: config, or a source's name. A change's own source is meant
	// where it is left out.
	Source string `json:"source,omitempty"`
}

// StatePeer is a peer that is stated.
type StatePeer struct {
	// Its name.
	Name string `json:"name"`
	// Its VTEP's address.
	Address string `json:"address"`
	// The segments that it is in.
	Segments []string `json:"segments"`
	// Who states it, as of a segment.
	Source string `json:"source,omitempty"`
}

// StateEndpoint is a workload that is stated.
type StateEndpoint struct {
	// Its name.
	Name string `json:"name"`
	// The segment that it is in.
	Segment string `json:"segment"`
	// The peer that it is behind.
	Peer string `json:"peer,omitempty"`
	// In State.Local: the port that it is on, if it is on one.
	Port string `json:"port,omitempty"`
	// Its MAC.
	MAC string `json:"mac"`
	// Its addresses.
	IPs []string `json:"ips"`
	// Its labels.
	Labels map[string]string `json:"labels,omitempty"`
	// Who states it, as of a segment.
	Source string `json:"source,omitempty"`
}

// StateChange is what a source states besides the configuration. It comes into
// force whole or not at all; to set what is so already, or remove what is not
// there, changes nothing, so that it can be sent again. First what is removed is
// removed, then what is set is set.
//
// What another source or the configuration states is not changed, with one
// exception: a workload of the configuration, or the API, that is stated here
// with the same segment, MAC and addresses is behind the peer stated, until it is
// removed here.
type StateChange struct {
	// The source's name: 1 to 32 of a-z, 0-9 and -, but not config or api.
	Source string `json:"source"`
	// Endpoints to remove.
	RemoveEndpoints []string `json:"remove_endpoints,omitempty"`
	// Peers to remove.
	RemovePeers []string `json:"remove_peers,omitempty"`
	// Segments to remove.
	RemoveSegments []string `json:"remove_segments,omitempty"`
	// Segments to add or change.
	Segments []StateSegment `json:"segments,omitempty"`
	// Peers to add or change.
	Peers []StatePeer `json:"peers,omitempty"`
	// Endpoints to add, change or move, each behind a peer.
	Endpoints []StateEndpoint `json:"endpoints,omitempty"`
	// Endpoints that have come to this host with open connections. For 30 s TCP
	// connections of theirs are taken up in mid-stream, as far as the policy allows
	// them in the direction in which they were opened.
	Arrived []string `json:"arrived,omitempty"`
}
