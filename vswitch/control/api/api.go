// Package api is what the control API says: the JSON of requests and answers,
// and the errors. The daemon, its clients and the metrics share it; it holds
// types only. Field names are stable: they are added to, not changed.
//
// The comment of a type or a field is its description in openapi.json, and the
// tag enum lists the values that a text may have; a test holds the file to
// these. A field without omitempty is always there.
package api

import (
	_ "embed"
	"time"
)

// OpenAPI is the API's description, as OpenAPI 3.1.
//
//go:embed openapi.json
var OpenAPI []byte

// Status is the switch as a whole.
type Status struct {
	// The daemon's version and the revision it was built from.
	Version string `json:"version"`
	// The daemon's process.
	PID int `json:"pid"`
	// When the switch started.
	Started time.Time `json:"started"`
	// The dataplane runs in one process with the daemon, with its privileges.
	SingleProcess bool `json:"single_process"`
	// Whether a policy is in force.
	Policy string `json:"policy" enum:"loaded,none: everything is denied"`
	// The file that the policy came from.
	PolicyFile string `json:"policy_file,omitempty"`
	// Why the last load of a policy failed, if it did.
	PolicyError string `json:"policy_error,omitempty"`
	// The generation of the policy in force, as its artifact has it; 0: none.
	PolicyGeneration uint64 `json:"policy_generation"`
	// The trusted keys that signed the policy in force, by their ids; empty
	// where the configuration trusts none.
	PolicySignedBy []string `json:"policy_signed_by,omitempty"`
	// The answers in force: each change by which one may be another makes the next. A
	// moved endpoint makes none.
	Generation uint32 `json:"generation"`
	// Threads that carry frames.
	Workers int `json:"workers"`
	// Segments there are.
	Segments int `json:"segments"`
	// Ports that are open.
	Ports int `json:"ports"`
	// Of these, with a link that is up.
	PortsUp int `json:"ports_up"`
	// Endpoints that are known.
	Endpoints int `json:"endpoints"`
	// Rules of the policy in force.
	Rules int `json:"rules"`
	// Open sessions.
	Sessions uint32 `json:"sessions"`
	// Most sessions there is room for.
	SessionsMax uint32 `json:"sessions_max"`
	// The session tables lie in huge pages.
	HugePages bool `json:"huge_pages"`
	// Chunks of frame memory that no port or worker holds.
	FramesFree int `json:"frames_free"`
	// Chunks of frame memory there are.
	Frames int `json:"frames"`
	// What is wrong and does not stop the switch, a sentence each.
	Warnings []string `json:"warnings,omitempty"`
}

// Worker is a thread that carries frames.
type Worker struct {
	// Its number, from 0.
	Worker int `json:"worker"`
	// Time it was asleep, since the start.
	IdleSeconds float64 `json:"idle_seconds"`
	// Time it was not: carrying frames, or looking for them.
	BusySeconds float64 `json:"busy_seconds"`
	// Batches of frames that it carried.
	Batches uint64 `json:"batches"`
	// Frames in these.
	Frames uint64 `json:"frames"`
}

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
	// Bound to an endpoint, or learned from frames.
	Kind string `json:"kind" enum:"bound,learned"`
	// The endpoint that it is bound to.
	Endpoint string `json:"endpoint,omitempty"`
	// How long ago it was last seen, if it was learned.
	IdleSeconds float64 `json:"idle_seconds"`
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

// Sessions is some or all of the open connections.
type Sessions struct {
	// The connections.
	Sessions []Session `json:"sessions"`
	// How many are open.
	Total uint32 `json:"total"`
	// The limit left some out.
	More bool `json:"more"`
}

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
	// Who stated it.
	Source string `json:"source" enum:"config,api"`
}

// Policy is the policy in force.
type Policy struct {
	// There is one; if not, everything is denied.
	Loaded bool `json:"loaded"`
	// The file that it came from.
	File string `json:"file,omitempty"`
	// The artifact's generation.
	Generation uint64 `json:"generation"`
	// SHA-256 of the checked source, in hexadecimal; empty without a policy.
	SourceHash string `json:"source_hash"`
	// Services it has.
	Services int `json:"services"`
	// Networks it has.
	Networks int `json:"networks"`
	// Its rules, in the order of decision.
	Rules []Rule `json:"rules"`
	// How large it is, linked.
	Tables Tables `json:"tables"`
}

// Rule is one rule of the policy in force.
type Rule struct {
	// Its name.
	Name string `json:"name"`
	// What it decides.
	Verdict string `json:"verdict" enum:"allow,deny,pass"`
	// The tier that it is of; the tiers are asked in this order.
	Tier string `json:"tier" enum:"platform,security,application,baseline"`
	// Where it stands in the tier: the least decides first, and a deny at a tie.
	// 4294967295 is the tier's default.
	Priority uint32 `json:"priority"`
	// The ends of a connection that it speaks for: where it leaves, where it
	// arrives. A rule of a scope that says another thing at each is here twice.
	Direction string `json:"direction" enum:"both,egress,ingress"`
	// From which services and networks.
	From []string `json:"from"`
	// To which services and networks.
	To []string `json:"to"`
	// On which protocols and ports; none: all.
	Ports []string `json:"ports"`
	// Where it stands in the source, as file:line.
	Place string `json:"place"`
	// Connections that it decided; packets, of a stateless rule.
	Hits uint64 `json:"hits"`
	// What it decides is logged.
	Log bool `json:"log,omitempty"`
	// It denies nothing, and counts and logs what it would deny.
	Audit bool `json:"audit,omitempty"`
	// Under audit: what it would have denied.
	WouldDeny uint64 `json:"would_deny,omitempty"`
	// It opens no session: replies need a rule of their own.
	Stateless bool `json:"stateless,omitempty"`
	// Whether it speaks now.
	State string `json:"state" enum:"in-force,not-yet,expired"`
	// The first moment at which it speaks.
	ValidFrom string `json:"valid_from,omitempty"`
	// The first moment at which it does not speak any more.
	ValidUntil string `json:"valid_until,omitempty"`
	// Whose it is.
	Owner string `json:"owner,omitempty"`
	// What it is for.
	Reason string `json:"reason,omitempty"`
}

// Tables is how large the linked policy is.
type Tables struct {
	// Different sets of services that endpoints and networks have.
	Identities int `json:"identities"`
	// Classes of these as sources: rows.
	SourceClasses int `json:"source_classes"`
	// Classes of these as destinations: columns.
	DestClasses int `json:"destination_classes"`
	// Classes of protocols and ports.
	PortClasses int `json:"port_classes"`
	// Different cells.
	Programs int `json:"programs"`
	// Memory that all of it takes.
	Bytes int `json:"bytes"`
	// Memory touches that a lookup takes at the most.
	Touches int `json:"touches"`
}

// Counters are the switch's accounts: in + copies = out + consumed + dropped.
type Counters struct {
	// Frames that came in.
	In uint64 `json:"in"`
	// Frames that the switch made of these, of a flood or as an answer.
	Copies uint64 `json:"copies"`
	// Of both, given a way out.
	Out uint64 `json:"out"`
	// Of both, taken in by the switch itself.
	Consumed uint64 `json:"consumed"`
	// Of both, dropped.
	Dropped uint64 `json:"dropped"`
	// The drops by port and reason, those that are not zero.
	Drops []Drop `json:"drops"`
	// Connections decided, by rule.
	Rules map[string]uint64 `json:"rules"`
	// Connections that no rule decided.
	DefaultDeny uint64 `json:"default_deny"`
	// What rules under audit would have denied.
	Audits map[string]uint64 `json:"audits"`
	// Events of rules that were not logged one by one: there were too many.
	LogLost uint64 `json:"log_lost"`
}

// Drop is the frames of one port dropped for one reason.
type Drop struct {
	// The port that they came in by.
	Port string `json:"port"`
	// The reason.
	Reason string `json:"reason"`
	// The stage of the walk that dropped them.
	Stage string `json:"stage"`
	// The reason in a sentence.
	Meant string `json:"meant"`
	// How many.
	Frames uint64 `json:"frames"`
}

// TraceRequest asks what would happen to a frame: given whole in hex, or
// described. Fields left out are filled in from what is known of the port.
type TraceRequest struct {
	// The port that the frame would come in by.
	Port string `json:"port"`
	// The frame from its Ethernet header on, in hexadecimal; then nothing else.
	Hex string `json:"hex,omitempty"`
	// The source's IP; left out: that of the endpoint on the port.
	From string `json:"from,omitempty"`
	// The destination's IP.
	To string `json:"to,omitempty"`
	// The source's MAC; left out: that of the endpoint on the port.
	FromMAC string `json:"from_mac,omitempty"`
	// The destination's MAC; left out: whom a host would send it to.
	ToMAC string `json:"to_mac,omitempty"`
	// tcp, udp, sctp, icmp, arp, or a number below 256; left out: tcp.
	Proto string `json:"proto,omitempty"`
	// The source port; left out: 49152.
	SrcPort uint16 `json:"src_port,omitempty"`
	// The destination port.
	DstPort uint16 `json:"dst_port,omitempty"`
	// TCP flags: syn, ack, fin, rst, psh, urg; left out: syn.
	Flags []string `json:"flags,omitempty"`
	// The ICMP type; left out: an echo request.
	ICMP uint8 `json:"icmp_type,omitempty"`
	// The ICMP code.
	Code uint8 `json:"icmp_code,omitempty"`
	// The TTL or hop limit; left out: 64.
	TTL uint8 `json:"ttl,omitempty"`
}

// Trace is what would happen.
type Trace struct {
	// The frame, as the switch reads it.
	Frame string `json:"frame"`
	// The stages of the walk, in order.
	Steps []Step `json:"steps"`
	// It would be sent on, or answered.
	Allowed bool `json:"allowed"`
	// Why it would be dropped.
	Reason string `json:"reason,omitempty"`
	// That in a sentence.
	Sentence string `json:"sentence,omitempty"`
	// The rule that decides.
	Rule string `json:"rule,omitempty"`
	// Whose rule that is.
	Owner string `json:"owner,omitempty"`
	// What it is for.
	RuleReason string `json:"rule_reason,omitempty"`
	// It opens no session: replies need a rule of their own.
	Stateless bool `json:"stateless,omitempty"`
	// The rule under audit that would have denied it.
	Audit string `json:"audit,omitempty"`
	// The rule that comes nearest to allowing it.
	Nearest string `json:"nearest,omitempty"`
	// The port that it would leave by.
	Egress string `json:"egress,omitempty"`
}

// Step is one stage of a trace.
type Step struct {
	// The stage's name.
	Stage string `json:"stage"`
	// What it found.
	Text string `json:"text"`
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
	// add behind a peer: the segment that it is in.
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

// PolicyLoad puts the policy of a file in force.
type PolicyLoad struct {
	// The file as the daemon sees it: an absolute path.
	File string `json:"file"`
	// Take a policy of an older generation than the one in force, where the
	// configuration names keys. policy_generation is a bound all the same.
	AllowOlder bool `json:"allow_older,omitempty"`
}

// CaptureRequest asks for frames as they pass. The answer is pcapng and goes
// on until a bound is reached or the caller goes.
type CaptureRequest struct {
	// Only frames in or out by this port.
	Port string `json:"port,omitempty"`
	// Only frames that were dropped.
	Drops bool `json:"drops,omitempty"`
	// Only those dropped for this reason.
	Reason string `json:"reason,omitempty"`
	// Only those that this rule decided.
	Rule string `json:"rule,omitempty"`
	// End after so many frames; 0: no bound.
	Count int `json:"count,omitempty"`
	// Keep so many bytes of each; 0: all.
	Snaplen int `json:"snaplen,omitempty"`
	// End after so long; 0: when the caller goes.
	Seconds int `json:"seconds,omitempty"`
}

// Done is the answer to a change that worked.
type Done struct {
	// What was done.
	Done string `json:"done"`
	// The generation that is in force with it.
	Generation uint32 `json:"generation"`
}
