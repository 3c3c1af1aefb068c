package schema

// Cluster says which cluster a store is of. A store that says another one, or
// none, is not the one that was known, and nothing that it says is believed.
type Cluster struct {
	Schema int    `json:"schema"`
	ID     string `json:"id"` // 32 hexadecimal digits, drawn when the cluster is made
	// GrantsRequired: a host without a grant may claim nothing.
	GrantsRequired bool `json:"grants_required,omitempty"`
}

// Host is a host that takes part.
type Host struct {
	Schema int      `json:"schema"`
	Name   string   `json:"name"`
	VTEPs  []string `json:"vteps"` // at most one address of each family
}

// Segment is an L2 domain that all hosts have alike.
type Segment struct {
	Schema     int      `json:"schema"`
	Name       string   `json:"name"`
	VNI        uint32   `json:"vni"`
	VRF        string   `json:"vrf,omitempty"` // empty: default
	Gateways   []string `json:"gateways,omitempty"`
	GatewayMAC string   `json:"gateway_mac,omitempty"` // empty: made of the name
}

// Endpoint is a claim: this workload runs on this host.
type Endpoint struct {
	Schema  int               `json:"schema"`
	Name    string            `json:"name"`
	Host    string            `json:"host"`
	Segment string            `json:"segment"`
	MAC     string            `json:"mac"`
	IPs     []string          `json:"ips"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Epoch counts the endpoint's moves: each is one more than the last that was
	// known. From 1.
	Epoch uint64 `json:"epoch"`
	// CededTo is the host that it has gone to, by the word of this one; then this is
	// no claim any more, and shows that the other's is none by theft.
	CededTo string `json:"ceded_to,omitempty"`
}

// Placement is an administrator's word on where an endpoint is. A claim of that
// host is then the one that counts, and others are none.
type Placement struct {
	Schema int    `json:"schema"`
	Name   string `json:"name"`
	Host   string `json:"host"`
	Epoch  uint64 `json:"epoch"`
}

// Grant bounds what a host may claim. An empty list grants nothing of its kind,
// but for VTEPs, where it leaves them free.
type Grant struct {
	Schema   int      `json:"schema"`
	Host     string   `json:"host"`
	VTEPs    []string `json:"vteps,omitempty"`
	Segments []string `json:"segments,omitempty"`
	Prefixes []string `json:"prefixes,omitempty"` // in which its endpoints' addresses lie
	Labels   []string `json:"labels,omitempty"`   // key=value, or key=* for any value
}

// Policy says which policy is in force, and where its bytes are.
type Policy struct {
	Schema     int    `json:"schema"`
	Generation uint64 `json:"generation"`
	SHA256     string `json:"sha256"` // of the artifact, in hexadecimal
	Size       int    `json:"size"`   // bytes
	Parts      int    `json:"parts"`
}

// Bounds.
const (
	maxName     = 63
	maxRecord   = 64 << 10 // bytes of one record
	maxIPs      = 32       // of an endpoint
	maxLabels   = 64
	maxLabel    = 253 // bytes
	maxGateways = 8
	maxVNI      = 1<<24 - 1
	maxGrants   = 1024 // entries of each list of a grant

	// MaxEpoch bounds epochs: what every reader of JSON holds exactly. Who states it
	// is followed by nobody of a higher one, only by an administrator's placement.
	MaxEpoch = 1 << 53

	// PartSize is the most bytes of a part of a policy, MaxPolicy of all of it: what
	// the switch reads.
	PartSize  = 512 << 10
	MaxPolicy = 256 << 20
)
