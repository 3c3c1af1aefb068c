package scenario

import (
	"context"
	"fmt"
	"time"

	"bulkhead/bench/report"
	"bulkhead/bench/rig"
	"bulkhead/bench/traffic"
)

// Place is what a peer has set up: where traffic goes, and who carries it.
type Place struct {
	traffic.Path
	Rig *rig.Rig
}

// kind is how something is measured, and how long a measurement takes for each
// that the options ask for: it is for the time left, and need not be exact.
type kind struct {
	measure func(context.Context, Scenario, Place, traffic.Options) ([]report.Value, error)
	lasts   func(s Scenario, each time.Duration) time.Duration
}

// kinds are the measurements between two namespaces; each may find several
// values.
var kinds map[Kind]kind

func init() { // it refers to Scenario, whose check refers to it
	const settle = 200 * time.Millisecond // to connect, and for what is on its way
	kinds = map[Kind]kind{
		TCP: {measureTCP, func(s Scenario, d time.Duration) time.Duration { return time.Duration(len(s.streams())) * d }},
		UDP: {measureUDP, func(s Scenario, d time.Duration) time.Duration { return time.Duration(len(s.Frames)) * (d + settle) }},
		Frames: {measureFrames, func(s Scenario, d time.Duration) time.Duration {
			return time.Duration(len(s.Frames)) * (d + settle)
		}},
		Echo: {measureEcho, func(_ Scenario, d time.Duration) time.Duration { return 2 * d }},
		LossFree: {measureLossFree, func(s Scenario, d time.Duration) time.Duration {
			return time.Duration(20*len(s.Frames)) * (d/trials + settle)
		}},
		Idle:   {measureIdle, func(_ Scenario, d time.Duration) time.Duration { return 2 * d }},
		Memory: {measureMemory, func(s Scenario, d time.Duration) time.Duration { return 2*d + perSession*time.Duration(s.Sessions) }},
	}
}

// Measure sends the scenario's traffic to a place, once.
func (s Scenario) Measure(ctx context.Context, p Place, o traffic.Options) ([]report.Value, error) {
	k, found := kinds[s.Kind]
	if !found {
		return nil, fmt.Errorf("scenario %s: traffic of kind %q goes over no path", s.Name, s.Kind)
	}
	return k.measure(ctx, s, p, o)
}

// Lasts is about how long Measure takes, set-up apart.
func (s Scenario) Lasts(each time.Duration) time.Duration {
	if k, found := kinds[s.Kind]; found {
		return k.lasts(s, each)
	}
	return each
}

// streams are the ways to send that a tcp scenario asks for.
func (s Scenario) streams() (out []traffic.Stream) {
	for _, n := range s.Flows {
		out = append(out, traffic.Stream{Flows: n})
		if s.Back {
			out = append(out, traffic.Stream{Flows: n, Back: true})
		}
	}
	return out
}

func measureTCP(ctx context.Context, s Scenario, p Place, o traffic.Options) (out []report.Value, err error) {
	for _, how := range s.streams() {
		name := "one flow"
		if how.Flows > 1 {
			name = fmt.Sprintf("%d flows", how.Flows)
		}
		if how.Back {
			name += " back"
		}
		gbps, err := traffic.TCP(ctx, p.Path, how, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, report.Value{Case: name, Unit: "Gb/s", Better: report.Higher, Value: gbps})
	}
	return out, nil
}

func measureUDP(ctx context.Context, s Scenario, p Place, o traffic.Options) (out []report.Value, err error) {
	for _, frame := range s.Frames {
		c, err := traffic.UDP(ctx, p.Path, frame, o)
		if err != nil {
			return nil, err
		}
		out = append(out, counted(fmt.Sprintf("%d B UDP, one flow", frame), c)...)
	}
	return out, nil
}

func measureFrames(ctx context.Context, s Scenario, p Place, o traffic.Options) (out []report.Value, err error) {
	for _, frame := range s.Frames {
		c, err := traffic.Frames(ctx, p.Path, traffic.Load{Frame: frame}, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sizeName(frame), err)
		}
		out = append(out, counted(sizeName(frame), c)...)
	}
	return out, nil
}

func sizeName(frame int) string {
	if frame == traffic.IMIX {
		return "IMIX"
	}
	return fmt.Sprintf("%d B", frame)
}

func counted(name string, c traffic.Count) []report.Value {
	return []report.Value{
		{Case: name + ", arrived", Unit: "kpps", Better: report.Higher, Value: c.Rate()},
		{Case: name + ", lost", Unit: "%", Better: report.Lower, Value: c.Loss()},
	}
}

// trials is by how much a trial of a search is shorter than a measurement.
const trials = 4

func measureLossFree(ctx context.Context, s Scenario, p Place, o traffic.Options) (out []report.Value, err error) {
	o.For /= trials
	for _, frame := range s.Frames {
		l, err := traffic.FindLossFree(ctx, p.Path, frame, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sizeName(frame), err)
		}
		out = append(out,
			report.Value{Case: sizeName(frame) + ", rate without loss", Unit: "kpps", Better: report.Higher, Value: l.Rate / 1e3},
			report.Value{Case: sizeName(frame) + ", burst without loss", Unit: "frames", Better: report.Higher, Value: l.Burst})
	}
	return out, nil
}

// measureIdle sends nothing, and looks what the programs between the namespaces
// take. They have half the time to settle.
func measureIdle(ctx context.Context, _ Scenario, p Place, o traffic.Options) ([]report.Value, error) {
	if err := traffic.Wait(ctx, o.For/2); err != nil {
		return nil, err
	}
	before, err := p.Rig.Usage()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := traffic.Wait(ctx, o.For); err != nil {
		return nil, err
	}
	after, err := p.Rig.Usage()
	if err != nil {
		return nil, err
	}
	cpu := 1e3 * (after.CPU - before.CPU).Seconds() / time.Since(start).Seconds()
	return []report.Value{
		{Case: "CPU while idle", Unit: "ms/s", Better: report.Lower, Value: cpu},
		{Case: "memory while idle", Unit: "MiB", Better: report.Lower, Value: float64(after.Memory) / (1 << 20)},
	}, nil
}

// percentiles are the ones that a round trip is told by.
var percentiles = []float64{50, 90, 99, 99.9, 99.99}

// measureEcho takes TCP first and UDP next, each for the whole time.
func measureEcho(ctx context.Context, _ Scenario, p Place, o traffic.Options) (out []report.Value, err error) {
	for _, proto := range []struct {
		name string
		echo func(context.Context, traffic.Path, traffic.Options) (*traffic.Times, error)
	}{{"TCP", traffic.TCPEcho}, {"UDP", traffic.UDPEcho}} {
		times, err := proto.echo(ctx, p.Path, o)
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
