package api

// Source is somebody who states a part of what there is: an agent.
type Source struct {
	// Its name.
	Source string `json:"source"`
	// How it goes; silent: it has not called for 15 s. Whatever it is, what was
	// stated last is in force.
	State string `json:"state" enum:"current,stale,silent"`
	// That in its own words.
	Detail string `json:"detail,omitempty"`
	// How old what it goes by is, as it says; and as long as it is silent, how
	// long it has been so, too.
	StaleSeconds float64 `json:"stale_seconds"`
	// How long ago it called.
	IdleSeconds float64 `json:"idle_seconds"`
	// The revision of its store that it goes by.
	Revision uint64 `json:"revision"`
	// Endpoints that it states now.
	Endpoints int `json:"endpoints"`
	// Deletions that it holds back until an operator accepts them.
	Held int `json:"held"`
	// What it refuses or cannot do, a sentence each; at most 32.
	Alarms []string `json:"alarms,omitempty"`
}

// SourceReport is how a source is. It calls with it once a second at the least.
type SourceReport struct {
	// The source's name.
	Source string `json:"source"`
	// Whether what it states is what its store has now.
	State string `json:"state" enum:"current,stale"`
	// That in words.
	Detail string `json:"detail,omitempty"`
	// How old what it goes by is.
	StaleSeconds float64 `json:"stale_seconds,omitempty"`
	// The revision of its store that it goes by.
	Revision uint64 `json:"revision,omitempty"`
	// Deletions that it holds back.
	Held int `json:"held,omitempty"`
	// What it refuses or cannot do; at most 32 are kept.
	Alarms []string `json:"alarms,omitempty"`
}

// SourceOrders is what the switch answers a report.
type SourceOrders struct {
	// Changes so far of what is stated, as State has it.
	Version uint64 `json:"version"`
	// An operator accepts the deletions that were held back when it was said. Told
	// once.
	Accept bool `json:"accept"`
}

// SourceAccept accepts the deletions that a source holds back.
type SourceAccept struct {
	// The source's name.
	Source string `json:"source"`
}
