package api

// Mirror is what one mirror selects and has shown. Selected is Sent, Limited, Full and
// Lost together, but for frames that are on their way.
type Mirror struct {
	// The name.
	Name string `json:"name"`
	// The port that it shows frames by.
	Port string `json:"port"`
	// The collector that the port leads to.
	Collector string `json:"collector,omitempty"`
	// The type of ERSPAN, 2 or 3.
	ERSPAN int `json:"erspan,omitempty"`
	// The session that the collector sees.
	Session int `json:"session,omitempty"`
	// Of whom: services, networks and labels, as k=v; none: everybody.
	Of []string `json:"of,omitempty"`
	// For whom.
	For []string `json:"for,omitempty"`
	// Also what goes the other way.
	Replies bool `json:"replies,omitempty"`
	// The ports that are watched; none: all.
	Ports []string `json:"ports,omitempty"`
	// As frames come in, as they go out, or both.
	Direction string `json:"direction" enum:"in,out,both"`
	// Reasons for which frames were dropped; none: all frames.
	Reasons []string `json:"reasons,omitempty"`
	// Most bytes of a frame that are shown.
	Snaplen int `json:"snaplen"`
	// Most that is shown in a second.
	Rate string `json:"rate"`
	// Names of services and networks that the policy in force has not: nobody.
	Unknown []string `json:"unknown,omitempty"`
	// Frames that it wanted.
	Selected uint64 `json:"selected"`
	// Of these, those that its port took.
	Sent uint64 `json:"sent"`
	// Their bytes, as shown, ERSPAN's headers included.
	SentBytes uint64 `json:"sent_bytes"`
	// Of those for which there was room, how many were longer than the length shown.
	Cut uint64 `json:"cut"`
	// Lost since they were more than the rate.
	Limited uint64 `json:"limited"`
	// Lost since a batch had no more memory for copies.
	Full uint64 `json:"full"`
	// Lost since the port did not take them.
	Lost uint64 `json:"lost"`
}
