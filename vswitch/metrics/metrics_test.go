package metrics

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/control/api"
)

// fixed is a source that says what it is told to.
type fixed struct {
	rules int
	err   error
}

func (f *fixed) Status() (*api.Status, error) {
	return &api.Status{Version: "v1", Started: time.Unix(1700000000, 0), Policy: "loaded", PolicyGeneration: 5, Generation: 9, Sessions: 3, SessionsMax: 8, Rules: f.rules,
		Tables:  []api.Fill{{Name: "neighbours", Used: 2, Max: 9}},
		Sources: []api.Source{{Source: "agent", State: "stale", StaleSeconds: 40, Endpoints: 3, Held: 2, Alarms: []string{"x"}}}}, f.err
}

func (f *fixed) Workers() ([]api.Worker, error) {
	return []api.Worker{{Worker: 0, IdleSeconds: 1.5, BusySeconds: 0.5, Batches: 2, Frames: 9}}, f.err
}

func (f *fixed) Ports() ([]api.Port, error) {
	return []api.Port{
		{Name: "web", Up: true, RxFrames: 7, In: 7, Out: 4, Drops: map[string]uint64{drop.NoRule.String(): 3}},
		{Name: "up", Extra: map[string]uint64{"rx_dropped": 2}, Drops: map[string]uint64{}},
	}, f.err
}

func (f *fixed) Counters() (*api.Counters, error) {
	c := &api.Counters{Rules: map[string]uint64{}, Audits: map[string]uint64{"no-admin": 4}, DefaultDeny: 3}
	for i := range f.rules {
		c.Rules[fmt.Sprintf("r%05d", i)] = uint64(i)
	}
	return c, f.err
}

func (f *fixed) Mirrors() ([]api.Mirror, error) {
	return []api.Mirror{{Name: "denied", Selected: 9, Sent: 4, SentBytes: 400, Limited: 2, Full: 2, Lost: 1}}, f.err
}

func registryOf(t *testing.T, s Source) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(NewCollector(s, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
	return r
}

// The names, the units, the help and the types are as promlint has them, and
// all of them begin with bulkhead_.
func TestLint(t *testing.T) {
	r := registryOf(t, &fixed{rules: 2})
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := r.Gather()
	if err != nil || len(families) != len(all) {
		t.Errorf("%d families of %d, %v", len(families), len(all), err)
	}
	for _, f := range families {
		counter := strings.HasSuffix(f.GetName(), "_total")
		if !strings.HasPrefix(f.GetName(), "bulkhead_") || counter != (f.GetType().String() == "COUNTER") {
			t.Errorf("%s is a %s", f.GetName(), f.GetType())
		}
	}
}

// Each reason is a series of each port from zero on.
func TestEveryReasonIsASeries(t *testing.T) {
	var want strings.Builder
	want.WriteString("# HELP bulkhead_drops_total Frames that came in by the port and were dropped, by reason.\n# TYPE bulkhead_drops_total counter\n")
	for _, port := range []string{"up", "web"} {
		for _, r := range drop.All() {
			n := 0
			if port == "web" && r == drop.NoRule {
				n = 3
			}
			fmt.Fprintf(&want, "bulkhead_drops_total{port=%q,reason=%q} %d\n", port, r, n)
		}
	}
	if err := testutil.GatherAndCompare(registryOf(t, &fixed{}), strings.NewReader(want.String()), "bulkhead_drops_total"); err != nil {
		t.Error(err)
	}
}

// What operators look at has the value that the switch says.
func TestValues(t *testing.T) {
	want := `
# HELP bulkhead_build_info The version, as a label; the value is 1.
# TYPE bulkhead_build_info gauge
bulkhead_build_info{version="v1"} 1
# HELP bulkhead_policy_generation The generation of the policy in force, as its artifact has it; 0 without one.
# TYPE bulkhead_policy_generation gauge
bulkhead_policy_generation 5
# HELP bulkhead_port_driver_events_total What else the port's driver counts: for XDP, the kernel's statistics of its sockets.
# TYPE bulkhead_port_driver_events_total counter
bulkhead_port_driver_events_total{event="rx_dropped",port="up"} 2
# HELP bulkhead_port_up 1 if the port's link is up and the port works.
# TYPE bulkhead_port_up gauge
bulkhead_port_up{port="up"} 0
bulkhead_port_up{port="web"} 1
# HELP bulkhead_sessions Open sessions.
# TYPE bulkhead_sessions gauge
bulkhead_sessions 3
# HELP bulkhead_up 1 if the switch carries frames, 0 while it starts or stops.
# TYPE bulkhead_up gauge
bulkhead_up 1
# HELP bulkhead_worker_idle_seconds_total Time that the worker slept.
# TYPE bulkhead_worker_idle_seconds_total counter
bulkhead_worker_idle_seconds_total{worker="0"} 1.5
`
	names := regexp.MustCompile(`TYPE (\S+)`).FindAllStringSubmatch(want, -1)
	var list []string
	for _, n := range names {
		list = append(list, n[1])
	}
	if err := testutil.GatherAndCompare(registryOf(t, &fixed{}), strings.NewReader(want), list...); err != nil {
		t.Error(err)
	}
}

// Rules past the bound have no series, and a metric says how many.
func TestRulesAreBounded(t *testing.T) {
	for _, c := range []struct{ rules, shown int }{{0, 0}, {1, 1}, {1000, 1000}, {1001, 1000}, {3000, 1000}} {
		r := registryOf(t, &fixed{rules: c.rules})
		n, err := testutil.GatherAndCount(r, "bulkhead_rule_hits_total")
		if err != nil || n != c.shown {
			t.Errorf("%d rules: %d series, %v", c.rules, n, err)
		}
		want := fmt.Sprintf("# HELP bulkhead_rules_left_out Rules without a series of their own, because there are more than 1000.\n# TYPE bulkhead_rules_left_out gauge\nbulkhead_rules_left_out %d\n", c.rules-c.shown)
		if err := testutil.GatherAndCompare(r, strings.NewReader(want), "bulkhead_rules_left_out"); err != nil {
			t.Error(err)
		}
	}
}

// A switch that cannot be asked is down, which is all that is said.
func TestDown(t *testing.T) {
	r := registryOf(t, &fixed{err: errors.New("starting")})
	families, err := r.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "bulkhead_up" || families[0].GetMetric()[0].GetGauge().GetValue() != 0 {
		t.Errorf("%v, %v", families, err)
	}
}

// The endpoint serves /metrics, and nothing else; an address that is taken is
// an error with a cure.
func TestServer(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	s, err := Listen("127.0.0.1:0", &fixed{}, log)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { s.Serve(); close(done) }()
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/debug/pprof/": 404, "/metrics/x": 404} {
		resp, err := http.Get("http://" + s.Address() + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || want == 200 && (!strings.Contains(string(b), "bulkhead_up 1") || !strings.Contains(string(b), "go_goroutines")) {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	if _, err := Listen(s.Address(), &fixed{}, log); err == nil || !strings.Contains(err.Error(), "metrics =") {
		t.Errorf("a taken address: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-done
	if again, err := Listen(s.Address(), &fixed{}, log); err != nil || again.Close() != nil {
		t.Errorf("the address is not free: %v", err)
	}
}
