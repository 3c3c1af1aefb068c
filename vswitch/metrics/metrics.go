// Package metrics is the switch's Prometheus endpoint.
//
// Nothing is counted here: a scrape asks the switch for its accounts, as vsctl
// does, and writes them down. So a frame costs nothing for being measured, and
// the figures are the same wherever they are read.
//
// A series of each drop reason is there for each port from zero on, so that an
// alert on it works before it first happens. Labels are bounded: ports by the
// switch, reasons by their list, events by the driver, rules by maxRules. A
// counter of a name never goes back while the switch runs: not by a reload
// that opens the port anew, nor by a policy that has the rule again.
package metrics

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/control/api"
)

// Source is what a scrape asks.
type Source interface {
	Status() (*api.Status, error)
	Workers() ([]api.Worker, error)
	Ports() ([]api.Port, error)
	Counters() (*api.Counters, error)
	Mirrors() ([]api.Mirror, error)
}

// maxRules bounds the rule label: past it rules are left out, and
// bulkhead_rules_left_out says how many.
const maxRules = 1000

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("bulkhead_"+name, help, labels, nil)
}

var (
	up           = desc("up", "1 if the switch carries frames, 0 while it starts or stops.")
	buildInfo    = desc("build_info", "The version, as a label; the value is 1.", "version")
	started      = desc("start_time_seconds", "When the switch started, in seconds since 1970.")
	generation   = desc("snapshot_generation", "The snapshot in force; each change makes the next.")
	policyLoaded = desc("policy_loaded", "1 if a policy is in force, 0 if everything is denied.")
	policyFailed = desc("policy_load_failed", "1 if the last load of a policy failed and the one before is in force.")
	policyGen    = desc("policy_generation", "The generation of the policy in force, as its artifact has it; 0 without one.")
	rules        = desc("policy_rules", "Rules of the policy in force.")
	sessions     = desc("sessions", "Open sessions.")
	sessionsMax  = desc("sessions_max", "Most sessions there is room for.")
	fragments    = desc("fragmented_packets", "IP packets of which some fragments have come and others have not.")
	fragmentsMax = desc("fragmented_packets_max", "Most of them that there is room for.")
	held         = desc("fragments_held", "Fragments that wait for the first one of their packet.")
	heldMax      = desc("fragments_held_max", "Most of them that there is room for.")
	tableUsed    = desc("table_entries", "Entries of a table that packets fill.", "table")
	tableMax     = desc("table_entries_max", "Most entries there is room for.", "table")
	endpoints    = desc("endpoints", "Endpoints known.")
	frames       = desc("frames", "Chunks of frame memory.")
	framesFree   = desc("frames_free", "Chunks of frame memory that no port or worker holds.")
	framesLost   = desc("frames_missing", "Chunks of frame memory that are in nobody's hands; 0 unless the switch is wrong.")
	workerIdle   = desc("worker_idle_seconds_total", "Time that the worker slept.", "worker")
	workerBusy   = desc("worker_busy_seconds_total", "Time that the worker carried frames or looked for them.", "worker")
	workerBatch  = desc("worker_batches_total", "Batches of frames that the worker carried.", "worker")
	workerFrames = desc("worker_frames_total", "Frames in the worker's batches.", "worker")
	mirrorFrames = desc("mirror_frames_total", "Frames that a mirror selected: sent, or lost to its rate (limited), for want of memory (full) or by its port.", "mirror", "outcome")
	mirrorBytes  = desc("mirror_bytes_total", "Bytes that a mirror has shown.", "mirror")
	portUp       = desc("port_up", "1 if the port's link is up and the port works.", "port")
	portBlocked  = desc("port_blocked", "1 if the port is blocked because it is part of a loop.", "port")
	rxFrames     = desc("port_receive_frames_total", "Frames received; a superframe is one.", "port")
	rxBytes      = desc("port_receive_bytes_total", "Bytes received.", "port")
	txFrames     = desc("port_transmit_frames_total", "Frames sent; a superframe is one.", "port")
	txBytes      = desc("port_transmit_bytes_total", "Bytes sent.", "port")
	portEvents   = desc("port_driver_events_total", "What else the port's driver counts: for XDP, the kernel's statistics of its sockets.", "port", "event")
	in           = desc("frames_in_total", "Frames that came in by the port: in + copies = out + consumed + drops.", "port")
	copies       = desc("copies_total", "Frames that the switch made: of a flood, or as an answer.", "port")
	out          = desc("frames_out_total", "Frames that came in by the port, or copies of them, that were given a way out.", "port")
	consumed     = desc("consumed_total", "Frames that the switch took in itself.", "port")
	drops        = desc("drops_total", "Frames that came in by the port and were dropped, by reason.", "port", "reason")
	ruleHits     = desc("rule_hits_total", "Connections that the rule decided.", "rule")
	defaultDeny  = desc("default_deny_total", "Connections that no rule decided.")
	ruleAudits   = desc("rule_audits_total", "What the rule, which is under audit, would have denied.", "rule")
	ruleLogLost  = desc("rule_log_lost_total", "Events of rules that were not logged one by one, because there were too many.")
	ready        = desc("ready", "1 if the canary has shown that the policy is enforced, in every segment.")
	canaryDone   = desc("canary_probes_total", "Made frames that went through the live tables, by what the policy says of them.", "expected")
	canaryWrong  = desc("canary_wrong_total", "Of these, those that ended otherwise. Any is an alarm.")
	canaryFails  = desc("canary_failing_segments", "Segments in which the last probes ended otherwise. Any is an alarm.")
	sourceState  = desc("source_current", "1 if what the source states is what its store has now; 0 if it is older, or the source silent.", "source")
	sourceStale  = desc("source_stale_seconds", "How old what the source goes by is; it stays in force.", "source")
	sourceEnds   = desc("source_endpoints", "Endpoints that the source states.", "source")
	sourceHeld   = desc("source_held_deletions", "Deletions that the source holds back until an operator accepts them.", "source")
	sourceAlarms = desc("source_alarms", "What the source refuses or cannot do.", "source")
	rulesLeftOut = desc("rules_left_out", "Rules without a series of their own, because there are more than 1000.")
)

var all = []*prometheus.Desc{
	up, buildInfo, started, generation, policyLoaded, policyFailed, policyGen, rules, sessions, sessionsMax, tableUsed, tableMax, endpoints,
	fragments, fragmentsMax, held, heldMax,
	frames, framesFree, framesLost, workerIdle, workerBusy, workerBatch, workerFrames, portUp, portBlocked, rxFrames, rxBytes, txFrames, txBytes,
	portEvents, mirrorFrames, mirrorBytes, in, copies, out, consumed, drops, ruleHits, defaultDeny, ruleAudits, ruleLogLost, rulesLeftOut,
	ready, canaryDone, canaryWrong, canaryFails,
	sourceState, sourceStale, sourceEnds, sourceHeld, sourceAlarms,
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
// stops there is nothing to say but that.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	status, err := c.source.Status()
	workers, err2 := c.source.Workers()
	ports, err3 := c.source.Ports()
	counters, err4 := c.source.Counters()
	mirrors, err5 := c.source.Mirrors()
	err = errors.Join(err, err2, err3, err4, err5)
	gauge(ch, up, truth(err == nil))
	if err != nil {
		c.log.Warn("metrics", "error", err)
		return
	}
	collectStatus(ch, status)
	collectWorkers(ch, workers)
	for i := range ports {
		collectPort(ch, &ports[i])
	}
	collectRules(ch, counters)
	for i := range mirrors {
		collectMirror(ch, &mirrors[i])
	}
}

// collectMirror says of a mirror's frames how many were sent, or why they were not.
func collectMirror(ch chan<- prometheus.Metric, m *api.Mirror) {
	for _, n := range []struct {
		outcome string
		n       uint64
	}{{"sent", m.Sent}, {"limited", m.Limited}, {"full", m.Full}, {"lost", m.Lost}} {
		count(ch, mirrorFrames, n.n, m.Name, n.outcome)
	}
	count(ch, mirrorBytes, m.SentBytes, m.Name)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func count[N uint64 | float64](ch chan<- prometheus.Metric, d *prometheus.Desc, v N, labels ...string) {
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
	gauge(ch, started, float64(s.Started.UnixMilli())/1000)
	gauge(ch, generation, float64(s.Generation))
	gauge(ch, policyLoaded, truth(s.Policy == "loaded"))
	gauge(ch, policyFailed, truth(s.PolicyError != ""))
	gauge(ch, policyGen, float64(s.PolicyGeneration))
	gauge(ch, rules, float64(s.Rules))
	gauge(ch, sessions, float64(s.Sessions))
	gauge(ch, sessionsMax, float64(s.SessionsMax))
	gauge(ch, fragments, float64(s.Fragments))
	gauge(ch, fragmentsMax, float64(s.FragmentsMax))
	gauge(ch, held, float64(s.FragmentsHeld))
	gauge(ch, heldMax, float64(s.FragmentsHeldMax))
	for _, t := range s.Tables {
		gauge(ch, tableUsed, float64(t.Used), t.Name)
		gauge(ch, tableMax, float64(t.Max), t.Name)
	}
	gauge(ch, endpoints, float64(s.Endpoints))
	gauge(ch, frames, float64(s.Frames))
	gauge(ch, framesFree, float64(s.FramesFree))
	gauge(ch, framesLost, float64(s.FramesMissing))
	gauge(ch, ready, truth(s.Ready))
	count(ch, canaryDone, s.Canary.Allowed, "allowed")
	count(ch, canaryDone, s.Canary.Denied, "denied")
	count(ch, canaryWrong, s.Canary.Wrong)
	gauge(ch, canaryFails, float64(s.Canary.Failing))
	for i := range s.Sources {
		collectSource(ch, &s.Sources[i])
	}
}

func collectSource(ch chan<- prometheus.Metric, s *api.Source) {
	gauge(ch, sourceState, truth(s.State == "current"), s.Source)
	gauge(ch, sourceStale, s.StaleSeconds, s.Source)
	gauge(ch, sourceEnds, float64(s.Endpoints), s.Source)
	gauge(ch, sourceHeld, float64(s.Held), s.Source)
	gauge(ch, sourceAlarms, float64(len(s.Alarms)), s.Source)
}

func collectWorkers(ch chan<- prometheus.Metric, workers []api.Worker) {
	for _, w := range workers {
		number := strconv.Itoa(w.Worker)
		count(ch, workerIdle, w.IdleSeconds, number)
		count(ch, workerBusy, w.BusySeconds, number)
		count(ch, workerBatch, w.Batches, number)
		count(ch, workerFrames, w.Frames, number)
	}
}

func collectPort(ch chan<- prometheus.Metric, p *api.Port) {
	gauge(ch, portUp, truth(p.Up), p.Name)
	gauge(ch, portBlocked, truth(p.Blocked != ""), p.Name)
	count(ch, rxFrames, p.RxFrames, p.Name)
	count(ch, rxBytes, p.RxBytes, p.Name)
	count(ch, txFrames, p.TxFrames, p.Name)
	count(ch, txBytes, p.TxBytes, p.Name)
	count(ch, in, p.In, p.Name)
	count(ch, copies, p.Copies, p.Name)
	count(ch, out, p.Out, p.Name)
	count(ch, consumed, p.Consumed, p.Name)
	for event, n := range p.Extra {
		count(ch, portEvents, n, p.Name, event)
	}
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
	count(ch, ruleLogLost, c.LogLost)
	audits := slices.Sorted(maps.Keys(c.Audits))
	for _, name := range audits[:min(len(audits), maxRules)] {
		count(ch, ruleAudits, c.Audits[name], name)
	}
	gauge(ch, rulesLeftOut, float64(len(names)-len(shown)))
}
