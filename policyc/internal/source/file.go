package source

import (
	"time"

	"bulkhead/policyc/internal/diag"
)

// Bad, in what follows, says that what was written there could not be read and
// has been reported: nobody need report again that something is missing.

// Text is a string of the source and where it stands.
type Text struct {
	Value string
	At    diag.Span
	Bad   bool
}

// Texts is a list of strings. Set tells an empty list from none.
type Texts struct {
	Items    []Text
	At       diag.Span
	Set, Bad bool
}

// File is what one policy file states, as written.
type File struct {
	Src      *diag.Source
	Whole    bool // the text is valid TOML, every statement of it was read, and the labels of scopes are known
	Scope    Scope
	Services []Service
	Networks []Network
	Tiers    []Tier
	Rules    []Rule
	Tests    []Test
	// Endpoints are those that questions and tests can name.
	Endpoints []Known
}

// Scope is [scope].
type Scope struct {
	At       diag.Span
	Set, Bad bool
	Name     Text
	Labels   Labels
}

// Service is [services.NAME].
type Service struct {
	Name     Text
	Labels   Labels
	Match    Texts // conditions
	Any      Choices
	Services Texts // of a group
	Ports    NamedPorts
	Bad      bool // it has a key that may have been meant for one it lacks
}

// NamedPorts is the table of a service's own names for ports.
type NamedPorts struct {
	Items []NamedPort
	At    diag.Span
	Set   bool
}

// NamedPort is NAME = "tcp/8080" or NAME = ["udp/53", "tcp/53"].
type NamedPort struct {
	Name  Text
	Ports Texts
}

// Choices is the alternatives of a service.
type Choices struct {
	Items    []Choice
	At       diag.Span
	Set, Bad bool
}

// Choice is one of them.
type Choice struct {
	At     diag.Span
	Labels Labels
	Match  Texts
	Bad    bool
}

// Labels is a table of labels.
type Labels struct {
	Items    []Label
	At       diag.Span
	Set, Bad bool
}

// Label is one key = "value".
type Label struct{ Key, Value Text }

// Network is [networks.NAME].
type Network struct {
	Name          Text
	CIDRs, Except Texts
}

// Tier is [tiers.NAME].
type Tier struct {
	Name    Text
	Default Text
}

// Number is a number of the source. Set tells 0 from none.
type Number struct {
	Value    int64
	At       diag.Span
	Set, Bad bool
}

// Flag is true or false in the source.
type Flag struct {
	Value, Set, Bad bool
	At              diag.Span
}

// Time is a date and time of the source, with its zone.
type Time struct {
	Value    time.Time
	At       diag.Span
	Set, Bad bool
}

// Valid is valid = {} of a rule.
type Valid struct {
	At          diag.Span
	Set, Bad    bool
	From, Until Time
}

// Rule is one of [[rules]]. Exactly one of Allow, Deny and Pass should be there;
// check says so where it is not.
type Rule struct {
	At                diag.Span
	Name              Text
	Allow, Deny, Pass *Clause
	*Marks                 // of a rule that has none, one that all such rules share
	Bad               bool // it has a key that may have been meant for one it lacks
}

// Marks is what a rule says beside its name and its verdict. Few do.
type Marks struct {
	Tier, Direction Text
	Priority        Number
	Owner, Reason   Text
	Log, Audit      Flag
	Stateless       Flag
	Valid           Valid
}

// Clause is the inside of allow = {}, deny = {} and pass = {}.
type Clause struct {
	At              diag.Span
	From, To, Ports Texts
	Sources         Texts // source_ports
}

// Test is one of [[tests]].
type Test struct {
	At           diag.Span
	Name         Text
	From, To     Endpoint
	Port, Expect Text
	Source       Text // source_port
	When         Time
}

// Endpoint is one side of a test: a service or an address by Text, or an
// endpoint with Labels.
type Endpoint struct {
	At       diag.Span
	Set, Bad bool
	Text     Text
	Labels   Labels
}
