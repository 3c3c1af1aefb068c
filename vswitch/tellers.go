package vswitch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"bulkhead/dataplane"
	"bulkhead/vswitch/control/api"
)

// Sources call once a second at the least and say how they are, so that one that
// hangs is seen. Nothing that is in force depends on it: what a source stated last
// stays, however long it is silent.

// Bounds of what is kept of sources.
const (
	maxSources  = 8
	maxAlarms   = 32
	maxAlarm    = 256 // bytes
	silentAfter = 15 * time.Second
)

// teller is what is known of a source.
type teller struct {
	report api.SourceReport
	seen   time.Time
	accept bool // to be told with the next answer
}

// Report takes in how a source is, and tells it what it is to do.
func (o *Operator) Report(r *api.SourceReport) (*api.SourceOrders, error) {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := o.mayChange(); err != nil {
		return nil, err
	}
	if err := goodSource(r.Source); err != nil {
		return nil, err
	}
	if r.State != "current" && r.State != "stale" {
		return nil, api.Invalid(fmt.Sprintf("%.40q is no state of a source", r.State), "current or stale")
	}
	if r.Held < 0 || r.StaleSeconds < 0 {
		return nil, api.Invalid(fmt.Sprintf("held %d, stale for %g s: less than nothing", r.Held, r.StaleSeconds), "count from 0")
	}
	t := sw.tellers[r.Source]
	if t == nil {
		if len(sw.tellers) >= maxSources {
			return nil, api.Busy(fmt.Sprintf("%d sources have called", maxSources), "restart the switch to forget them")
		}
		t = new(teller)
		sw.tellers[r.Source] = t
	}
	t.report, t.seen = *r, time.Now()
	t.report.Detail = cut(r.Detail)
	t.report.Alarms = nil
	for _, a := range r.Alarms[:min(len(r.Alarms), maxAlarms)] {
		t.report.Alarms = append(t.report.Alarms, cut(a))
	}
	orders := &api.SourceOrders{Version: sw.version, Accept: t.accept}
	t.accept = false
	return orders, nil
}

// cut bounds a text of a source, which may quote a store that lies: operators read
// it on a terminal, so that nothing is left in it that a terminal would obey.
func cut(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), maxAlarm)])
}

// AcceptDeletions has a source carry out the deletions that it holds back.
func (o *Operator) AcceptDeletions(a *api.SourceAccept) (*api.Done, error) {
	sw := o.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	t := sw.tellers[a.Source]
	switch {
	case t == nil:
		return nil, unknown("source", a.Source, slices.Collect(maps.Keys(sw.tellers)), "vsctl status")
	case t.report.Held == 0:
		return nil, api.Conflict(fmt.Sprintf("%s holds nothing back", a.Source), "vsctl status says what it does")
	}
	t.accept = true
	return &api.Done{Done: fmt.Sprintf("accepted %d deletions of %s", t.report.Held, a.Source), Generation: sw.generation}, nil
}

// sources describes the sources. The caller holds mu.
func (sw *Switch) sources() (out []api.Source) {
	stated := map[string]int{}
	for _, o := range sw.stated.endpoints {
		stated[o.by]++
	}
	for _, name := range slices.Sorted(maps.Keys(sw.tellers)) {
		t := sw.tellers[name]
		s := api.Source{
			Source: name, State: t.report.State, Detail: t.report.Detail, StaleSeconds: t.report.StaleSeconds, IdleSeconds: time.Since(t.seen).Seconds(),
			Revision: t.report.Revision, Endpoints: stated[name], Held: t.report.Held, Alarms: t.report.Alarms,
		}
		if idle := time.Since(t.seen); idle > silentAfter {
			s.State, s.StaleSeconds = "silent", s.StaleSeconds+idle.Seconds()
		}
		out = append(out, s)
	}
	return out
}

// sourceWarnings says what an operator should know of the sources.
func sourceWarnings(list []api.Source) (out []string) {
	for i := range list {
		s := &list[i]
		switch s.State {
		case "silent":
			out = append(out, fmt.Sprintf("source %s has not called for %.0f s; what it stated last stays in force: is it running?", s.Source, s.IdleSeconds))
		case "stale":
			out = append(out, fmt.Sprintf("source %s: %s; what it had %.0f s ago stays in force", s.Source, s.Detail, s.StaleSeconds))
		}
		if s.Held > 0 {
			out = append(out, fmt.Sprintf("source %s holds %d deletions back: so many at once may be a mistake; vsctl source accept %s carries them out", s.Source, s.Held, s.Source))
		}
		for _, a := range s.Alarms {
			out = append(out, fmt.Sprintf("source %s: %s", s.Source, a))
		}
	}
	return out
}

// sourceFills tells how full the tables are that sources fill, where there are any.
func (sw *Switch) sourceFills() []api.Fill {
	if len(sw.tellers) == 0 {
		return nil
	}
	return []api.Fill{
		{Name: "sources", Used: len(sw.tellers), Max: maxSources},
		{Name: "stated endpoints", Used: len(sw.stated.endpoints), Max: maxStated},
		{Name: "arrived endpoints", Used: len(sw.arrivals), Max: dataplane.MaxArrivals},
	}
}
