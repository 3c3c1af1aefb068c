// Package drop is the one list of ways a frame can end without being sent on.
//
// Each Reason is one documented constant; its name is the same word in code,
// counters, metrics, command lines, captures and test scripts, and its
// sentence is what an operator reads. A new way to drop a frame is one
// constant and one row of the table below: a missing row fails the tests.
//
// The package holds constants only. It may be used from any goroutine.
package drop

// Reason says why a frame was dropped. The zero value means it was not.
// At most 255 reasons exist, so a counter array is small and dense.
type Reason uint8

// The reasons, in the order in which a frame can meet them.
const (
	// None: the frame was not dropped.
	None Reason = iota

	// Stage 0, the port: the frame could not be taken in.

	RxError      // the driver gave up a frame it had begun to read
	RxDescriptor // an AF_XDP descriptor pointed outside its frame region, or twice at one frame
	RxOversize   // longer than the port's frame memory

	// Stage 1, parse.

	Runt            // shorter than the header it announces at layer 2
	BadMAC          // source address zero, broadcast or multicast
	LinkLocalMAC    // sent to the reserved bridge group 01:80:c2:00:00:00-0f (STP, LLDP, LACP)
	LLC             // 802.3 length / LLC framing instead of an EtherType
	VLANDepth       // more than two VLAN tags
	VLANTag         // a tag that the port does not take
	VLANUntagged    // no VLAN, on a trunk without a native segment
	VLANUnknown     // a VLAN that is not the trunk's
	LoopBlocked     // the port is part of a loop, and blocked
	MirrorPort      // by a port that is for mirrors alone
	RateIn          // more than may come in by the port
	EtherType       // neither ARP nor IPv4 nor IPv6: no policy can name it
	BadARP          // malformed ARP
	BadIPv4         // header length, total length or version wrong
	BadIPv4Checksum // IPv4 header checksum wrong
	IPv4Options     // source routing, or options that do not parse
	BadIPv6         // header or payload length wrong
	IPv6Extension   // extension headers refused, out of order, too many or too long
	Fragment        // a fragment of TCP or SCTP, of no whole transport header, or of no packet there can be
	BadTransport    // TCP, UDP, SCTP or ICMP header truncated or its lengths wrong
	BadChecksum     // transport checksum wrong
	BadOffload      // the sender's offload request contradicts the frame
	BadNDP          // malformed neighbour discovery, or hop limit not 255

	// Stage 2, decap.

	UplinkOther // on an uplink, not VXLAN for our VTEP and not ARP or ND for it
	BadVXLAN    // VXLAN header malformed or I flag missing
	UnknownVNI  // no such segment here
	UnknownPeer // the outer source is no peer of that VNI
	Congested   // the underlay marked congestion on a packet whose ends do not know the mark

	// Stage 3, identify.

	UnknownPort     // the port is not in the snapshot: not yet, or no longer
	SpoofedMAC      // source MAC is not bound to this port
	SpoofedIP       // source IP is not bound to this port and MAC
	SpoofedARP      // ARP sender address is not bound to this port and MAC
	SpoofedARPMAC   // ARP sender MAC is not the frame's own
	SpoofedNDP      // ND source is not bound to this port and MAC
	SpoofedNDTarget // ND target that is advertised is not bound to this port and MAC
	SpoofedNDLink   // ND link-layer option is not the frame's own MAC
	SpoofedRemote   // overlay source is not registered at the peer it came from
	ForgedGroup     // the peer may not speak for the group that the frame carries
	Martian         // source or destination address that no host may use
	RogueRA         // router advertisement from a workload
	RogueRedirect   // redirect from a workload
	RogueQuery      // multicast query from a port that is no router's
	RogueDHCP       // DHCP server's answer from a workload
	BadDHCP         // a DHCP question that is malformed or relayed
	DHCPUnknown     // a DHCP question of whom no address in a gateway's prefix is bound
	NATUnmapped     // sent to an outside address of the VRF at which nothing is published or mapped

	// Stage 4, known?

	TCPNoSession    // not the SYN that opens a connection, and none is open
	TCPInvalid      // flags, sequence or state that TCP does not allow
	ICMPUnmatched   // ICMP error or reply that belongs to no open session
	FragmentOverlap // it overlaps another fragment of its packet
	FragmentRefused // a fragment of a packet whose first one was not let through
	FragmentQuota   // the port has used up its share of what waits for other fragments
	SessionQuota    // the port has used up its share of the session table
	SessionFull     // no slot within the probe bound
	NATMismatch     // of a session that is translated, but came by the other name, or the other way round
	NATProtocol     // it would have to be translated, and is neither TCP nor UDP nor an ICMP query
	NATFragment     // a fragment that would have to be translated
	NATStateless    // it would have to be translated, and a stateless rule allows it
	NATQuota        // the port has used up its share of address translations
	NATFull         // the pool has no free port, or the table of translations no room

	// Stage 5, decide.

	NoPolicy // no policy is loaded
	NoRule   // no rule allows it
	Denied   // a deny rule names it

	// Stage 6, forward.

	StormBroadcast // more broadcast than the port may have flooded
	StormMulticast // more multicast than the port may have flooded
	StormUnknown   // more unknown unicast than the port may have flooded
	Hairpin        // the way out is the way in
	UnknownUnicast // destination MAC unknown, and the segment does not flood
	Misdirected    // the destination IP is not bound to the owner of the destination MAC
	FloodOff       // broadcast or multicast, and the segment does not flood
	BadMembership  // malformed IGMP or MLD, or not as its RFC has it sent
	GroupFull      // the port or peer has used up its share of multicast groups
	NoListener     // multicast to a group that nobody listens to
	FloodFull      // no memory for a copy of a flooded frame
	ARPUnknown     // ARP for an address nobody here is known to hold
	NDPUnknown     // neighbour solicitation for an address nobody here is known to hold
	NotForGateway  // sent to the gateway itself, which offers no such service
	NoRoute        // no route to the destination
	NoNeighbour    // next hop's MAC is not known (yet)
	TTLExceeded    // TTL or hop limit used up
	TooBig         // larger than the way out takes
	RateOut        // more than may go out by the port
	RateLimited    // the port has used up its share of answers by the switch

	// Stage 7, encap.

	NoHeadroom // no room for the outer headers
	NoUplink   // no uplink leads to the VTEP

	// Stage 8, the port: the frame could not be given out.

	PortDown   // the way out is gone or its link is down
	TxFull     // the way out takes no more now
	TxError    // the kernel refused the frame
	TxOversize // longer than the way out can carry

	// Count is the number of reasons, for counter arrays.
	Count
)
