package policy

import (
	"net/netip"
	"slices"
)

// MaxGeneration is the last generation there can be. Every reader of JSON holds
// it exactly, and there is always room in 64 bits for the one that follows.
const MaxGeneration = 1 << 53

// Ruleset is a policy as the compiler hands it to the switch: names resolved,
// order decided, ports in elementary terms. It names sets of endpoints and of
// addresses, never a place. Encode writes it as an artifact, Decode reads one.
type Ruleset struct {
	// Generation numbers the artifacts of one policy, up to MaxGeneration; a
	// switch may refuse to go back. It is an input of the build, so that the same source gives the
	// same bytes.
	Generation uint64
	// SourceHash is the SHA-256 of the checked source in canonical form.
	SourceHash [32]byte
	// Sets is every service and network that a rule names, the built-in Any at
	// index 0, and Outside if a rule names it; sorted by kind, then name. A
	// SetID is an index into it.
	Sets []Set
	// Rules is in the order of decision, see DecideAt. A RuleID is an index
	// into it. The order is by Tier and Precedence; at a tie every deny comes
	// before every allow, and that before every pass, so that a deny beats an
	// allow whatever put them there.
	Rules []Rule
}

// SetID indexes Ruleset.Sets.
type SetID uint32

// Any is the set that every address belongs to, known or not.
const Any SetID = 0

// RuleID indexes Ruleset.Rules.
type RuleID uint32

// NoRule is the RuleID of the default deny.
const NoRule RuleID = 0xffffffff

// SetKind tells how membership of a set is found.
type SetKind uint8

const (
	// KindAny is the set Any.
	KindAny SetKind = iota
	// KindService is a set of endpoints, found by their labels.
	KindService
	// KindNetwork is a set of addresses, found by prefix.
	KindNetwork
	// KindOutside is the set Outside: every address that no endpoint has, and
	// that is not OnTheLink. There
	// is one at the most, and so it is the last of the sets.
	KindOutside
)

// HostLabel is the label of the endpoints that are hosts, and of no others. Only
// the configuration of a switch gives it, and no text but the compiler's asks
// for it: so a workload that can choose its labels cannot become a host.
const HostLabel = Reserved + "host"

// HostValue is its value.
const HostValue = "true"

// Reserved is what the keys of labels begin with that nobody may write by hand.
const Reserved = "bulkhead/"

// Set is a service or a network.
type Set struct {
	Kind SetKind
	Name string
	// Selector picks the members of a service.
	Selector Selector
	// Prefixes less Except are the members of a network. Masked, sorted,
	// unique; each Except lies inside a prefix. Outside has Everywhere,
	// less OnTheLink.
	Prefixes, Except []netip.Prefix
}

// Everywhere returns the prefixes of Outside: every address, which an endpoint's
// is found before. So what maps addresses that no endpoint has by the longest
// prefix finds Outside with no word about it.
func Everywhere() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// OnTheLink returns what is nobody's address and yet not Outside: groups and
// broadcast, which the endpoints of a segment hear, and link-local IPv6, of which
// each endpoint has an address without having been given one (RFC 4291 2.5.6).
// Were they Outside, a rule for strangers would let neighbours meet there.
func OnTheLink() []netip.Prefix { return slices.Clone(onTheLink) }

var onTheLink = []netip.Prefix{
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// CanBeOutside tells whether an address is Outside if no endpoint has it.
func CanBeOutside(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && !slices.ContainsFunc(onTheLink, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Selector is a choice of alternatives: an endpoint is selected if at least
// one of them is met. No alternative selects nothing.
type Selector []Requirements

// Requirements must all be met; an empty list is met by nothing, so that a
// forgotten label does not open everything.
type Requirements []Requirement

// Op is how a requirement compares a label.
type Op uint8

const (
	// OpIn: the label is there and has one of the values.
	OpIn Op = iota
	// OpNotIn: the label is absent or has none of the values.
	OpNotIn
	// OpExists: the label is there.
	OpExists
	// OpNotExists: the label is absent.
	OpNotExists
)

// Requirement is one condition on one label.
type Requirement struct {
	Key    string
	Op     Op
	Values []string // OpIn, OpNotIn: sorted, unique, not empty
}

// Verdict is what a rule says.
type Verdict uint8

const (
	// Deny drops the connection.
	Deny Verdict = iota
	// Allow lets it pass, replies included.
	Allow
	// Pass leaves the rule's tier: the next one decides.
	Pass
)

func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Pass:
		return "pass"
	}
	return "deny"
}

// Direction is the end of a connection that a rule speaks for.
type Direction uint8

const (
	// BothEnds: where it leaves, and where it arrives.
	BothEnds Direction = iota
	// Egress: where it leaves.
	Egress
	// Ingress: where it arrives.
	Ingress
)

func (d Direction) String() string {
	switch d {
	case Egress:
		return "egress"
	case Ingress:
		return "ingress"
	}
	return "both"
}

// SpeaksAt tells whether a rule of this direction is read at an end.
func (d Direction) SpeaksAt(end Direction) bool { return d == BothEnds || d == end }

// Tiers is how many tiers there are at the most. Each may cost the switch a
// lookup at either end, so this bounds what a policy can make a packet cost.
const Tiers = 4

// TierNames are what people call the tiers, the first decides first.
var TierNames = [Tiers]string{"platform", "security", "application", "baseline"}

// Rule is one statement: From may (or may not) connect To on Ports.
type Rule struct {
	Name    string
	Verdict Verdict
	// Tier is what a Pass leaves, below Tiers. The least comes first.
	Tier uint32
	// Precedence is the rule's rank in its tier, the least first. It decides
	// nothing that the order of Rules has not decided; it says which rules were
	// a tie.
	Precedence uint32
	// Direction is the end that the rule speaks for.
	Direction Direction
	From, To  []SetID // sorted, unique, not empty
	Ports     []Port  // sorted, unique, not empty
	// Log has the switch report what the rule decides: each session that it
	// opens, each packet that it denies.
	Log bool
	// Audit makes of a deny one that only says what it would have denied: no
	// connection is decided by it, see WouldDeny.
	Audit bool
	// Stateless makes of an allow one that opens no session: each packet is
	// judged by itself, and replies need a rule of their own.
	Stateless bool
	// Valid is when the rule speaks.
	Valid Period
	// Owner and Reason are whose rule it is and what it is for, for people: at
	// most MaxRemark bytes that print, or empty.
	Owner, Reason string
	// Dormant: the rule is not valid at the time of a view, see Ruleset.At. No
	// file has it.
	Dormant bool
	// File and Line say where the source states the rule, for people.
	File string
	Line uint32
}

// AnyProto in Port.Proto stands for every IP protocol.
const AnyProto = 256

// Port is a set of transport headers: one protocol or all, and inclusive
// ranges of ports. For ICMP and ICMPv6 the destination "port" is the type in
// the high byte and the code in the low one, and the source range is full.
// For a protocol without ports, and for AnyProto, both ranges are full.
type Port struct {
	Proto        uint16 // IANA number, or AnyProto
	SrcLo, SrcHi uint16
	DstLo, DstHi uint16
}
