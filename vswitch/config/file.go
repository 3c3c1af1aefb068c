package config

// file is the configuration as TOML has it: texts, not yet believed. Its tags
// are the keys that users write.
type file struct {
	Policy       string         `toml:"policy"`
	PolicyKeys   []string       `toml:"policy_keys"`
	PolicyLeast  int            `toml:"policy_generation"`
	PolicyState  string         `toml:"policy_state"`
	Workers      int            `toml:"workers"`
	Control      string         `toml:"control"`
	ControlGroup string         `toml:"control_group"`
	Metrics      string         `toml:"metrics"`
	Limits       fileLimits     `toml:"limits"`
	Segments     []fileSegment  `toml:"segments"`
	Ports        []filePort     `toml:"ports"`
	Endpoints    []fileEndpoint `toml:"endpoints"`
	Routes       []fileRoute    `toml:"routes"`
	SNAT         []fileSNAT     `toml:"snat"`
	DNAT         []fileDNAT     `toml:"dnat"`
	VTEP         *fileVTEP      `toml:"vtep"`
	Groups       []fileGroup    `toml:"groups"`
	Peers        []filePeer     `toml:"peers"`
	Mirrors      []fileMirror   `toml:"mirrors"`
}

type fileLimits struct {
	Sessions         int `toml:"sessions"`
	SessionsPerPort  int `toml:"sessions_per_port"`
	EmbryonicPerPort int `toml:"embryonic_per_port"`
	Frames           int `toml:"frames"`
	NATMappings      int `toml:"nat_mappings"`
	NATPerPort       int `toml:"nat_mappings_per_port"`
}

type fileSegment struct {
	Name       string   `toml:"name"`
	VNI        int      `toml:"vni"`
	VRF        string   `toml:"vrf"`
	Gateways   []string `toml:"gateways"`
	GatewayMAC string   `toml:"gateway_mac"`
	Unknown    string   `toml:"unknown"`
	Broadcast  string   `toml:"broadcast"`
	Learning   bool     `toml:"learning"`
	Snooping   bool     `toml:"snooping"`
	MTU        int      `toml:"mtu"`
	DNS        []string `toml:"dns"`
	Lease      int      `toml:"lease"`
}

type filePort struct {
	Name     string            `toml:"name"`
	Driver   string            `toml:"driver"`
	Role     string            `toml:"role"`
	Segment  string            `toml:"segment"`
	Netns    string            `toml:"netns"`
	Device   string            `toml:"device"`
	File     string            `toml:"file"`
	MAC      string            `toml:"mac"`
	IPs      []string          `toml:"ips"`
	Labels   map[string]string `toml:"labels"`
	Host     bool              `toml:"host"`
	Prefixes []string          `toml:"prefixes"`
	Queues   int               `toml:"queues"`
	MTU      int               `toml:"mtu"`
	Mode     string            `toml:"mode"`
	NoRoute  bool              `toml:"no_default_route"`

	VLANs        map[string]string `toml:"vlans"`
	VLANType     string            `toml:"vlan_type"`
	PriorityTags bool              `toml:"priority_tags"`

	MulticastRouter bool     `toml:"multicast_router"`
	LoopRetry       int      `toml:"loop_retry"`
	StormBroadcast  []string `toml:"storm_broadcast"`
	StormMulticast  []string `toml:"storm_multicast"`
	StormUnknown    []string `toml:"storm_unknown"`
	RateIn          []string `toml:"rate_in"`
	RateOut         []string `toml:"rate_out"`

	Remote     string `toml:"remote"`
	ERSPANType int    `toml:"erspan_type"`
}

type fileMirror struct {
	Name       string            `toml:"name"`
	Port       string            `toml:"port"`
	From       []string          `toml:"from"`
	FromLabels map[string]string `toml:"from_labels"`
	To         []string          `toml:"to"`
	ToLabels   map[string]string `toml:"to_labels"`
	Replies    bool              `toml:"replies"`
	Ports      []string          `toml:"ports"`
	Direction  string            `toml:"direction"`
	Drops      []string          `toml:"drops"`
	Snaplen    int               `toml:"snaplen"`
	Rate       []string          `toml:"rate"`
	Session    int               `toml:"session"`
}

type fileEndpoint struct {
	Name     string            `toml:"name"`
	Segment  string            `toml:"segment"`
	Port     string            `toml:"port"`
	Peer     string            `toml:"peer"`
	MAC      string            `toml:"mac"`
	IPs      []string          `toml:"ips"`
	Labels   map[string]string `toml:"labels"`
	Host     bool              `toml:"host"`
	Prefixes []string          `toml:"prefixes"`
}

type fileRoute struct {
	VRF       string `toml:"vrf"`
	Prefix    string `toml:"prefix"`
	Via       string `toml:"via"`
	Blackhole bool   `toml:"blackhole"`
}

type fileSNAT struct {
	VRF    string   `toml:"vrf"`
	From   string   `toml:"from"`
	To     []string `toml:"to"`
	Except []string `toml:"except"`
	Pool   []string `toml:"pool"`
	Ports  string   `toml:"ports"`
}

type fileDNAT struct {
	VRF      string `toml:"vrf"`
	Protocol string `toml:"protocol"`
	Outside  string `toml:"outside"`
	Inside   string `toml:"inside"`
}

type fileVTEP struct {
	Addresses []string `toml:"addresses"`
	Gateways  []string `toml:"gateways"`
	Uplink    string   `toml:"uplink"`
	UDPPort   int      `toml:"udp_port"`
	ZeroSum6  bool     `toml:"udp6_zero_checksum"`
}

type filePeer struct {
	Name     string   `toml:"name"`
	Address  string   `toml:"address"`
	Segments []string `toml:"segments"`
	Groups   []string `toml:"groups"`
}

type fileGroup struct {
	Name   string            `toml:"name"`
	Number int               `toml:"number"`
	Labels map[string]string `toml:"labels"`
}
