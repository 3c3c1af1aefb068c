package api

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
