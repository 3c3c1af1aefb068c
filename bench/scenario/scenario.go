// Package scenario is what is measured: a kind of traffic, and who carries it.
//
// A scenario is data, a row of scenarios.toml or of a file of the user's, and a
// kind is a function that measures. So a new scenario is a row, and a new
// subject a file in package peers.
package scenario

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"bulkhead/bench/peers"
)

// Kind is a kind of measurement.
type Kind string

// The kinds. The first four are in memory and have one subject.
const (
	Walk     Kind = "walk"
	Setup    Kind = "setup"
	Policies Kind = "policies"
	Classify Kind = "classify"
	TCP      Kind = "tcp"
	UDP      Kind = "udp"
	Frames   Kind = "frames"
	Echo     Kind = "echo"
	LossFree Kind = "lossfree"
	Idle     Kind = "idle"
	Memory   Kind = "memory"
)

// InMemory tells the kinds that go over no device and need no privilege.
func (k Kind) InMemory() bool {
	return k == Walk || k == Setup || k == Policies || k == Classify
}

// Rounds is how many of the rounds that are asked for are worth their time: what a
// daemon holds and does when nothing comes hardly differs from one to the next.
func (k Kind) Rounds(asked int) int {
	switch k {
	case Memory:
		return 1
	case Idle:
		return min(asked, 3)
	}
	return asked
}

// Scenario is one table of a report; its keys are told in scenarios.toml.
type Scenario struct {
	Name     string   `toml:"name"`
	About    string   `toml:"about"`
	Kind     Kind     `toml:"kind"`
	Subjects []string `toml:"subjects"`
	Flows    []int    `toml:"flows"`
	Back     bool     `toml:"back"`
	Frames   []int    `toml:"frames"`
	Sizes    []int    `toml:"sizes"`
	Sessions int      `toml:"sessions"`
}

// TOML is the rows of ours as they are written, with what each key means.
//
//go:embed scenarios.toml
var TOML string

// All lists the scenarios in the order of `run all`.
func All() []Scenario {
	all, err := Read("scenarios.toml", TOML)
	if err != nil {
		panic(err) // ours; the tests read it
	}
	return all
}

// Read reads scenarios. It tells every mistake, with the name of the file and
// the scenario.
func Read(file, text string) ([]Scenario, error) {
	var f struct {
		Scenarios []Scenario `toml:"scenarios"`
	}
	meta, err := toml.Decode(text, &f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var errs []error
	for _, key := range meta.Undecoded() {
		errs = append(errs, fmt.Errorf("%s: no such key: %s", file, key))
	}
	seen := map[string]bool{"all": true}
	for i := range f.Scenarios {
		s := &f.Scenarios[i]
		if seen[s.Name] || s.Name == "" {
			errs = append(errs, fmt.Errorf("%s: scenario %d: the name %q is none, or taken", file, i+1, s.Name))
		}
		seen[s.Name] = true
		if err := s.check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: scenario %q: %w", file, s.Name, err))
		}
	}
	if len(f.Scenarios) == 0 && errs == nil {
		errs = append(errs, fmt.Errorf("%s: no [[scenarios]] in it", file))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return f.Scenarios, nil
}

// What a row may ask for.
const (
	minFrame    = 64
	maxFrame    = 1518
	maxFlows    = 64
	maxRules    = 1_000_000
	maxSessions = 1_000_000
)

// check says what a row lacks or has too much for its kind.
func (s *Scenario) check() error {
	var errs []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	_, measured := kinds[s.Kind]
	add(!measured && !s.Kind.InMemory(), "kind %q; one of walk, setup, policies, classify, tcp, udp, frames, echo, lossfree, idle, memory", s.Kind)
	_, err := peers.Find(s.Subjects...)
	add(err != nil, "subjects: %w", err)
	add(measured && len(s.Subjects) == 0, "no subjects; some of %s", strings.Join(peers.Names(), ", "))
	add(s.Kind.InMemory() && len(s.Subjects) > 0, "%s is in memory and has no subjects", s.Kind)
	sized := s.Kind == UDP || s.Kind == Frames || s.Kind == LossFree
	add(sized != (len(s.Frames) > 0), "frames are for udp, frames and lossfree, which need some")
	add((s.Kind == TCP) != (len(s.Flows) > 0) || s.Kind != TCP && s.Back, "flows and back are for tcp, which needs flows")
	add((s.Kind == Policies) != (len(s.Sizes) > 0), "sizes are for policies, which need some")
	add(slices.ContainsFunc(s.Frames, func(n int) bool { return n != 0 && (n < minFrame || n > maxFrame) }), "frames are %d to %d bytes, or 0 for IMIX", minFrame, maxFrame)
	add(s.Kind == UDP && slices.Contains(s.Frames, 0), "udp has frames of one size")
	add(slices.ContainsFunc(s.Flows, func(n int) bool { return n < 1 || n > maxFlows }), "flows are 1 to %d", maxFlows)
	add(slices.ContainsFunc(s.Sizes, func(n int) bool { return n < 2 || n > maxRules }), "sizes are 2 to %d rules", maxRules)
	add((s.Kind == Memory) != (s.Sessions > 0), "sessions are for memory, which needs some")
	add(s.Sessions < 0 || s.Sessions > maxSessions, "sessions are 1 to %d", maxSessions)
	return errors.Join(errs...)
}

// Names lists the names of the scenarios.
func Names(all []Scenario) (out []string) {
	for _, s := range all {
		out = append(out, s.Name)
	}
	return out
}

// Find returns the scenario of a name.
func Find(all []Scenario, name string) (Scenario, bool) {
	for _, s := range all {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}
