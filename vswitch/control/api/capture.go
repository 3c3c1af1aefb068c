package api

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
