package metrics_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/metrics"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// rig is a switch with ports in memory, and its metrics.
type rig struct {
	t        *testing.T
	sw       *vswitch.Switch
	registry *prometheus.Registry
	mu       sync.Mutex // guards ports
	ports    map[string]*mem.Port
}

// file is a configuration of so many ports; the second has another MTU.
func (r *rig) file(ports, mtu int) *config.Config {
	r.t.Helper()
	text := "[limits]\nframes = 256\nsessions = 1024\n[[segments]]\nname = \"s\"\n"
	for i := range ports {
		text += fmt.Sprintf("[[ports]]\nname = \"p%d\"\nsegment = \"s\"\nmac = \"02:00:00:00:00:0%d\"\nips = [\"10.0.0.%d\"]\n", i, i+1, i+1)
		if i == 1 {
			text += fmt.Sprintf("mtu = %d\n", mtu)
		}
	}
	cfg, err := config.Parse("rig.toml", []byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	return cfg
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, ports: map[string]*mem.Port{}, registry: prometheus.NewPedanticRegistry()}
	log := slog.New(slog.DiscardHandler)
	open := func(c *config.Port, o vswitch.Opening) (port.Port, error) {
		p, err := mem.New(mem.Config{Name: c.Name, Port: o.ID, MAC: c.MAC, MTU: c.MTU})
		r.mu.Lock()
		r.ports[c.Name] = p
		r.mu.Unlock()
		return p, err
	}
	var err error
	if r.sw, err = vswitch.New(r.file(2, 1500), open, log); err != nil {
		t.Fatal(err)
	}
	if err := r.sw.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.sw.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.registry.Register(metrics.NewCollector(r.sw.Control("v", nil), log)); err != nil {
		t.Fatal(err)
	}
	return r
}

// send puts a frame that is dropped into a port; one that is being replaced,
// or is full, takes none.
func (r *rig) send(name string) error {
	r.mu.Lock()
	p := r.ports[name]
	r.mu.Unlock()
	return p.Inject(0, make([]byte, 60), packet.Offload{})
}

// counters scrapes, and returns every counter by its name and labels.
func (r *rig) counters() map[string]float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetCounter() != nil {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				out[name] = m.GetCounter().GetValue()
			}
		}
	}
	return out
}

// notLess holds a scrape against the one before.
func notLess(t *testing.T, when string, before, now map[string]float64) {
	t.Helper()
	for name, n := range before {
		if m, there := now[name]; there && m < n {
			t.Errorf("%s: %s went from %v to %v", when, name, n, m)
		}
	}
}

// settled scrapes until so many frames of a port have been booked.
func (r *rig) settled(name string, frames float64) map[string]float64 {
	r.t.Helper()
	for range 2000 {
		if c := r.counters(); c["bulkhead_frames_in_total "+name] >= frames {
			return c
		}
	}
	r.t.Fatalf("%s never had %v frames", name, frames)
	return nil
}

// A port that is opened anew, taken away and put back counts on from where it
// was, both what the walk and what its driver counts.
func TestCountersGoOnOverReloads(t *testing.T) {
	r, before, sent := newRig(t), map[string]float64{}, 0.0
	for _, step := range []struct {
		when       string
		ports, mtu int
	}{{"opened anew", 2, 1400}, {"taken away", 1, 0}, {"put back", 2, 1300}, {"taken away again", 1, 0}, {"put back again", 2, 1300}} {
		if r.send("p1") == nil {
			sent++
			before = r.settled("p1", sent)
		}
		if err := r.sw.Reload(r.file(step.ports, step.mtu)); err != nil {
			t.Fatal(err)
		}
		now := r.counters()
		notLess(t, step.when, before, now)
		if step.ports == 2 {
			for name, n := range before {
				if now[name] < n {
					t.Errorf("%s: %s is %v, was %v", step.when, name, now[name], n)
				}
			}
		}
	}
	if sent != 3 {
		t.Errorf("%v frames sent; one before each step but those without the port", sent)
	}
}

// Scrapes from several sides while frames pass and the switch reloads: every
// counter only grows, in the eyes of each.
func TestScrapeUnderTrafficAndReload(t *testing.T) {
	r := newRig(t)
	stop := make(chan struct{})
	var traffic, scrapes sync.WaitGroup
	traffic.Add(1)
	go func() {
		defer traffic.Done()
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = r.send("p0"), r.send("p1")
			}
		}
	}()
	for range 3 {
		scrapes.Add(1)
		go func() {
			defer scrapes.Done()
			last := r.counters()
			for range 40 {
				now := r.counters()
				notLess(t, "under traffic", last, now)
				last = now
			}
		}()
	}
	for i := range 20 {
		if err := r.sw.Reload(r.file(2, 1400+i)); err != nil {
			t.Error(err)
		}
	}
	scrapes.Wait()
	close(stop)
	traffic.Wait()
}
