package speaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"bulkhead/vswitch/agent/evpn"
)

// Times of a session, in seconds (RFC 4271 10): a neighbour that is silent for hold is
// lost. It is called again after retry. A neighbour that has lost us is asked to keep
// what we said for restart (RFC 4724): the switch forwards without its agent. So every
// start says that it may be a second one, and waits for what neighbours say, for defer at
// the most, before it says anything. In a session after one that was lost gobgp does not
// say that forwarding goes on, and a neighbour drops what it heard when that ends.
const (
	restartSeconds = 120
	deferSeconds   = 3
	holdSeconds    = 9
	aliveSeconds   = 3
	retrySeconds   = 5
	cutOff         = 5 * time.Minute // of who said more than max_routes
	maxWrong       = 8               // kinds of routes that cannot be read, for an alarm each
)

// Speaker is a BGP server with its neighbours. Hear and Say are one goroutine's.
type Speaker struct {
	cfg     *evpn.Config
	bgp     *server.BgpServer
	stop    context.CancelFunc
	changed chan struct{}

	mu    sync.Mutex
	dirty map[netip.Addr]bool      // neighbours that may have said something since they were read
	ends  map[netip.Addr]time.Time // when each neighbour said last that it is through

	level *slog.LevelVar // of gobgp's log
	said  map[string]evpn.Route
	sides map[netip.Addr]*evpn.Status
	full  map[netip.Addr]time.Time // cut off since
}

// Start begins to speak. The log gets what gobgp warns of.
func Start(cfg *evpn.Config, log *slog.Logger) (*Speaker, error) {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	level := &slog.LevelVar{}
	level.Set(slog.LevelWarn)
	log = slog.New(&quiet{log.Handler(), level})
	ctx, cancel := context.WithCancel(context.Background())
	s := &Speaker{
		cfg: cfg, stop: cancel, level: level, bgp: server.NewBgpServer(server.LoggerOption(log, level)), changed: make(chan struct{}, 1),
		dirty: map[netip.Addr]bool{}, ends: map[netip.Addr]time.Time{}, said: map[string]evpn.Route{}, sides: map[netip.Addr]*evpn.Status{}, full: map[netip.Addr]time.Time{},
	}
	go s.bgp.Serve()
	if err := s.begin(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// begin opens the sessions.
func (s *Speaker) begin(ctx context.Context) error {
	global := &api.Global{Asn: s.cfg.AS, RouterId: s.cfg.RouterID.String(), ListenPort: -1}
	if s.cfg.Listen.IsValid() {
		global.ListenPort, global.ListenAddresses = int32(s.cfg.Listen.Port()), []string{s.cfg.Listen.Addr().String()}
	}
	if err := s.bgp.StartBgp(ctx, &api.StartBgpRequest{Global: global}); err != nil {
		return fmt.Errorf("start BGP: %w", err)
	}
	if err := s.ownOnly(ctx); err != nil {
		return fmt.Errorf("refuse what is heard: %w", err)
	}
	err := s.bgp.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnPathUpdate: func(paths []*apiutil.Path, _ time.Time) {
			if len(paths) > 0 {
				s.heard(paths[0].PeerAddress)
			}
		},
		OnPathEor:    func(p *apiutil.Path, _ time.Time) { s.ended(p.PeerAddress) },
		OnPeerUpdate: func(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) { s.heard(e.Peer.Conf.NeighborAddress) },
	}, server.WatchUpdate(false, "", ""), server.WatchEor(false), server.WatchPeer())
	if err != nil {
		return fmt.Errorf("watch neighbours: %w", err)
	}
	for i := range s.cfg.Neighbours {
		n := &s.cfg.Neighbours[i]
		if err := s.bgp.AddPeer(ctx, &api.AddPeerRequest{Peer: peerOf(n)}); err != nil {
			return fmt.Errorf("neighbour %s: %w", n.Address, err)
		}
	}
	return nil
}

// ownOnly has nothing enter the table that neighbours are told of but what we say: a
// host is no way from one neighbour to another.
func (s *Speaker) ownOnly(ctx context.Context) error {
	own := &api.Policy{Name: "own", Statements: []*api.Statement{{
		Name:       "own",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}
	if err := s.bgp.AddPolicy(ctx, &api.AddPolicyRequest{Policy: own}); err != nil {
		return err
	}
	return s.bgp.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_POLICY_DIRECTION_IMPORT,
		Policies: []*api.Policy{{Name: "own"}}, DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
	}})
}

// peerOf is a neighbour in gobgp's words.
func peerOf(n *evpn.Neighbour) *api.Peer {
	family := apiutil.ToApiFamily(bgp.RF_EVPN.Afi(), bgp.RF_EVPN.Safi())
	p := &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: n.Address.String(), PeerAsn: n.AS, AuthPassword: n.Password},
		Transport: &api.Transport{RemotePort: uint32(n.Port)},
		Timers:    &api.Timers{Config: &api.TimersConfig{ConnectRetry: retrySeconds, HoldTime: holdSeconds, KeepaliveInterval: aliveSeconds, IdleHoldTimeAfterReset: 1}},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: family, Enabled: true},
			PrefixLimits:      &api.PrefixLimit{Family: family, MaxPrefixes: uint32(n.MaxRoutes)},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: true}},
		}},
		GracefulRestart: &api.GracefulRestart{Enabled: true, RestartTime: restartSeconds, LocalRestarting: true, DeferralTime: deferSeconds},
	}
	if n.Source.IsValid() {
		p.Transport.LocalAddress = n.Source.String()
	}
	if n.Hops > 1 {
		p.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(n.Hops)}
	}
	return p
}

// heard notes that a neighbour may have said something; gobgp's goroutine calls it.
func (s *Speaker) heard(from netip.Addr) {
	s.mu.Lock()
	s.dirty[from] = true
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// ended notes that a neighbour is through; gobgp's goroutine calls it.
func (s *Speaker) ended(from netip.Addr) {
	s.mu.Lock()
	s.ends[from] = time.Now()
	s.mu.Unlock()
	s.heard(from)
}

// through tells whether a neighbour has said the end of its routes in this session.
// gobgp alone would say so too early: of a neighbour that may have started again, too,
// it waits for nothing (RFC 4724 3) and takes the end for heard with the OPEN, before
// any route. To us that would mean that it has no routes, and what was stated would go.
func (s *Speaker) through(st *evpn.Status, said bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, is := s.ends[st.Address]
	return st.Up && said && is && !end.Before(st.Since)
}

// Changed tells that something may have been said.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// Hear is how it goes with each neighbour, and what each says. A neighbour that has said
// nothing since is as it was read last.
func (s *Speaker) Hear() ([]evpn.Status, error) {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = map[netip.Addr]bool{}
	s.mu.Unlock()
	now, err := s.hear(dirty)
	if err != nil {
		for a := range dirty { // it is still to be read
			s.heard(a)
		}
		return nil, err
	}
	for i := range now {
		s.sides[now[i].Address] = &now[i]
	}
	return now, nil
}

func (s *Speaker) hear(dirty map[netip.Addr]bool) ([]evpn.Status, error) {
	now, err := s.peers()
	if err != nil {
		return nil, err
	}
	read := false
	for i := range now {
		st := &now[i]
		last := s.sides[st.Address]
		if st.Up && last != nil && last.Up && last.Since.Equal(st.Since) && !dirty[st.Address] {
			st.Routes, st.Wrong = last.Routes, last.Wrong
		} else if st.Up {
			read = true
			if err := s.routes(st); err != nil {
				return nil, err
			}
		}
	}
	if !read {
		return now, nil
	}
	after, err := s.peers()
	if err != nil {
		return nil, err
	}
	for _, a := range dropLost(now, after) {
		s.heard(a)
	}
	return now, nil
}

// dropLost takes a neighbour for lost that was so after it was read, and returns whom:
// with the session go its routes, and what was read may be a part of them, which is not
// all that it says.
func dropLost(now, after []evpn.Status) (lost []netip.Addr) {
	for i := range now {
		st := &now[i]
		same := slices.ContainsFunc(after, func(a evpn.Status) bool { return a.Address == st.Address && a.Up && a.Since.Equal(st.Since) })
		if st.Up && !same {
			*st = evpn.Status{Address: st.Address, Why: "it was lost while it was read"}
			lost = append(lost, st.Address)
		}
	}
	return lost
}

// peers is how it goes with each neighbour, in the order of their addresses.
func (s *Speaker) peers() (list []evpn.Status, err error) {
	err = s.bgp.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) {
		a, err := netip.ParseAddr(p.State.NeighborAddress)
		if err != nil {
			return
		}
		st := evpn.Status{Address: a, Up: p.State.SessionState == api.PeerState_SESSION_STATE_ESTABLISHED}
		at := p.Timers.State.Downtime
		if st.Up {
			at = p.Timers.State.Uptime
		}
		if at.GetSeconds() > 0 {
			st.Since = at.AsTime()
		}
		for _, f := range p.AfiSafis {
			st.Through = s.through(&st, f.MpGracefulRestart.GetState().GetEndOfRibReceived())
		}
		st.Why = s.why(p, a)
		list = append(list, st)
	})
	slices.SortFunc(list, func(a, b evpn.Status) int { return a.Address.Compare(b.Address) })
	return list, err
}

// why says why a neighbour is not there, and calls one again that was cut off.
func (s *Speaker) why(p *api.Peer, a netip.Addr) string {
	if p.State.AdminState != api.PeerState_ADMIN_STATE_PFX_CT {
		delete(s.full, a)
		return cmp.Or(p.State.DisconnectMessage, "no session")
	}
	since, is := s.full[a]
	if !is {
		since = time.Now()
		s.full[a] = since
	}
	if time.Since(since) > cutOff {
		delete(s.full, a)
		go func() { _ = s.bgp.EnablePeer(context.Background(), &api.EnablePeerRequest{Address: a.String()}) }() // fails only where it is gone
	}
	return fmt.Sprintf("it said more than max_routes, and was cut off; it is called again after %s", cutOff)
}

// routes reads what a neighbour says.
func (s *Speaker) routes(st *evpn.Status) error {
	wrong := map[string]int{}
	err := s.bgp.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_ADJ_IN, Name: st.Address.String(), Family: bgp.RF_EVPN},
		func(_ bgp.NLRI, paths []*apiutil.Path) {
			for _, p := range paths {
				r, known, err := read(p)
				switch {
				case p.Stale: // of a session before this one: package evpn has it
				case err != nil:
					wrong[err.Error()]++
				case known:
					st.Routes = append(st.Routes, r)
				}
			}
		})
	if err != nil {
		return fmt.Errorf("what neighbour %s says: %w", st.Address, err)
	}
	for text, n := range wrong {
		st.Wrong = append(st.Wrong, fmt.Sprintf("%s (%d routes)", text, n))
	}
	slices.Sort(st.Wrong)
	st.Wrong = st.Wrong[:min(len(st.Wrong), maxWrong)]
	slices.SortFunc(st.Routes, func(a, b evpn.Route) int { return cmp.Compare(a.Key(), b.Key()) })
	return nil
}

// Say makes these routes all that is said.
func (s *Speaker) Say(wanted []evpn.Route) error {
	say, unsay := evpn.Diff(s.said, wanted)
	var failed error
	for i := range unsay {
		p, err := write(&unsay[i])
		if err == nil {
			err = s.bgp.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{p}})
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("take back %s: %w", unsay[i].Key(), err))
			continue
		}
		delete(s.said, unsay[i].Key())
	}
	for i := range say {
		p, err := write(&say[i])
		if err == nil {
			_, err = s.bgp.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{p}})
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("say %s: %w", say[i].Key(), err))
			continue
		}
		s.said[say[i].Key()] = say[i]
	}
	return failed
}

// Close ends all sessions, as a restart does: neighbours keep what they heard for a while.
func (s *Speaker) Close() {
	s.stop()
	_ = s.bgp.StopBgp(context.Background(), &api.StopBgpRequest{AllowGracefulRestart: true}) // it only fails where it has not begun
	s.level.Set(math.MaxInt)                                                                 // that it is stopped is no error
	s.bgp.Stop()
}

// quiet is a log without what is below a level.
type quiet struct {
	slog.Handler
	level *slog.LevelVar
}

// Enabled tells whether a line of a level is written.
func (q *quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= q.level.Level() && q.Handler.Enabled(ctx, l)
}

// WithAttrs is the log with attributes.
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &quiet{q.Handler.WithAttrs(attrs), q.level}
}

// WithGroup is the log with a group.
func (q *quiet) WithGroup(name string) slog.Handler {
	return &quiet{q.Handler.WithGroup(name), q.level}
}
