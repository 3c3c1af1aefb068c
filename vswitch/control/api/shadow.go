package api

// Shadow is what a candidate would do, a policy that stands beside the one in force
// and decides nothing.
type Shadow struct {
	// There is one.
	Stands bool `json:"stands"`
	// Why there is none any more, if it was forgotten.
	Error string `json:"error,omitempty"`
	// The file that it came from.
	File string `json:"file,omitempty"`
	// The artifact's generation.
	Generation uint64 `json:"generation"`
	// SHA-256 of the checked source, in hexadecimal.
	SourceHash string `json:"source_hash"`
	// The trusted keys that signed it.
	SignedBy []string `json:"signed_by,omitempty"`
	// Its rules.
	Rules int `json:"rules"`
	// For how long decisions have been asked of it: since it stands, or since another
	// policy came into force.
	StandsSeconds float64 `json:"stands_seconds"`
	// Open sessions that were asked about now: those that the policy in force allows.
	Sessions uint64 `json:"sessions"`
	// Of these, those that it would close.
	SessionsCut uint64 `json:"sessions_cut"`
	// Open sessions that could not be asked about: an end is a stranger of whom only a
	// tunnel's group says who he is.
	SessionsUnknown uint64 `json:"sessions_unknown"`
	// New decisions that it was asked about: connections, packets of stateless rules,
	// and packets that were denied.
	Decisions uint64 `json:"decisions"`
	// Of these, allowed by the policy in force, and not by it.
	DecisionsDenied uint64 `json:"decisions_denied"`
	// Of these, allowed by it, and not by the policy in force.
	DecisionsAllowed uint64 `json:"decisions_allowed"`
	// The differences, by its rules, the most first; at most 1000.
	Changes []ShadowChange `json:"changes"`
	// Some are not listed.
	More bool `json:"more,omitempty"`
	// Some of the differences: up to 4 of each kind, at most 512.
	Examples []ShadowExample `json:"examples"`
}

// ShadowChange is what one rule of a candidate would make different.
type ShadowChange struct {
	// What it would do.
	Change string `json:"change" enum:"deny,allow"`
	// The candidate's rule; empty: none allows it.
	Rule string `json:"rule"`
	// Where the rule stands in the source, as file:line.
	Place string `json:"place,omitempty"`
	// Open sessions that it would close.
	Sessions uint64 `json:"sessions"`
	// New decisions that would have been others.
	Decisions uint64 `json:"decisions"`
}

// ShadowExample is one connection of which a candidate says another thing.
type ShadowExample struct {
	// What it says.
	Change string `json:"change" enum:"deny,allow"`
	// What it is about: a session that is open, or a decision.
	Of string `json:"of" enum:"session,decision"`
	// The protocol: tcp, udp, sctp, icmp, icmpv6, or its number.
	Proto string `json:"proto"`
	// Who opens it: address, and port where the protocol has ports.
	Source string `json:"source"`
	// To whom.
	Destination string `json:"destination"`
	// The endpoint that has the source's address.
	From string `json:"from,omitempty"`
	// The endpoint that has the destination's.
	To string `json:"to,omitempty"`
	// The rule in force that decides; empty: none does.
	LiveRule string `json:"live_rule"`
	// The candidate's rule that would; empty: none would.
	Rule string `json:"rule"`
}
