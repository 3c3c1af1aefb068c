package vswitch

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// Opening is what a driver is told besides the port's own configuration.
type Opening struct {
	ID     packet.PortID
	Region *port.Region
	Loans  *port.Loans
	// Lent: another process is to run the port, and gives its queues their memory.
	Lent    bool
	Segment *config.Segment // nil for an uplink
	VTEP    *config.VTEP    // nil without an overlay
	Workers int
	Log     *slog.Logger
}

// Opener opens a port with the driver that its configuration names; its link
// stays down. Drivers are wired in by the command, so that this package knows
// none.
type Opener func(*config.Port, Opening) (port.Port, error)

// Switch is the daemon's heart: the workers, what they go by, and what may
// change it. Its exported methods may be called from any goroutine.
type Switch struct {
	log         *slog.Logger
	open        Opener
	helper      Helper // nil: this process opens ports
	world       world
	started     time.Time
	workerCount int
	workers     []*worker
	region      *port.Region
	memory      []byte         // under region
	keep        []byte         // under state; nil: memory of its own
	remains     []byte         // what the switch before has left, until Start has taken it over
	cold        error          // why that cannot be had
	began       dataplane.Time // CLOCK_MONOTONIC when it started, where the next switch goes on by it; else 0
	loans       port.Loans
	state       *dataplane.State
	captures    captures
	live        atomic.Pointer[live]
	failed      sync.Map // packet.PortID -> string: why a port cannot be read
	notUp       sync.Map // packet.PortID -> string: why its link could not be set up
	mendEvery   time.Duration
	ill         chan struct{}    // tells the mender that a device has gone
	done        chan struct{}    // closed by Close: the mender ends
	mended      chan struct{}    // closed by the mender as its last act
	watched     chan struct{}    // closed by the watchdog as its last act
	stuck       func(worker int) // what it does when a worker hangs; nil: nothing
	timed       chan struct{}    // closed by the keeper of the time as its last act
	reported    chan struct{}    // closed by the reporter as its last act
	wall        func() time.Time // the clock that rules with times go by
	journal     journal
	canary      *canary

	// What follows is the declared state, from which live is linked. A change
	// holds mu from reading it to publishing what came of it.
	mu         sync.Mutex
	cfg        *config.Config
	file       *config.Config // cfg without what sources state
	roster     roster         // every endpoint, of all layers
	local      roster         // those of configuration and API alone
	stated     stated         // what sources state
	tellers    map[string]*teller
	version    uint64                    // changes of what is stated
	arrivals   map[string]dataplane.Time // endpoints that have come, and until when that matters
	rules      *policy.Ruleset           // nil: no policy, everything is denied
	rulesFrom  string                    // the file they came from
	rulesBy    []policy.KeyID            // the trusted keys that signed them
	index      *policy.Index             // of rules, or of others; see indexOf
	rulesErr   string                    // why the last load failed, if it did
	reloadErr  error                     // why the last reload failed, if it did
	keepErr    error                     // why the policy's generation is not kept, if it is not
	highest    uint64                    // generation that has been in force under keys
	fixed      []string                  // keys changed since the start that need another
	generation uint32
	ports      map[string]packet.PortID
	opened     []openPort
	nextPort   packet.PortID
	zones      zones
	mirrors    map[string]*dataplane.MirrorState // what mirrors count, by name
	linked     *linker                           // of what is live; makes what differs in an endpoint
	ruleTotals map[countedRule]uint64            // hits of rules of earlier snapshots
	// auditTotals is the same for what rules under audit would have denied.
	auditTotals map[countedRule]uint64
	view        view
	books       books
	shadow      *shadow // nil: none stands
	shadowErr   string  // why it was forgotten
	shut        bool    // the rules of now cannot be linked: nothing is allowed
	retired     retired
	took        api.TakenOver
	noted       note   // of the numbers in force
	notedText   []byte // as it was written
	// defaultDeny is the same for what no rule decided.
	defaultDeny uint64
	closed      bool
}

// Helper is another process that opens the ports.
type Helper interface {
	// Away says why it cannot open any now; "" while it can.
	Away() string
	// Chunks is how many chunks of the frame region ports hold that were closed and
	// that it has not let go of yet. It does not wait: if it cannot say so at once it
	// is not sure.
	Chunks() (n int, sure bool)
}

// Apart is what a switch needs whose ports another process opens.
type Apart struct {
	Helper Helper
	// Memory is the frame region, which both have mapped: Limits.Frames chunks. It
	// is the switch's, which unmaps it.
	Memory []byte
	// Keep is where sessions and the like lie (KeepMemory). It is the switch's, too.
	Keep []byte
}

// New makes a switch of a configuration: tables, workers and the policy, but
// no port yet. Start opens the ports.
func New(cfg *config.Config, open Opener, log *slog.Logger) (*Switch, error) {
	return NewApart(cfg, open, Apart{}, log)
}

// NewApart is New for a switch whose ports another process opens.
func NewApart(cfg *config.Config, open Opener, apart Apart, log *slog.Logger) (*Switch, error) {
	return newSwitch(cfg, open, apart, theWorld, log)
}

// newSwitch is NewApart in a world.
func newSwitch(cfg *config.Config, open Opener, apart Apart, around world, log *slog.Logger) (*Switch, error) {
	sw := &Switch{
		world: around, helper: apart.Helper, memory: apart.Memory, keep: apart.Keep,
		log: log, open: open, started: time.Now(), workerCount: cfg.Workers,
		cfg: cfg, file: cfg, stated: stated{endpoints: map[string]ownedEndpoint{}}, tellers: map[string]*teller{}, arrivals: map[string]dataplane.Time{},
		version: uint64(time.Now().UnixMilli()), // another process's is another
		ports:   map[string]packet.PortID{}, ruleTotals: map[countedRule]uint64{}, auditTotals: map[countedRule]uint64{}, retired: retired{},
		watched: make(chan struct{}),
		timed:   make(chan struct{}), reported: make(chan struct{}), wall: time.Now, journal: newJournal(),
		mendEvery: mendEvery, ill: make(chan struct{}, 1), done: make(chan struct{}), mended: make(chan struct{}),
	}
	if sw.keep != nil {
		sw.began = sys.Monotonic()
	}
	if err := sw.makeTables(cfg); err != nil {
		return nil, err
	}
	var err error
	if sw.canary, err = newCanary(sw); err != nil {
		sw.freeTables()
		return nil, err
	}
	if err := sw.loadRules(cfg); err != nil {
		sw.freeTables()
		return nil, err
	}
	for i := range cfg.Workers {
		w, err := newWorker(sw, i)
		if err != nil {
			sw.freeTables()
			return nil, fmt.Errorf("make worker %d: %w", i, err)
		}
		sw.workers = append(sw.workers, w)
	}
	return sw, nil
}

// makeTables allocates everything whose size does not depend on traffic, once.
func (sw *Switch) makeTables(cfg *config.Config) error {
	var err error
	if sw.memory == nil {
		if sw.memory, err = sys.MapAnonymous(cfg.Limits.Frames * port.ChunkSize); err != nil {
			return fmt.Errorf("frame region of %d frames: %w", cfg.Limits.Frames, err)
		}
	}
	if sw.region, err = port.NewRegion(sw.memory); err != nil {
		return err
	}
	tables := stateConfig(cfg)
	tables.Keep = sw.keep
	sw.state, err = dataplane.NewState(tables)
	return err
}

// stateConfig bounds what packets make.
func stateConfig(cfg *config.Config) dataplane.StateConfig {
	return dataplane.StateConfig{
		Sessions: conntrack.Config{
			Sessions:       uint32(cfg.Limits.Sessions),
			Ports:          packet.MaxPorts,
			PortQuota:      uint32(cfg.Limits.SessionsPerPort),
			EmbryonicQuota: uint32(cfg.Limits.EmbryonicPerPort),
		},
		NAT:     nat.Config{Mappings: uint32(cfg.Limits.NATMappings), Quota: uint32(cfg.Limits.NATPerPort)},
		Workers: cfg.Workers,
	}
}

func (sw *Switch) freeTables() {
	for _, w := range sw.workers {
		w.end()
	}
	if sw.state != nil {
		_ = sw.state.Close()
	}
	if sw.canary != nil {
		_ = sw.canary.prober.Close()
	}
	for _, mem := range [][]byte{sw.memory, sw.keep, sw.remains} {
		if mem != nil {
			_ = sys.Unmap(mem)
		}
	}
	sw.loans.Close()
}

// Start opens the ports, publishes the first snapshot, starts the workers and
// only then sets the links up: no port is ever up without its guard. If a port
// cannot be opened nothing is left behind, and the switch is closed.
func (sw *Switch) Start() error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.closed {
		return errClosed
	}
	sw.local = rosterOf(sw.cfg)
	if err := sw.apply(sw.cfg, maps.Clone(sw.local), sw.rules); err != nil {
		sw.closed = true
		sw.freeTables()
		return err
	}
	go sw.mend()
	go sw.watch()
	go sw.keepTime()
	go sw.report()
	go sw.canary.sing()
	return nil
}

// Close stops the workers, then closes every port: devices, pins and
// addresses go with it. A second Close does nothing.
func (sw *Switch) Close() error {
	if !sw.goDown() {
		return nil
	}
	if sw.live.Load() == nil {
		sw.freeTables() // it was never started
		return nil
	}
	<-sw.mended
	<-sw.watched
	<-sw.timed
	<-sw.canary.ended
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for _, w := range sw.workers {
		w.halt()
		<-w.stopped
	}
	sw.journal.close()
	<-sw.reported
	errs := []error{sw.closePorts(), sw.state.Close(), sw.canary.prober.Close(), sys.Unmap(sw.memory)}
	if sw.keep != nil {
		errs = append(errs, sys.Unmap(sw.keep))
	}
	sw.loans.Close()
	return errors.Join(errs...)
}

// closeAtOnce is how many ports Close closes at a time: most of a device's end is
// the kernel waiting for its other CPUs.
const closeAtOnce = 16

// closePorts closes every port. The workers have stopped; the caller holds mu.
func (sw *Switch) closePorts() error {
	errs := make([]error, len(sw.opened))
	var all sync.WaitGroup
	turn := make(chan struct{}, closeAtOnce)
	for i := range sw.opened {
		p := sw.opened[i].port
		if p == nil {
			continue
		}
		turn <- struct{}{}
		all.Go(func() {
			if err := p.Close(); err != nil {
				errs[i] = fmt.Errorf("close port %q: %w", sw.opened[i].name, err)
			}
			<-turn
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// goDown marks the switch closed; from then on nothing is changed. It returns
// false if that had been done.
func (sw *Switch) goDown() bool {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.closed {
		return false
	}
	sw.closed = true
	close(sw.done)
	return true
}

// now is the switch's clock: nanoseconds since it started, or, where what it keeps outlives
// it, of CLOCK_MONOTONIC itself: then times mean the same to the switch after this one.
func (sw *Switch) now() dataplane.Time { return sw.began + int64(time.Since(sw.started)) + 1 }

// portName returns the name of a port that is live.
func (sw *Switch) portName(id packet.PortID) string {
	if l := sw.live.Load(); l != nil && int(id) < len(l.ports) {
		return l.ports[id].name
	}
	return ""
}
