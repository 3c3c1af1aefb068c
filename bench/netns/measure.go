package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"bulkhead/bench/report"
)

// Scenario is one quantity, measured for every subject in turn.
type Scenario struct {
	Name, Case, Unit, Better string
	measure                  func(r *Rig, seconds int) (float64, error)
}

// Scenarios are those of the two namespaces.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "tap-tcp", Case: "one flow", Unit: "Gb/s", Better: "higher", measure: (*Rig).TCP},
		{Name: "tap-pps", Case: "64 B UDP", Unit: "kpps", Better: "higher", measure: (*Rig).Packets},
		{Name: "tap-rtt", Case: "TCP 1 B ping-pong, p50", Unit: "us", Better: "lower", measure: (*Rig).RTT},
	}
}

// Options are how to measure.
type Options struct {
	Rounds   int
	Seconds  int
	VSwitchd string
	Progress func(string)
}

// Measure runs a scenario for every subject, interleaved round by round, and
// compares the switch with each peer.
func Measure(ctx context.Context, sc Scenario, o Options) ([]report.Figure, []report.Ratio, error) {
	if os.Getuid() != 0 {
		return nil, nil, fmt.Errorf("%s needs root, for network namespaces; vsbench run walk does not", sc.Name)
	}
	for _, tool := range []string{"ip", "iperf3", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, nil, fmt.Errorf("%s needs %s; apt-get install iproute2 iperf3 nftables", sc.Name, tool)
		}
	}
	subjects := Subjects()
	figures := make([]report.Figure, len(subjects))
	for i, s := range subjects {
		figures[i] = report.Figure{Scenario: sc.Name, Case: sc.Case, Subject: s.Name, Unit: sc.Unit, Better: sc.Better, Note: s.Note}
	}
	for round := range o.Rounds {
		for i, s := range subjects {
			o.Progress(fmt.Sprintf("%s: %s, round %d of %d", sc.Name, s.Name, round+1, o.Rounds))
			v, err := once(ctx, sc, s, o)
			if err != nil {
				return nil, nil, errors.Join(fmt.Errorf("%s, %s", sc.Name, s.Name), err)
			}
			figures[i].Rounds = append(figures[i].Rounds, v)
		}
	}
	var ratios []report.Ratio
	for i := 1; i < len(figures); i++ {
		ratios = append(ratios, report.Compare(&figures[0], &figures[i]))
	}
	return figures, ratios, nil
}

func once(ctx context.Context, sc Scenario, s Subject, o Options) (float64, error) {
	rig, err := NewRig(ctx, s, o.VSwitchd)
	if err != nil {
		return 0, err
	}
	defer rig.Close()
	return sc.measure(rig, o.Seconds)
}
