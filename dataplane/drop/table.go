package drop

// row is all that is known of one reason.
type row struct {
	name     string // the word users see, in kebab case
	stage    Stage
	sentence string // what happened, for an operator
}

// Stage names the part of the walk at which a reason applies.
type Stage string

// table has a row for each reason, at its place.
var table = [Count]row{
	None:            {"none", "", "not dropped"},
	RxError:         {"rx-error", "rx", "the driver gave up a frame it had begun to read"},
	RxDescriptor:    {"rx-descriptor", "rx", "an AF_XDP descriptor pointed outside its frame region, or twice at one frame"},
	RxOversize:      {"rx-oversize", "rx", "longer than the port's frame memory"},
	Runt:            {"runt", "parse", "shorter than the header it announces at layer 2"},
	BadMAC:          {"bad-mac", "parse", "source address zero, broadcast or multicast"},
	LinkLocalMAC:    {"link-local-mac", "parse", "sent to the reserved bridge group 01:80:c2:00:00:00-0f (STP, LLDP, LACP)"},
	LLC:             {"llc", "parse", "802.3 length / LLC framing instead of an EtherType"},
	VLANDepth:       {"vlan-depth", "parse", "more than two VLAN tags"},
	VLANTag:         {"vlan-tag", "parse", "a tag that the port does not take"},
	VLANUntagged:    {"vlan-untagged", "parse", "no VLAN, on a trunk without a native segment"},
	VLANUnknown:     {"vlan-unknown", "parse", "a VLAN that is not the trunk's"},
	LoopBlocked:     {"loop-blocked", "parse", "the port is part of a loop, and blocked"},
	MirrorPort:      {"mirror-port", "parse", "by a port that is for mirrors alone"},
	RateIn:          {"rate-in", "parse", "more than may come in by the port"},
	EtherType:       {"ether-type", "parse", "neither ARP nor IPv4 nor IPv6: no policy can name it"},
	BadARP:          {"bad-arp", "parse", "malformed ARP"},
	BadIPv4:         {"bad-ipv4", "parse", "header length, total length or version wrong"},
	BadIPv4Checksum: {"bad-ipv4-checksum", "parse", "IPv4 header checksum wrong"},
	IPv4Options:     {"ipv4-options", "parse", "source routing, or options that do not parse"},
	BadIPv6:         {"bad-ipv6", "parse", "header or payload length wrong"},
	IPv6Extension:   {"ipv6-extension", "parse", "extension headers refused, out of order, too many or too long"},
	Fragment:        {"fragment", "parse", "a fragment of TCP or SCTP, of no whole transport header, or of no packet there can be"},
	BadTransport:    {"bad-transport", "parse", "TCP, UDP, SCTP or ICMP header truncated or its lengths wrong"},
	BadChecksum:     {"bad-checksum", "parse", "transport checksum wrong"},
	BadOffload:      {"bad-offload", "parse", "the sender's offload request contradicts the frame"},
	BadNDP:          {"bad-ndp", "parse", "malformed neighbour discovery, or hop limit not 255"},
	UplinkOther:     {"uplink-other", "decap", "on an uplink, not VXLAN for our VTEP and not ARP or ND for it"},
	BadVXLAN:        {"bad-vxlan", "decap", "VXLAN header malformed or I flag missing"},
	UnknownVNI:      {"unknown-vni", "decap", "no such segment here"},
	UnknownPeer:     {"unknown-peer", "decap", "the outer source is no peer of that VNI"},
	Congested:       {"congested", "decap", "the underlay marked congestion on a packet whose ends do not know the mark"},
	UnknownPort:     {"unknown-port", "identify", "the port is not in the snapshot: not yet, or no longer"},
	SpoofedMAC:      {"spoofed-mac", "identify", "source MAC is not bound to this port"},
	SpoofedIP:       {"spoofed-ip", "identify", "source IP is not bound to this port and MAC"},
	SpoofedARP:      {"spoofed-arp", "identify", "ARP sender address is not bound to this port and MAC"},
	SpoofedARPMAC:   {"spoofed-arp-mac", "identify", "ARP sender MAC is not the frame's own"},
	SpoofedNDP:      {"spoofed-ndp", "identify", "ND source is not bound to this port and MAC"},
	SpoofedNDTarget: {"spoofed-nd-target", "identify", "ND target that is advertised is not bound to this port and MAC"},
	SpoofedNDLink:   {"spoofed-nd-link", "identify", "ND link-layer option is not the frame's own MAC"},
	SpoofedRemote:   {"spoofed-remote", "identify", "overlay source is not registered at the peer it came from"},
	ForgedGroup:     {"forged-group", "identify", "the peer may not speak for the group that the frame carries"},
	Martian:         {"martian", "identify", "source or destination address that no host may use"},
	RogueRA:         {"rogue-ra", "identify", "router advertisement from a workload"},
	RogueRedirect:   {"rogue-redirect", "identify", "redirect from a workload"},
	RogueQuery:      {"rogue-query", "identify", "multicast query from a port that is no router's"},
	RogueDHCP:       {"rogue-dhcp", "identify", "DHCP server's answer from a workload"},
	BadDHCP:         {"bad-dhcp", "identify", "a DHCP question that is malformed or relayed"},
	DHCPUnknown:     {"dhcp-unknown", "identify", "a DHCP question of whom no address in a gateway's prefix is bound"},
	NATUnmapped:     {"nat-unmapped", "identify", "sent to an outside address of the VRF at which nothing is published or mapped"},
	TCPNoSession:    {"tcp-no-session", "known", "not the SYN that opens a connection, and none is open"},
	TCPInvalid:      {"tcp-invalid", "known", "flags, sequence or state that TCP does not allow"},
	ICMPUnmatched:   {"icmp-unmatched", "known", "ICMP error or reply that belongs to no open session"},
	FragmentOverlap: {"fragment-overlap", "known", "it overlaps another fragment of its packet"},
	FragmentRefused: {"fragment-refused", "known", "a fragment of a packet whose first one was not let through"},
	FragmentQuota:   {"fragment-quota", "known", "the port has used up its share of what waits for other fragments"},
	SessionQuota:    {"session-quota", "known", "the port has used up its share of the session table"},
	SessionFull:     {"session-full", "known", "no slot within the probe bound"},
	NATMismatch:     {"nat-mismatch", "known", "of a session that is translated, but came by the other name, or the other way round"},
	NATProtocol:     {"nat-protocol", "known", "it would have to be translated, and is neither TCP nor UDP nor an ICMP query"},
	NATFragment:     {"nat-fragment", "known", "a fragment that would have to be translated"},
	NATStateless:    {"nat-stateless", "known", "it would have to be translated, and a stateless rule allows it"},
	NATQuota:        {"nat-quota", "known", "the port has used up its share of address translations"},
	NATFull:         {"nat-full", "known", "the pool has no free port, or the table of translations no room"},
	NoPolicy:        {"no-policy", "decide", "no policy is loaded"},
	NoRule:          {"no-rule", "decide", "no rule allows it"},
	Denied:          {"denied", "decide", "a deny rule names it"},
	StormBroadcast:  {"storm-broadcast", "forward", "more broadcast than the port may have flooded"},
	StormMulticast:  {"storm-multicast", "forward", "more multicast than the port may have flooded"},
	StormUnknown:    {"storm-unknown", "forward", "more unknown unicast than the port may have flooded"},
	Hairpin:         {"hairpin", "forward", "the way out is the way in"},
	UnknownUnicast:  {"unknown-unicast", "forward", "destination MAC unknown, and the segment does not flood"},
	Misdirected:     {"misdirected", "forward", "the destination IP is not bound to the owner of the destination MAC"},
	FloodOff:        {"flood-off", "forward", "broadcast or multicast, and the segment does not flood"},
	BadMembership:   {"bad-membership", "forward", "malformed IGMP or MLD, or not as its RFC has it sent"},
	GroupFull:       {"group-full", "forward", "the port or peer has used up its share of multicast groups"},
	NoListener:      {"no-listener", "forward", "multicast to a group that nobody listens to"},
	FloodFull:       {"flood-full", "forward", "no memory for a copy of a flooded frame"},
	ARPUnknown:      {"arp-unknown", "forward", "ARP for an address nobody here is known to hold"},
	NDPUnknown:      {"ndp-unknown", "forward", "neighbour solicitation for an address nobody here is known to hold"},
	NotForGateway:   {"not-for-gateway", "forward", "sent to the gateway itself, which offers no such service"},
	NoRoute:         {"no-route", "forward", "no route to the destination"},
	NoNeighbour:     {"no-neighbour", "forward", "next hop's MAC is not known (yet)"},
	TTLExceeded:     {"ttl-exceeded", "forward", "TTL or hop limit used up"},
	TooBig:          {"too-big", "forward", "larger than the way out takes"},
	RateOut:         {"rate-out", "forward", "more than may go out by the port"},
	RateLimited:     {"rate-limited", "forward", "the port has used up its share of answers by the switch"},
	NoHeadroom:      {"no-headroom", "encap", "no room for the outer headers"},
	NoUplink:        {"no-uplink", "encap", "no uplink leads to the VTEP"},
	PortDown:        {"port-down", "tx", "the way out is gone or its link is down"},
	TxFull:          {"tx-full", "tx", "the way out takes no more now"},
	TxError:         {"tx-error", "tx", "the kernel refused the frame"},
	TxOversize:      {"tx-oversize", "tx", "longer than the way out can carry"},
}

// String returns the reason's name, as in counters, metrics and command lines.
func (r Reason) String() string {
	if r >= Count {
		return "invalid"
	}
	return table[r].name
}

// Sentence says in a few words what happened.
func (r Reason) Sentence() string {
	if r >= Count {
		return "not a reason"
	}
	return table[r].sentence
}

// Stage returns the part of the walk at which the reason applies:
// rx, parse, decap, identify, known, decide, forward, encap or tx.
func (r Reason) Stage() Stage {
	if r >= Count {
		return ""
	}
	return table[r].stage
}

// Parse returns the reason of that name; found is false if there is none.
func Parse(name string) (r Reason, found bool) {
	for i := range table {
		if table[i].name == name {
			return Reason(i), true
		}
	}
	return None, false
}

// All returns every reason but None, in the order of the walk.
func All() []Reason {
	all := make([]Reason, 0, Count-1)
	for r := None + 1; r < Count; r++ {
		all = append(all, r)
	}
	return all
}
