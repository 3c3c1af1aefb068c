package api

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
