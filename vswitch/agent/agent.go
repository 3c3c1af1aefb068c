package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"bulkhead/vswitch/agent/schema"
	"bulkhead/vswitch/agent/store"
	"bulkhead/vswitch/agent/world"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// Source is the agent's name to the switch.
const Source = "agent"

// Config is what an agent goes by.
type Config struct {
	Host     string // this host's name; a peer's name on the others
	Socket   string // of the switch's control API
	Dir      string // for what is remembered, and the policy
	Store    store.Config
	TTL      time.Duration // of the host's keys without their agent
	Grace    time.Duration // for which a lost host's endpoints are kept
	NewStore bool          // forget which store it was: the next is the one
	Log      *slog.Logger
}

// Times.
const (
	turnEvery = 250 * time.Millisecond
	callTime  = 4 * time.Second // of a call of the switch
	stepEvery = time.Second     // while something is refused, held, lost or to be fetched
	restEvery = 30 * time.Second
	saveEvery = 2 * time.Second
	freshTime = 5 * time.Second // a view proved longer ago is stale
)

// Agent is one agent. Run has it.
type Agent struct {
	cfg       Config
	log       *slog.Logger
	link      *store.Link
	follower  *store.Follower
	publisher *store.Publisher
	sw        *control.Client

	saved   saved
	dirty   bool
	savedAt time.Time
	reader  world.Reader
	world   world.World
	taken   *world.View    // the last view that is trusted
	records *world.Records // of it
	doubt   string         // why the follower's view is not
	sure    bool           // the store has shown that it is the one, since the start
	hold    hold
	policy  policyLoader
	refused map[string]refusal // what the switch refuses, by what it is
	arrived []string           // not told to the switch yet

	state    *api.State // the switch's, when it had the version
	version  uint64
	stepped  time.Time
	away     bool // the switch did not answer the last call
	began    time.Time
	alarms   []string
	reported string // alarms that are in the log
}

// New makes an agent with what it remembered. It speaks to nobody yet.
func New(cfg Config) (*Agent, error) {
	if !schema.GoodHost(cfg.Host) {
		return nil, fmt.Errorf("host %q is no name: 1 to 63 of a-z 0-9 - and ., beginning with a letter or digit", cfg.Host)
	}
	link := store.NewLink(cfg.Store)
	a := &Agent{
		cfg: cfg, log: cfg.Log, link: link, follower: store.NewFollower(link), publisher: store.NewPublisher(link, cfg.Host, cfg.TTL),
		sw: control.NewClient(cfg.Socket), refused: map[string]refusal{}, began: time.Now(),
	}
	a.policy.path = cfg.Dir + "/policy.bhp"
	return a, a.remember()
}

// Run runs until ctx is done. The host's keys stay until their lease runs out.
func (a *Agent) Run(ctx context.Context) error {
	ended := make(chan struct{}, 2)
	ctx, cancel := context.WithCancel(ctx)
	go func() { a.follower.Run(ctx); ended <- struct{}{} }()
	go func() { a.publisher.Run(ctx); ended <- struct{}{} }()
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-a.follower.Changed():
			a.turn(ctx)
		case <-tick.C:
			a.turn(ctx)
		}
	}
	cancel()
	<-ended
	<-ended
	a.policy.wait()
	a.link.Close()
	return a.save()
}

// turn looks at both sides and does what is to be done.
func (a *Agent) turn(ctx context.Context) {
	changed := a.trust(a.follower.State())
	orders, err := a.report(ctx)
	if err != nil {
		if !a.away {
			a.log.Warn("switch-away", "error", err, "effect", "what was stated stays; it is tried again")
		}
		a.away = true
		return
	}
	if a.away {
		a.away, a.policy.loaded, a.state = false, "", nil // it may be another process
	}
	if orders.Accept {
		a.hold.accept()
	}
	if a.due(changed, orders) {
		a.reconcile(ctx, orders.Version)
	}
	if a.dirty && time.Since(a.savedAt) >= saveEvery {
		if err := a.save(); err != nil {
			a.log.Error("not-remembered", "error", err, "effect", "a restart begins with what was remembered before")
		}
	}
}

// report tells the switch how the agent is.
func (a *Agent) report(ctx context.Context) (*api.SourceOrders, error) {
	r := api.SourceReport{Source: Source, State: "current", Held: a.hold.count(), Alarms: a.alarms}
	proved, why := a.freshness()
	if why != "" {
		since := a.began
		if !proved.IsZero() {
			since = proved
		}
		r.State, r.Detail, r.StaleSeconds = "stale", why, time.Since(since).Seconds()
	} else {
		r.Detail = fmt.Sprintf("host %s of cluster %.8s", a.cfg.Host, a.saved.Cluster)
	}
	if a.taken != nil {
		r.Revision = uint64(a.taken.Revision)
	}
	orders := new(api.SourceOrders)
	return orders, a.call(ctx, "/v1/source", &r, orders)
}

// freshness is when what we go by was last proved, and why it is not now.
func (a *Agent) freshness() (proved time.Time, why string) {
	st := a.follower.State()
	switch {
	case a.doubt != "":
		return st.Proved, a.doubt
	case st.Why != "" && time.Since(st.Proved) > freshTime:
		return st.Proved, st.Why
	case time.Since(st.Proved) > freshTime:
		return st.Proved, "the store does not answer"
	case a.publisher.Why() != "":
		return st.Proved, "this host's own keys cannot be written: " + a.publisher.Why()
	}
	return st.Proved, ""
}

func (a *Agent) call(ctx context.Context, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return a.sw.Post(ctx, path, in, out)
}

// due tells whether there may be something to do. Where all is as it should be that
// is seldom: of many endpoints a comparison costs milliseconds.
func (a *Agent) due(changed bool, orders *api.SourceOrders) bool {
	idle := time.Since(a.stepped)
	return changed || orders.Accept || orders.Version != a.version || len(a.arrived) > 0 || a.policy.ready() || idle >= restEvery ||
		idle >= stepEvery && (len(a.refused) > 0 || a.hold.count() > 0 || len(a.world.Memory.Lost) > 0 || a.policy.wanted(a.records))
}

// reconcile makes the switch, whose state has the version, have what is to be, and
// the store what this host is to have.
func (a *Agent) reconcile(ctx context.Context, version uint64) {
	if a.records == nil {
		return // nothing is known: nothing is changed
	}
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
	state := a.state
	a.stepped = time.Now()
	out := a.world.Step(time.Now(), a.records, localOf(state))
	if a.sure && a.doubt == "" {
		a.publisher.Want(out.Own, a.taken.Entries[schema.ClusterKey].Value)
	}
	a.arrived = append(a.arrived, out.Arrived...)
	alarms := out.Alarms
	alarms = append(alarms, a.apply(ctx, state, &out)...)
	alarms = append(alarms, a.policy.turn(ctx, a, out.Policy)...)
	a.alarms = alarms
	a.dirty = true
	a.logAlarms()
}

// localOf is what the switch has of its own.
func localOf(s *api.State) world.Local {
	l := world.Local{Here: s.Local}
	for _, text := range s.VTEP {
		if p, err := netip.ParsePrefix(text); err == nil {
			l.VTEPs = append(l.VTEPs, p.Addr())
		}
	}
	for i := range s.Segments {
		if s.Segments[i].Source == "config" {
			l.Segments = append(l.Segments, s.Segments[i])
		}
	}
	return l
}

// logAlarms writes what is new to the log.
func (a *Agent) logAlarms() {
	text := fmt.Sprint(a.alarms)
	if text == a.reported {
		return
	}
	a.reported = text
	for _, alarm := range a.alarms[:min(len(a.alarms), 32)] {
		a.log.Warn("alarm", "text", alarm)
	}
	if len(a.alarms) == 0 {
		a.log.Info("alarms-over")
	}
}

// of lists what a source states of what the switch lists.
func ownOf[T any](list []T, source func(*T) string) (own []T) {
	for i := range list {
		if source(&list[i]) == Source {
			own = append(own, list[i])
		}
	}
	return slices.Clip(own)
}
