// Package api is what the control API says: the JSON of requests and answers,
// and the errors. The daemon, its clients and the metrics share it; it holds
// types only. Field names are stable: they are added to, not changed.
package api

import (
	"errors"
	"fmt"
	"time"
)

// Code sorts errors, and is the HTTP status they travel under.
type Code string

// The codes.
const (
	CodeInvalid  Code = "invalid"   // the request is wrong: 400
	CodeNotFound Code = "not-found" // what it names is not there: 404
	CodeConflict Code = "conflict"  // it contradicts what is there: 409
	CodeBusy     Code = "busy"      // a bound was reached; try later: 429
	CodeInternal Code = "internal"  // the switch could not: 500
)

// Error is an error with its cure.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Cure    string `json:"cure,omitempty"`
}

// Error writes message and cure.
func (e *Error) Error() string {
	if e.Cure == "" {
		return e.Message
	}
	return e.Message + "; " + e.Cure
}

// Invalid makes an error about a request.
func Invalid(message, cure string) error { return &Error{CodeInvalid, message, cure} }

// NotFound makes an error about a name.
func NotFound(message, cure string) error { return &Error{CodeNotFound, message, cure} }

// Conflict makes an error about what is there already.
func Conflict(message, cure string) error { return &Error{CodeConflict, message, cure} }

// Busy makes an error about a bound.
func Busy(message, cure string) error { return &Error{CodeBusy, message, cure} }

// As returns err as an Error: itself if it is one, else an internal one.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{CodeInternal, fmt.Sprint(err), ""}
}

// Status is the switch as a whole.
type Status struct {
	Version       string    `json:"version"`
	PID           int       `json:"pid"`
	Started       time.Time `json:"started"`
	SingleProcess bool      `json:"single_process"`
	Policy        string    `json:"policy"` // "loaded", or "none: everything is denied"
	PolicyFile    string    `json:"policy_file,omitempty"`
	PolicyError   string    `json:"policy_error,omitempty"` // why the last load failed
	Generation    uint32    `json:"generation"`             // of the snapshot
	Workers       int       `json:"workers"`
	Segments      int       `json:"segments"`
	Ports         int       `json:"ports"`
	PortsUp       int       `json:"ports_up"`
	Endpoints     int       `json:"endpoints"`
	Rules         int       `json:"rules"`
	Sessions      uint32    `json:"sessions"`
	SessionsMax   uint32    `json:"sessions_max"`
	HugePages     bool      `json:"huge_pages"`
	FramesFree    int       `json:"frames_free"`
	Frames        int       `json:"frames"`
	Warnings      []string  `json:"warnings,omitempty"`
}

// Port is one port.
type Port struct {
	Name     string            `json:"name"`
	ID       uint16            `json:"id"`
	Role     string            `json:"role"`
	Segment  string            `json:"segment,omitempty"`
	Driver   string            `json:"driver"`
	Device   string            `json:"device"`
	Netns    string            `json:"netns,omitempty"`
	MAC      string            `json:"mac"`
	MTU      int               `json:"mtu"`
	Mode     string            `json:"mode"`
	Up       bool              `json:"up"`
	Error    string            `json:"error,omitempty"`
	RxFrames uint64            `json:"rx_frames"`
	RxBytes  uint64            `json:"rx_bytes"`
	TxFrames uint64            `json:"tx_frames"`
	TxBytes  uint64            `json:"tx_bytes"`
	In       uint64            `json:"in"`       // frames that came in by it
	Copies   uint64            `json:"copies"`   // made from these
	Out      uint64            `json:"out"`      // of these, given a way out
	Consumed uint64            `json:"consumed"` // of these, taken in by the switch
	Drops    map[string]uint64 `json:"drops"`    // of these, by reason
	Extra    map[string]uint64 `json:"extra,omitempty"`
}

// FDBEntry is one MAC: bound, or learned.
type FDBEntry struct {
	Segment     string  `json:"segment"`
	MAC         string  `json:"mac"`
	Port        string  `json:"port,omitempty"`
	Peer        string  `json:"peer,omitempty"`
	Kind        string  `json:"kind"` // bound, learned
	Endpoint    string  `json:"endpoint,omitempty"`
	IdleSeconds float64 `json:"idle_seconds"`
}

// Session is one open connection.
type Session struct {
	VRF          uint16  `json:"vrf"`
	Proto        string  `json:"proto"`
	Source       string  `json:"source"`
	Destination  string  `json:"destination"`
	State        string  `json:"state"`
	Rule         string  `json:"rule"`
	Port         string  `json:"port"` // that opened it
	Generation   uint32  `json:"generation"`
	Frames       uint64  `json:"frames"`
	Bytes        uint64  `json:"bytes"`
	ReplyFrames  uint64  `json:"reply_frames"`
	ReplyBytes   uint64  `json:"reply_bytes"`
	ExpiresAfter float64 `json:"expires_after_seconds"`
}

// Sessions is a page of them.
type Sessions struct {
	Sessions []Session `json:"sessions"`
	Total    uint32    `json:"total"` // open now
	More     bool      `json:"more"`  // the limit left some out
}

// Endpoint is one workload.
type Endpoint struct {
	Name     string            `json:"name"`
	Segment  string            `json:"segment"`
	Port     string            `json:"port,omitempty"`
	Peer     string            `json:"peer,omitempty"`
	MAC      string            `json:"mac"`
	IPs      []string          `json:"ips"`
	Labels   map[string]string `json:"labels,omitempty"`
	Services []string          `json:"services"` // that it belongs to, by the policy in force
	Source   string            `json:"source"`   // config, api
}

// Policy is the policy in force.
type Policy struct {
	Loaded     bool   `json:"loaded"`
	File       string `json:"file,omitempty"`
	Generation uint64 `json:"generation"`  // the artifact's
	SourceHash string `json:"source_hash"` // SHA-256 of the checked source
	Services   int    `json:"services"`
	Networks   int    `json:"networks"`
	Rules      []Rule `json:"rules"`
	Tables     Tables `json:"tables"`
}

// Rule is one rule of the policy in force, in the order of decision.
type Rule struct {
	Name    string   `json:"name"`
	Verdict string   `json:"verdict"`
	From    []string `json:"from"`
	To      []string `json:"to"`
	Ports   []string `json:"ports"`
	Place   string   `json:"place"` // file:line of the source
	Hits    uint64   `json:"hits"`  // connections it decided
}

// Tables is how large the linked policy is.
type Tables struct {
	Identities    int `json:"identities"`
	SourceClasses int `json:"source_classes"`
	DestClasses   int `json:"destination_classes"`
	PortClasses   int `json:"port_classes"`
	Programs      int `json:"programs"`
	Bytes         int `json:"bytes"`
	Touches       int `json:"touches"` // memory touches a lookup, at the most
}

// Counters are the switch's accounts: in + copies = out + consumed + drops.
type Counters struct {
	In          uint64            `json:"in"`
	Copies      uint64            `json:"copies"`
	Out         uint64            `json:"out"`
	Consumed    uint64            `json:"consumed"`
	Dropped     uint64            `json:"dropped"`
	Drops       []Drop            `json:"drops"`
	Rules       map[string]uint64 `json:"rules"` // connections decided, by rule
	DefaultDeny uint64            `json:"default_deny"`
}

// Drop is the frames of one port dropped for one reason.
type Drop struct {
	Port   string `json:"port"`
	Reason string `json:"reason"`
	Stage  string `json:"stage"`
	Meant  string `json:"meant"` // the reason in a sentence
	Frames uint64 `json:"frames"`
}

// TraceRequest asks what would happen to a frame: given whole in Hex, or
// described. Fields left empty are filled in from what is known of the port.
type TraceRequest struct {
	Port    string   `json:"port"`
	Hex     string   `json:"hex,omitempty"`
	From    string   `json:"from,omitempty"` // IP; the port's own
	To      string   `json:"to,omitempty"`   // IP
	FromMAC string   `json:"from_mac,omitempty"`
	ToMAC   string   `json:"to_mac,omitempty"`
	Proto   string   `json:"proto,omitempty"` // tcp, udp, sctp, icmp, arp, or a number
	SrcPort uint16   `json:"src_port,omitempty"`
	DstPort uint16   `json:"dst_port,omitempty"`
	Flags   []string `json:"flags,omitempty"` // TCP: syn, ack, fin, rst, psh, urg; syn
	ICMP    uint8    `json:"icmp_type,omitempty"`
	Code    uint8    `json:"icmp_code,omitempty"`
	TTL     uint8    `json:"ttl,omitempty"`
}

// Trace is what would happen.
type Trace struct {
	Frame    string `json:"frame"`
	Steps    []Step `json:"steps"`
	Allowed  bool   `json:"allowed"` // it would be sent on, or answered
	Reason   string `json:"reason,omitempty"`
	Sentence string `json:"sentence,omitempty"`
	Rule     string `json:"rule,omitempty"`
	Nearest  string `json:"nearest,omitempty"`
	Egress   string `json:"egress,omitempty"`
}

// Step is one line of a trace.
type Step struct {
	Stage string `json:"stage"`
	Text  string `json:"text"`
}

// What an EndpointChange does.
const (
	EndpointAdd  = "add"
	EndpointMove = "move"
	EndpointDel  = "del"
)

// EndpointChange adds, moves or deletes an endpoint.
type EndpointChange struct {
	Op      string            `json:"op"`
	Name    string            `json:"name"`
	Segment string            `json:"segment,omitempty"`
	Port    string            `json:"port,omitempty"`
	Peer    string            `json:"peer,omitempty"`
	MAC     string            `json:"mac,omitempty"`
	IPs     []string          `json:"ips,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// PolicyLoad puts the policy of a file in force.
type PolicyLoad struct {
	File string `json:"file"` // as the daemon sees it; absolute
}

// CaptureRequest asks for frames as they pass.
type CaptureRequest struct {
	Port    string `json:"port,omitempty"`
	Drops   bool   `json:"drops,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Count   int    `json:"count,omitempty"`   // frames; 0: no bound
	Snaplen int    `json:"snaplen,omitempty"` // bytes of each; 0: all
	Seconds int    `json:"seconds,omitempty"` // 0: until the caller goes
}

// Done is the answer to a change that worked.
type Done struct {
	Done       string `json:"done"`
	Generation uint32 `json:"generation"`
}
