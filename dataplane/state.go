package dataplane

import (
	"errors"
	"fmt"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/fragment"
	"bulkhead/dataplane/group"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/route"
)

// State is what packets change, shared by all workers. Each table is bounded
// and guards itself.
type State struct {
	Sessions   *Sessions
	Fragments  *fragment.Table
	FDB        *fdb.Table
	Neighbours *route.Neighbours
	Waiting    *route.Waiting
	Paths      route.Paths // to peers, that are narrower than the uplink
	NAT        *nat.Table  // its mappings end with the sessions that go by them
	Groups     *group.Table
	Links      *Links // what the ports' own bounds have seen

	keeping *keeping // nil: the state ends with the process
}

// StateConfig bounds the tables; zero fields are each table's defaults.
type StateConfig struct {
	Sessions  conntrack.Config
	Fragments fragment.Config
	FDB       fdb.Config
	Groups    group.Config
	NAT       nat.Config
	Workers   int // that share the state; 0: one
	// Keep is memory that outlives the process, KeepSize bytes from a page on and zero; nil:
	// the state ends with it. It must outlive the state (keep.go).
	Keep []byte
}

// NewState makes empty tables.
func NewState(cfg StateConfig) (*State, error) {
	s := &State{Neighbours: route.NewNeighbours(), Waiting: route.NewWaiting(), Links: new(Links)}
	var err error
	var parts [][]byte
	if cfg.Keep != nil {
		if s.keeping, parts, err = keepIn(&cfg); err != nil {
			return nil, err
		}
	}
	if s.Groups, err = group.New(cfg.Groups); err != nil {
		return nil, err
	}
	if s.NAT, err = nat.New(cfg.NAT); err != nil {
		return nil, err
	}
	cfg.Sessions.Ended = s.NAT.Release
	if s.Sessions, err = newSessions(cfg.Sessions, max(1, cfg.Workers), parts); err != nil {
		return nil, errors.Join(fmt.Errorf("session table of %d: %w", cfg.Sessions.Sessions, err), s.Close())
	}
	if s.Fragments, err = fragment.New(cfg.Fragments); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.FDB, err = fdb.New(cfg.FDB); err != nil {
		return nil, errors.Join(fmt.Errorf("forwarding table: %w", err), s.Close())
	}
	return s, nil
}

// Close frees the tables. No worker may use them any more. A second Close does
// nothing.
func (s *State) Close() error {
	var errs []error
	if s.Sessions != nil {
		s.Sessions.Close()
	}
	if s.Fragments != nil {
		errs = append(errs, s.Fragments.Close())
	}
	if s.FDB != nil {
		errs = append(errs, s.FDB.Close())
	}
	if s.NAT != nil {
		errs = append(errs, s.NAT.Close())
	}
	return errors.Join(errs...)
}
