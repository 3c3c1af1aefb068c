package api

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

// PolicyLoad puts the policy of a file in force.
type PolicyLoad struct {
	// The file as the daemon sees it: an absolute path.
	File string `json:"file"`
	// Take a policy of an older generation than the one in force, where the
	// configuration names keys. policy_generation is a bound all the same.
	AllowOlder bool `json:"allow_older,omitempty"`
	// Take it only if the configuration names keys and one of them signed it.
	Signed bool `json:"signed,omitempty"`
}
