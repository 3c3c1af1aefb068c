// Package metrics is the switch's Prometheus endpoint.
//
// Nothing is counted here: a scrape asks the switch for its accounts, as vsctl
// does, and writes them down. So a frame costs nothing for being measured, and
// the figures are the same wherever they are read. Labels are bounded: ports
// by the switch, reasons by their list, rules by maxRules.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/control/api"
)

// Source is what a scrape asks.
type Source interface {
	Status() (*api.Status, error)
	Ports() ([]api.Port, error)
	Counters() (*api.Counters, error)
}

// maxRules bounds the rule label: past it rules are left out, and
// bulkhead_rules_left_out says how many.
const maxRules = 1000

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("bulkhead_"+name, help, labels, nil)
}

var (
	buildInfo    = desc("build_info", "The version, as a label; the value is 1.", "version")
	generation   = desc("snapshot_generation", "Snapshots published since the start.")
	policyLoaded = desc("policy_loaded", "1 if a policy is in force, 0 if everything is denied.")
	sessions     = desc("sessions", "Open sessions.")
	sessionsMax  = desc("sessions_max", "Most sessions there is room for.")
	endpoints    = desc("endpoints", "Endpoints known.")
	framesFree   = desc("frames_free", "Chunks of frame memory that no port or worker holds.")
	portUp       = desc("port_up", "1 if the port's link is up.", "port")
	rxFrames     = desc("port_receive_frames_total", "Frames received; a superframe is one.", "port")
	rxBytes      = desc("port_receive_bytes_total", "Bytes received.", "port")
	txFrames     = desc("port_transmit_frames_total", "Frames sent; a superframe is one.", "port")
	txBytes      = desc("port_transmit_bytes_total", "Bytes sent.", "port")
	copies       = desc("copies_total", "Frames that the switch made: of a flood, or as an answer.", "port")
	consumed     = desc("consumed_total", "Frames that the switch took in itself.", "port")
	drops        = desc("drops_total", "Frames that came in by the port and were dropped, by reason.", "port", "reason")
	ruleHits     = desc("rule_hits_total", "Connections that the rule decided.", "rule")
	defaultDeny  = desc("default_deny_total", "Connections that no rule decided.")
	rulesLeftOut = desc("rules_left_out", "Rules without a series of their own, because there are too many.")
)

var all = []*prometheus.Desc{
	buildInfo, generation, policyLoaded, sessions, sessionsMax, endpoints, framesFree, portUp, rxFrames, rxBytes,
	txFrames, txBytes, copies, consumed, drops, ruleHits, defaultDeny, rulesLeftOut,
}

// collector reads the switch at each scrape.
type collector struct {
	source Source
	log    *slog.Logger
}

// NewCollector makes a collector of a switch's accounts.
func NewCollector(source Source, log *slog.Logger) prometheus.Collector {
	return &collector{source, log}
}

// Describe lists what Collect may send.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range all {
		ch <- d
	}
}

// Collect asks the switch and sends what it says. While the switch starts or
// stops there is nothing to say.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	status, err := c.source.Status()
	ports, err2 := c.source.Ports()
	counters, err3 := c.source.Counters()
	if err := errors.Join(err, err2, err3); err != nil {
		c.log.Warn("metrics", "error", err)
		return
	}
	collectStatus(ch, status)
	for i := range ports {
		collectPort(ch, &ports[i])
	}
	collectRules(ch, counters)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func count(ch chan<- prometheus.Metric, d *prometheus.Desc, v uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func collectStatus(ch chan<- prometheus.Metric, s *api.Status) {
	gauge(ch, buildInfo, 1, s.Version)
	gauge(ch, generation, float64(s.Generation))
	gauge(ch, policyLoaded, truth(s.Policy == "loaded"))
	gauge(ch, sessions, float64(s.Sessions))
	gauge(ch, sessionsMax, float64(s.SessionsMax))
	gauge(ch, endpoints, float64(s.Endpoints))
	gauge(ch, framesFree, float64(s.FramesFree))
}

// collectPort sends a port's series: every reason is one, from zero on, so
// that an alert on it works before it first happens.
func collectPort(ch chan<- prometheus.Metric, p *api.Port) {
	gauge(ch, portUp, truth(p.Up), p.Name)
	count(ch, rxFrames, p.RxFrames, p.Name)
	count(ch, rxBytes, p.RxBytes, p.Name)
	count(ch, txFrames, p.TxFrames, p.Name)
	count(ch, txBytes, p.TxBytes, p.Name)
	count(ch, copies, p.Copies, p.Name)
	count(ch, consumed, p.Consumed, p.Name)
	for _, r := range drop.All() {
		count(ch, drops, p.Drops[r.String()], p.Name, r.String())
	}
}

func collectRules(ch chan<- prometheus.Metric, c *api.Counters) {
	names := make([]string, 0, len(c.Rules))
	for name := range c.Rules {
		names = append(names, name)
	}
	slices.Sort(names)
	shown := names[:min(len(names), maxRules)]
	for _, name := range shown {
		count(ch, ruleHits, c.Rules[name], name)
	}
	count(ch, defaultDeny, c.DefaultDeny)
	gauge(ch, rulesLeftOut, float64(len(names)-len(shown)))
}

// Server serves /metrics.
type Server struct {
	http     *http.Server
	listener net.Listener
	log      *slog.Logger
}

// Listen takes the address, as 127.0.0.1:9477.
func Listen(address string, source Source, log *slog.Logger) (*Server, error) {
	registry := prometheus.NewPedanticRegistry()
	for _, c := range []prometheus.Collector{
		NewCollector(source, log), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, errors.Join(errors.New("metrics: cannot listen; set metrics = to another address, or to \"\""), err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	return &Server{
		http:     &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10},
		listener: listener, log: log,
	}, nil
}

// Address returns where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Serve answers scrapes until Close.
func (s *Server) Serve() {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("metrics", "error", err)
	}
}

// Close ends the endpoint.
func (s *Server) Close() error { return s.http.Shutdown(context.Background()) }
