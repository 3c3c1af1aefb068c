package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
)

// moment is --at: the time that a question is about.
type moment struct{ text string }

// flag adds --at to a command.
func (m *moment) flag(cmd *cobra.Command, use string) {
	cmd.Flags().StringVar(&m.text, "at", "", use+" `TIME`, as 2026-01-01T00:00:00Z; now")
	_ = cmd.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
}

// second is the time in seconds since 1970: now, if none is stated.
func (m *moment) second() (int64, error) {
	if m.text == "" {
		return time.Now().Unix(), nil
	}
	return m.stated()
}

// stated is the time that is stated; 0 if none is.
func (m *moment) stated() (int64, error) {
	if m.text == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, m.text)
	if err != nil || at.Unix() <= 0 || at.Unix() > policy.MaxTime {
		return 0, fmt.Errorf("--at %q is no time after 1970; write it with its zone, as 2026-01-01T00:00:00Z", m.text)
	}
	return at.Unix(), nil
}

// policy reads a policy as it is at the time of the question.
func (m *moment) policy(cmd *cobra.Command, args []string) (*compile.Policy, error) {
	now, err := m.second()
	if err != nil {
		return nil, err
	}
	p, err := policyOf(cmd, args)
	if err != nil {
		return nil, err
	}
	return p.At(now), nil
}
