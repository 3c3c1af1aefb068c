package scenario

import (
	"context"
	"fmt"
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
func measureMemory(ctx context.Context, s Scenario, p Place, o traffic.Options) (out []report.Value, err error) {
	note := func(when string) {
		if err != nil {
			return
		}
		u, failed := p.Rig.Usage()
		err = failed
		out = append(out, report.Value{Case: "memory " + when, Unit: "MiB", Better: report.Lower, Value: float64(u.Memory) / (1 << 20)})
	}
	note("at the start")
	client := control.NewClient(filepath.Join(p.Rig.Dir, peers.ControlSocket))
	open := func() (int, error) {
		var status api.Status
		err := client.Get(ctx, "/v1/status", &status)
		return int(status.Sessions), err
	}
	if err := traffic.Sessions(ctx, p.Path, s.Sessions, open, o); err != nil {
		return nil, fmt.Errorf("open %d sessions: %w", s.Sessions, err)
	}
	note("with its sessions")
	for _, back := range []bool{false, true} {
		if _, err := traffic.TCP(ctx, p.Path, traffic.Stream{Flows: 8, Back: back}, o); err != nil {
			return nil, err
		}
	}
	note("after traffic")
	has, failed := open()
	if failed != nil {
		return nil, failed
	}
	out = append(out, report.Value{Case: "open sessions", Unit: "sessions", Better: report.Higher, Value: float64(has)})
	return out, err
}
