package api

import (
	"time"
)

// Status is the switch as a whole.
type Status struct {
	// The daemon's version and the revision it was built from.
	Version string `json:"version"`
	// The daemon's process.
	PID int `json:"pid"`
	// When the switch started.
	Started time.Time `json:"started"`
	// The process that carries frames opens ports, too, and has the privileges for it.
	// Otherwise it has none, and a port helper opens them.
	SingleProcess bool `json:"single_process"`
	// What was taken over from the switch before, at the start.
	TakenOver TakenOver `json:"taken_over"`
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
	// IP packets of which some fragments have come and others have not.
	Fragments uint32 `json:"fragments"`
	// Most of them that there is room for.
	FragmentsMax uint32 `json:"fragments_max"`
	// Fragments that wait for the first one of their packet.
	FragmentsHeld uint32 `json:"fragments_held"`
	// Most of them that there is room for.
	FragmentsHeldMax uint32 `json:"fragments_held_max"`
	// The session tables lie in huge pages.
	HugePages bool `json:"huge_pages"`
	// What else packets can fill, and how full each is.
	Tables []Fill `json:"tables"`
	// Chunks of frame memory that no port or worker holds.
	FramesFree int `json:"frames_free"`
	// Chunks that are in nobody's hands, or if below 0 in two hands at a time: 0 unless
	// the switch is wrong. They are counted once a second at the most.
	FramesMissing int `json:"frames_missing"`
	// Chunks of frame memory there are.
	Frames int `json:"frames"`
	// The canary has shown that the policy is enforced.
	Ready bool `json:"ready"`
	// Why the switch is not ready.
	NotReady string `json:"not_ready,omitempty"`
	// What the canary does and finds.
	Canary Canary `json:"canary"`
	// Who states segments, peers and endpoints besides the configuration, and how
	// that goes.
	Sources []Source `json:"sources,omitempty"`
	// What is wrong and does not stop the switch, a sentence each.
	Warnings []string `json:"warnings,omitempty"`
}

// Canary is made frames that show, by the walk that forwards, that what the policy
// allows passes and what it denies does not.
type Canary struct {
	// Segments that it shows this in: those with two endpoints that could meet, one
	// of them on a port of this host.
	Segments int `json:"segments"`
	// How often each has its turn.
	PeriodSeconds float64 `json:"period_seconds"`
	// Frames that should pass, since the start.
	Allowed uint64 `json:"allowed"`
	// Frames that should not.
	Denied uint64 `json:"denied"`
	// Of both, those that did otherwise.
	Wrong uint64 `json:"wrong"`
	// Segments in which the last ones did otherwise.
	Failing int `json:"failing"`
	// What was wrong there, a sentence each, of the first 16.
	Failures []string `json:"failures,omitempty"`
}

// TakenOver is what a switch has taken over from one that was killed, or replaced.
type TakenOver struct {
	// Ports that stayed open, with what came in meanwhile.
	Ports int `json:"ports"`
	// Sessions that go on, once the policy has judged them anew.
	Sessions int `json:"sessions"`
	// Address translations.
	Translations int `json:"translations"`
	// Learned MACs.
	MACs int `json:"macs"`
	// What the switch before was writing when it ended, and is not whole.
	Torn int `json:"torn"`
	// What went by a port, VRF, segment or peer that is no more.
	Unknown int `json:"unknown"`
	// What there was no room for, or whose time was over.
	Refused int `json:"refused"`
	// Why nothing but ports was taken over, if it was not.
	Cold string `json:"cold,omitempty"`
}

// Fill is how full a table is.
type Fill struct {
	// What it holds, as "learned MACs".
	Name string `json:"name"`
	// Entries now.
	Used int `json:"used"`
	// Most entries there is room for.
	Max int `json:"max"`
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
