package config

import "strings"

// rule is what one key of the file takes. Defaults and bounds stand here and
// nowhere else: the checks go by it, and docs/config.md is held to it.
type rule struct {
	least, most int      // bounds of a whole number
	words       []string // the words that a text may be, the default first
	otherwise   any      // the default, an int or a text; nil: see derived
	derived     string   // the default in words, where it is worked out, or "required"
	unit        string   // of a whole number
	form        string   // bounds in words, where they are no numbers
}

// Defaults that others need to know.
const (
	DefaultControl = "/run/bulkhead/vswitchd.sock"
	DefaultMetrics = "127.0.0.1:9477"
	DefaultVRF     = "default"
	DefaultMTU     = 1500
	DefaultUDPPort = 4789
)

// Bounds that are not one number's.
const (
	maxName       = 63
	maxDevice     = 15  // IFNAMSIZ less the terminating zero
	maxSocket     = 107 // sun_path less the terminating zero
	maxLabels     = 64  // of one endpoint
	maxLabel      = 253 // bytes of a key, and of a value
	leastMTU6     = 1280
	maxWorkers    = 64
	maxSessions   = 1 << 26
	maxVNI        = 1<<24 - 1
	maxGeneration = 1 << 53 // what every reader of JSON holds exactly
	maxPolicyKeys = 64
	maxSegments   = 1 << 15
	maxPeers      = 1 << 15
	maxHops       = 16
	maxGroups     = 1 << 10
	maxMappings   = 1 << 22
	maxSNAT       = 64
	maxDNAT       = 4096
	maxPool       = 256
	maxTargets    = 64 // prefixes that one translation is for, or not for
	tunnelHeader4 = 50 // inner Ethernet 14, VXLAN 8, UDP 8, IPv4 20
	tunnelHeader6 = 70 // and 20 more for IPv6
)

const (
	required   = "required"
	none       = "none"
	unbounded  = "none: no bound"
	nameForm   = "1 to 63 of a-z A-Z 0-9 - _ . /"
	labelForm  = "at most 64; keys and values of at most 253 bytes"
	everybody  = "everybody"
	whoForm    = "at most 64 names of services and networks"
	hostForm   = "an address of a host"
	prefixForm = "no bits behind the length"
	macForm    = "unicast"
)

var keys = map[string]rule{
	"policy":            {derived: "none: everything is denied", form: "a path"},
	"policy_keys":       {derived: "none: a policy need not be signed", form: "files of public keys, or keys in base64"},
	"policy_generation": {least: 1, most: maxGeneration, derived: "none: any"},
	"policy_state":      {derived: "`control` with `.generation` behind it", form: "a path"},
	"workers":           {least: 1, most: maxWorkers, otherwise: 1, unit: "threads"},
	"control":           {otherwise: DefaultControl, form: "a path of at most 107 bytes"},
	"control_group":     {derived: "none: root and the daemon's own user", form: "a group"},
	"metrics":           {otherwise: DefaultMetrics, form: "an address and a port, or empty: off"},

	"limits.sessions":           {least: 16, most: maxSessions, otherwise: 1 << 18, unit: "sessions"},
	"limits.sessions_per_port":  {least: 1, most: maxSessions, derived: "a quarter of sessions", unit: "sessions"},
	"limits.embryonic_per_port": {least: 1, most: maxSessions, derived: "a quarter of sessions_per_port", unit: "sessions"},
	"limits.frames":             {least: 64, most: 1 << 20, otherwise: 8192, unit: "chunks of 4 KiB"},

	"limits.nat_mappings":          {least: 16, most: maxMappings, otherwise: 1 << 16, unit: "mappings"},
	"limits.nat_mappings_per_port": {least: 1, most: maxMappings, derived: "a quarter of nat_mappings", unit: "mappings"},

	"segments[].name":        {derived: required, form: nameForm},
	"segments[].vni":         {least: 1, most: maxVNI, derived: "none: not in the overlay"},
	"segments[].vrf":         {otherwise: DefaultVRF, form: nameForm},
	"segments[].gateways":    {derived: none, form: "at most 8 addresses with their prefix lengths, none twice in a VRF"},
	"segments[].gateway_mac": {derived: "made of the name", form: macForm},
	"segments[].unknown":     {words: []string{dropped, flood}},
	"segments[].broadcast":   {words: []string{dropped, flood}},
	"segments[].learning":    {},
	"segments[].snooping":    {},
	"segments[].mtu":         {least: 576, most: 9000, otherwise: DefaultMTU, derived: "1500; with a vni the uplink's less 50, or 70 if the VTEP has IPv6", unit: "bytes of IP"},
	"segments[].dns":         {derived: none, form: "at most 8 addresses of hosts"},
	"segments[].lease":       {least: 60, most: 1 << 21, otherwise: 3600, unit: "seconds"},

	"ports[].name":             {derived: required, form: nameForm},
	"ports[].driver":           {words: []string{"tap", "auto", "xdp", "packet", "udp", "erspan", "pcap"}},
	"ports[].role":             {words: []string{RoleWorkload, RoleUplink, RoleMirror}},
	"ports[].segment":          {derived: "required, but for uplinks and mirrors and with vlans", form: "a segment's name"},
	"ports[].netns":            {derived: "none: the switch's own", form: "a name, a path or pid:N"},
	"ports[].device":           {derived: "tap: eth0, or the port's name without netns; xdp, packet, auto without netns: required", form: "at most 15 bytes"},
	"ports[].file":             {derived: "pcap: required", form: "a path"},
	"ports[].mac":              {derived: "none: nobody is on the port", form: macForm},
	"ports[].ips":              {derived: "none; required with mac", form: "in the segment's prefixes"},
	"ports[].labels":           {derived: none, form: labelForm},
	"ports[].host":             {},
	"ports[].prefixes":         {derived: none, form: prefixForm},
	"ports[].queues":           {least: 1, most: maxWorkers, derived: "workers", unit: "queues"},
	"ports[].mtu":              {least: 576, most: 9000, otherwise: DefaultMTU, derived: "the segment's; an uplink: 1500", unit: "bytes of IP"},
	"ports[].mode":             {words: []string{"auto", "native", "generic"}},
	"ports[].no_default_route": {},
	"ports[].vlans":            {derived: "none: no tag is taken", form: "VLANs 1 to 4094, or pairs as `100.20`, each with a segment of its own"},
	"ports[].vlan_type":        {words: []string{"802.1q", "802.1ad"}},
	"ports[].priority_tags":    {},
	"ports[].multicast_router": {},
	"ports[].loop_retry":       {least: 2, most: 3600, derived: "none: loops are not looked for", unit: "seconds"},
	"ports[].storm_broadcast":  {derived: unbounded, form: rateForm},
	"ports[].storm_multicast":  {derived: unbounded, form: rateForm},
	"ports[].storm_unknown":    {derived: unbounded, form: rateForm},
	"ports[].rate_in":          {derived: unbounded, form: rateForm},
	"ports[].rate_out":         {derived: unbounded, form: rateForm},
	"ports[].remote":           {derived: "erspan: required", form: hostForm},
	"ports[].erspan_type":      {least: 2, most: 3, otherwise: 2},

	"endpoints[].name":     {derived: required, form: nameForm},
	"endpoints[].segment":  {derived: "the port's; required with peer, and on a trunk", form: "a segment's name"},
	"endpoints[].port":     {derived: "required, or peer", form: "a port's name"},
	"endpoints[].peer":     {derived: "required, or port", form: "a peer's name"},
	"endpoints[].mac":      {derived: required, form: macForm},
	"endpoints[].ips":      {derived: required, form: "in the segment's prefixes"},
	"endpoints[].labels":   {derived: none, form: labelForm},
	"endpoints[].host":     {},
	"endpoints[].prefixes": {derived: none, form: prefixForm},

	"routes[].vrf":       {otherwise: DefaultVRF, form: nameForm},
	"routes[].prefix":    {derived: required, form: prefixForm},
	"routes[].via":       {derived: "required, or blackhole", form: "a host of a segment of the VRF"},
	"routes[].blackhole": {},

	"snat[].vrf":    {otherwise: DefaultVRF, form: nameForm},
	"snat[].from":   {derived: required, form: prefixForm},
	"snat[].to":     {derived: "all of the outside", form: "at most 64 prefixes of the family of from"},
	"snat[].except": {derived: none, form: "at most 64 prefixes of the family of from"},
	"snat[].pool":   {derived: required, form: "1 to 256 addresses of the family of from"},
	"snat[].ports":  {otherwise: "1024-65535", form: "two of 1 to 65535, the least first"},

	"dnat[].vrf":      {otherwise: DefaultVRF, form: nameForm},
	"dnat[].protocol": {words: []string{"tcp", "udp"}},
	"dnat[].outside":  {derived: required, form: "an address and a port"},
	"dnat[].inside":   {derived: required, form: "an address and a port of the same family"},

	"vtep.addresses":          {derived: required, form: "one of each family, with the prefix length"},
	"vtep.gateways":           {derived: none, form: "one of each family, on-link"},
	"vtep.uplink":             {derived: required, form: "an uplink's name"},
	"vtep.udp_port":           {least: 1, most: 65535, otherwise: DefaultUDPPort},
	"vtep.udp6_zero_checksum": {},

	"groups[].name":   {derived: required, form: nameForm},
	"groups[].number": {least: 1, most: 65535, derived: required},
	"groups[].labels": {derived: required, form: labelForm},

	"peers[].name":     {derived: required, form: nameForm},
	"peers[].address":  {derived: required, form: hostForm},
	"peers[].segments": {derived: none, form: "names of segments with a vni"},
	"peers[].groups":   {derived: "none: the peer knows no groups", form: "names of groups"},

	"mirrors[].name":        {derived: required, form: nameForm},
	"mirrors[].port":        {derived: required, form: "the name of a port of role mirror"},
	"mirrors[].from":        {derived: everybody, form: whoForm},
	"mirrors[].from_labels": {derived: everybody, form: labelForm},
	"mirrors[].to":          {derived: everybody, form: whoForm},
	"mirrors[].to_labels":   {derived: everybody, form: labelForm},
	"mirrors[].replies":     {},
	"mirrors[].ports":       {derived: "all", form: "names of ports of workloads and of uplinks"},
	"mirrors[].direction":   {words: []string{"in", "out", "both"}, derived: "both with ports and without drops; else in"},
	"mirrors[].drops":       {derived: "none: all frames", form: "drop reasons, or any"},
	"mirrors[].snaplen":     {least: 64, most: maxSnap, derived: "1518; with ERSPAN 1432", unit: "bytes"},
	"mirrors[].rate":        {derived: "10kpps and 100Mbps", form: rateForm},
	"mirrors[].session":     {least: 0, most: 1023, derived: "its place in the list"},
}

// ruleOf finds the rule of a key at a place: ports[3].mtu goes by ports[].mtu.
func ruleOf(path string) rule {
	var b strings.Builder
	inside := false
	for _, r := range path {
		switch {
		case r == '[':
			inside = true
			b.WriteString("[]")
		case r == ']':
			inside = false
		case !inside:
			b.WriteRune(r)
		}
	}
	return keys[b.String()]
}
