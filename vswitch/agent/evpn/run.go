package evpn

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// Speaker speaks BGP. Package speaker has the real one.
type Speaker interface {
	// Changed tells that something may have been said.
	Changed() <-chan struct{}
	// Hear is how it goes with each neighbour, and what each says.
	Hear() ([]Status, error)
	// Say makes these routes all that is said.
	Say([]Route) error
}

// Times.
const (
	turnEvery  = 250 * time.Millisecond
	hearEvery  = 250 * time.Millisecond // at the most, however much is said
	stepEvery  = time.Second            // while something may change by itself
	callTime   = 4 * time.Second        // of a call of the switch
	retryAfter = 10 * time.Second       // of what the switch refused
)

// Agent is a speaker beside a switch. Run has it.
type Agent struct {
	cfg     *Config
	log     *slog.Logger
	speaker Speaker
	sw      *control.Client
	rib     *rib
	world   *World

	sides   []Status
	state   *api.State // the switch's, when it had the version
	version uint64
	heardAt time.Time
	stepped time.Time
	poked   bool // something may have been said since
	refused map[string]refusal
	alarms  []string
	skipped int
	away    bool
	told    string // alarms that are in the log
}

// New makes an agent. It calls nobody yet.
func New(cfg *Config, socket string, speaker Speaker, log *slog.Logger) *Agent {
	return &Agent{cfg: cfg, log: log, speaker: speaker, sw: control.NewClient(socket), rib: newRib(time.Now(), cfg), world: NewWorld(cfg), refused: map[string]refusal{}}
}

// Run runs until ctx is done. What was stated stays.
func (a *Agent) Run(ctx context.Context) error {
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-a.speaker.Changed():
			a.poked = true
		case <-tick.C:
			a.turn(ctx)
		}
	}
	return nil
}

// turn looks at both sides and does what is to be done.
func (a *Agent) turn(ctx context.Context) {
	now := time.Now()
	heard := a.hear(now)
	orders := new(api.SourceOrders)
	report := a.report(now)
	if err := a.call(ctx, "/v1/source", &report, orders); err != nil {
		if !a.away {
			a.log.Warn("switch-away", "error", err, "effect", "what was stated stays; it is tried again")
		}
		a.away = true
		return
	}
	if a.away {
		a.away, a.state = false, nil // it may be another process
	}
	if heard || a.state == nil || orders.Version != a.version || now.Sub(a.stepped) >= stepEvery {
		a.step(ctx, now, orders.Version)
	}
}

// hear takes in what neighbours say, if they may have said something.
func (a *Agent) hear(now time.Time) bool {
	if !a.poked && now.Sub(a.heardAt) < stepEvery || now.Sub(a.heardAt) < hearEvery {
		return false
	}
	sides, err := a.speaker.Hear()
	if err != nil {
		a.log.Error("speaker", "error", err)
		return false
	}
	a.poked, a.heardAt = false, now
	for i := range sides {
		a.rib.take(now, &sides[i])
		a.note(&sides[i])
	}
	a.sides = sides
	return true
}

// note logs a neighbour that comes or goes.
func (a *Agent) note(s *Status) {
	i := slices.IndexFunc(a.sides, func(o Status) bool { return o.Address == s.Address })
	if i >= 0 && a.sides[i].Up == s.Up {
		return
	}
	if s.Up {
		a.log.Info("neighbour-up", "address", s.Address)
	} else if i >= 0 {
		a.log.Warn("neighbour-down", "address", s.Address, "why", s.Why, "effect", "what it said is kept for "+a.cfg.Keep.String())
	}
}

// report is how it goes, for the switch.
func (a *Agent) report(now time.Time) api.SourceReport {
	r := api.SourceReport{Source: Source, State: "current", Alarms: a.alarms}
	routes := 0
	for i := range a.sides {
		s := &a.sides[i]
		routes += len(s.Routes)
		if s.Up {
			continue
		}
		since := s.Since
		if since.IsZero() {
			since = a.rib.start
		}
		r.State, r.StaleSeconds = "stale", max(r.StaleSeconds, now.Sub(since).Seconds())
		if r.Detail == "" {
			r.Detail = fmt.Sprintf("neighbour %s is away: %s", s.Address, s.Why)
		}
	}
	if a.sides == nil {
		r.State, r.Detail = "stale", "it has just started"
	}
	if r.Detail == "" {
		r.Detail = fmt.Sprintf("AS %d, %d neighbours, %d routes, %d of them for no segment of ours", a.cfg.AS, len(a.sides), routes, a.skipped)
	}
	return r
}

// step makes the switch have what is to be, and neighbours hear what they are to.
func (a *Agent) step(ctx context.Context, now time.Time, version uint64) {
	if a.state == nil || version != a.version {
		state := new(api.State)
		call, cancel := context.WithTimeout(ctx, callTime)
		err := a.sw.Get(call, "/v1/state", state)
		cancel()
		if err != nil {
			return // the next report says so
		}
		a.state, a.version = state, state.Version
	}
	a.stepped = now
	all, settled := a.rib.heard(now)
	out := a.world.Step(now, all, a.state, settled)
	alarms := out.Alarms
	if err := a.speaker.Say(out.Adverts); err != nil {
		alarms = append(alarms, fmt.Sprintf("not everything is said to neighbours: %v", err))
	}
	for i := range a.sides {
		for _, w := range a.sides[i].Wrong {
			alarms = append(alarms, fmt.Sprintf("neighbour %s: %s", a.sides[i].Address, w))
		}
	}
	alarms = append(alarms, a.apply(ctx, now, &out)...)
	a.skipped, a.alarms = out.Skipped, alarms[:min(len(alarms), maxAlarms)]
	if text := fmt.Sprint(a.alarms); text != a.told {
		a.told = text
		for _, alarm := range a.alarms {
			a.log.Warn("alarm", "text", alarm)
		}
	}
}

func (a *Agent) call(ctx context.Context, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return a.sw.Post(ctx, path, in, out)
}
