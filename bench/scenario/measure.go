package scenario

import (
	"context"
	"fmt"

	"bulkhead/bench/report"
	"bulkhead/bench/traffic"
)

// kinds are the measurements of a path; each may find several values.
var kinds = map[Kind]func(context.Context, Scenario, traffic.Path, traffic.Options) ([]report.Value, error){
	TCP:  measureTCP,
	UDP:  measureUDP,
	Echo: measureEcho,
}

// Measure sends the scenario's traffic over a path, once.
func (s Scenario) Measure(ctx context.Context, p traffic.Path, o traffic.Options) ([]report.Value, error) {
	measure, found := kinds[s.Kind]
	if !found {
		return nil, fmt.Errorf("scenario %s: traffic of kind %q goes over no path", s.Name, s.Kind)
	}
	return measure(ctx, s, p, o)
}

func measureTCP(ctx context.Context, _ Scenario, p traffic.Path, o traffic.Options) ([]report.Value, error) {
	gbps, err := traffic.TCP(ctx, p, o)
	return []report.Value{{Case: "one flow", Unit: "Gb/s", Better: report.Higher, Value: gbps}}, err
}

func measureUDP(ctx context.Context, s Scenario, p traffic.Path, o traffic.Options) ([]report.Value, error) {
	c, err := traffic.UDP(ctx, p, s.Frame, o)
	name := fmt.Sprintf("%d B UDP, one flow", s.Frame)
	return []report.Value{
		{Case: name + ", arrived", Unit: "kpps", Better: report.Higher, Value: c.Rate()},
		{Case: name + ", lost", Unit: "%", Better: report.Lower, Value: c.Loss()},
	}, err
}

// percentiles are the ones that a round trip is told by.
var percentiles = []float64{50, 90, 99, 99.9, 99.99}

// measureEcho takes TCP first and UDP next, each for the whole time.
func measureEcho(ctx context.Context, _ Scenario, p traffic.Path, o traffic.Options) (out []report.Value, err error) {
	for _, proto := range []struct {
		name string
		echo func(context.Context, traffic.Path, traffic.Options) (*traffic.Times, error)
	}{{"TCP", traffic.TCPEcho}, {"UDP", traffic.UDPEcho}} {
		times, err := proto.echo(ctx, p, o)
		if err != nil {
			return nil, fmt.Errorf("%s round trips: %w", proto.name, err)
		}
		out = append(out, describe(proto.name, times)...)
	}
	return out, nil
}

// describe makes values of round trips. A percentile without samples enough is
// left out.
func describe(proto string, t *traffic.Times) (out []report.Value) {
	value := func(name string, us float64) report.Value {
		return report.Value{Case: proto + " round trip, " + name, Unit: "us", Better: report.Lower, Value: us, Samples: len(t.Sorted)}
	}
	for _, p := range percentiles {
		if us, enough := t.Percentile(p); enough {
			out = append(out, value(fmt.Sprintf("p%v", p), us))
		}
	}
	out = append(out, value("max", t.Max()))
	if sent := t.Lost + len(t.Sorted); proto == "UDP" && sent > 0 {
		lost := 100 * float64(t.Lost) / float64(sent)
		out = append(out, report.Value{Case: "UDP round trip, lost", Unit: "%", Better: report.Lower, Value: lost, Samples: sent})
	}
	return out
}
