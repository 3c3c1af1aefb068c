package api

// Endpoint is one workload.
type Endpoint struct {
	// Its name.
	Name string `json:"name"`
	// The segment that it is in.
	Segment string `json:"segment"`
	// The port of this host that it is on.
	Port string `json:"port,omitempty"`
	// The peer that it is behind.
	Peer string `json:"peer,omitempty"`
	// Its MAC.
	MAC string `json:"mac"`
	// Its addresses.
	IPs []string `json:"ips"`
	// Who it is: what services select.
	Labels map[string]string `json:"labels,omitempty"`
	// Whether it is a host, by the configuration.
	Host bool `json:"host,omitempty"`
	// The services that it belongs to, by the policy in force.
	Services []string `json:"services"`
	// Who stated it: config, api, or the name of a source.
	Source string `json:"source"`
	// The source that says where it is, if configuration or API say that it is
	// elsewhere; then that is where it is.
	PlacedBy string `json:"placed_by,omitempty"`
}

// What an EndpointChange does.
const (
	EndpointAdd  = "add"
	EndpointMove = "move"
	EndpointDel  = "del"
)

// EndpointChange adds, moves or deletes an endpoint.
type EndpointChange struct {
	// What to do.
	Op string `json:"op" enum:"add,move,del"`
	// The endpoint.
	Name string `json:"name"`
	// add behind a peer or on a trunk: the segment that it is in.
	Segment string `json:"segment,omitempty"`
	// add, move: the port of this host that it is on.
	Port string `json:"port,omitempty"`
	// add, move: the peer that it is behind.
	Peer string `json:"peer,omitempty"`
	// add: its MAC.
	MAC string `json:"mac,omitempty"`
	// add: its addresses.
	IPs []string `json:"ips,omitempty"`
	// add: its labels.
	Labels map[string]string `json:"labels,omitempty"`
}
