package scenario

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"bulkhead/bench/peers"
	"bulkhead/bench/report"
	"bulkhead/bench/traffic"
	"bulkhead/vswitch/control"
	"bulkhead/vswitch/control/api"
)

// perSession is about how long it takes to open one, for the time left.
const perSession = 6 * time.Microsecond

// measureMemory looks at what the daemon holds as it starts, with its sessions open,
// and after TCP both ways: what has grown by then, traffic has made grow.
func measureMemory(ctx context.Context, s Scenario, p Place, o traffic.Options) ([]report.Value, error) {
	m := memory{place: p, client: control.NewClient(filepath.Join(p.Rig.Dir, peers.ControlSocket))}
	open := func() (int, error) { return m.sessions(ctx) }
	err := m.note("at the start")
	if err == nil {
		err = traffic.Sessions(ctx, p.Path, s.Sessions, open, o)
	}
	if err == nil {
		err = m.note("with its sessions")
	}
	for _, back := range []bool{false, true} {
		if err == nil {
			_, err = traffic.TCP(ctx, p.Path, traffic.Stream{Flows: 8, Back: back}, o)
		}
	}
	if err == nil {
		err = m.note("after traffic")
	}
	has, failed := open()
	m.found = append(m.found, report.Value{Case: "open sessions", Unit: "sessions", Better: report.Higher, Value: float64(has)})
	return m.found, errors.Join(err, failed)
}

// memory is what was found of a place's.
type memory struct {
	place  Place
	client *control.Client
	found  []report.Value
}

// note looks at what the place's programs hold now.
func (m *memory) note(when string) error {
	u, err := m.place.Rig.Usage()
	m.found = append(m.found, report.Value{Case: "memory " + when, Unit: "MiB", Better: report.Lower, Value: float64(u.Memory) / (1 << 20)})
	return err
}

// sessions asks the switch how many are open.
func (m *memory) sessions(ctx context.Context) (int, error) {
	var status api.Status
	err := m.client.Get(ctx, "/v1/status", &status)
	return int(status.Sessions), err
}
