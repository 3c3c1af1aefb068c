package vswitch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/vswitch/control/api"
)

// source compiles a policy of the lab from its text.
func (l *lab) source(name, text string) {
	l.t.Helper()
	rules, findings := compile.Compile([]compile.Source{{Name: "policy.toml", Text: []byte(text)}}, compile.Options{})
	if findings.Failed() {
		_ = findings.Render(os.Stderr)
		l.t.Fatal("the policy does not compile")
	}
	data, err := policy.Encode(rules)
	if err == nil {
		err = os.WriteFile(l.path(name), data, 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// wallClock is a clock that the test sets.
type wallClock struct{ at atomic.Int64 }

func (c *wallClock) now() time.Time { return time.Unix(c.at.Load(), 0) }

// timed is a lab whose clock the test sets, and which turns only when it is
// asked to. The policy allows tcp/80 always and tcp/81 from 1000 until 2000.
func timed(t *testing.T, text string) (*lab, *wallClock) {
	l, clock := newLab(t, text), &wallClock{}
	clock.at.Store(500)
	l.sw.wall = clock.now
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	l.source("timed.bhp", `version = 1
[[rules]]
name = "web"
allow = { from = ["any"], to = ["any"], ports = ["tcp/80"] }
[[rules]]
name = "window"
valid = { from = 1970-01-01T00:16:40Z, until = 1970-01-01T00:33:20Z }
allow = { from = ["any"], to = ["any"], ports = ["tcp/81"] }
`)
	if err := l.load("timed.bhp"); err != nil {
		t.Fatal(err)
	}
	return l, clock
}

func (l *lab) ruleState(name string) string {
	l.t.Helper()
	p, err := l.sw.Control("", nil).Policy()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, r := range p.Rules {
		if r.Name == name {
			return r.State
		}
	}
	return "gone"
}

// A rule speaks in its time alone, whichever way the clock goes, and a session
// that it opened is cut when it is over. A turn in between is no generation.
func TestRulesSpeakInTheirTime(t *testing.T) {
	l, clock := timed(t, twoPorts())
	a, b := l.port("a"), l.port("b")
	syn, ack := uint8(packet.TCPSyn), uint8(packet.TCPAckFlag)
	source := uint16(1000)
	for _, step := range []struct {
		name  string
		at    int64
		state string
	}{
		{"before", 999, "not-yet"}, {"as_it_begins", 1000, "in-force"}, {"within", 1500, "in-force"}, {"the_last_second", 1999, "in-force"},
		{"as_it_ends", 2000, "expired"}, {"the_clock_is_set_back_into_it", 1200, "in-force"}, {"and_before_it", 10, "not-yet"}, {"and_past_it_at_once", 5000, "expired"},
	} {
		clock.at.Store(step.at)
		l.sw.turn()
		generation := l.sw.live.Load().snapshot.Generation
		l.sw.turn()
		if l.sw.live.Load().snapshot.Generation != generation {
			t.Errorf("%s: a turn without a change made a generation", step.name)
		}
		if got := l.ruleState("window"); got != step.state {
			t.Errorf("%s: the rule is %s, want %s", step.name, got, step.state)
		}
		source++
		if l.passes(a, 0, frame(1, 2, packet.ProtoTCP, source, 81, syn), b) != (step.state == "in-force") {
			t.Errorf("%s: the rule says otherwise", step.name)
		}
		if !l.passes(a, 0, frame(1, 2, packet.ProtoTCP, source, 80, syn), b) {
			t.Errorf("%s: another rule is gone", step.name)
		}
	}
	clock.at.Store(1500)
	l.sw.turn()
	if !l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 7, 81, syn), b) || !l.passes(b, 0, frame(2, 1, packet.ProtoTCP, 81, 7, syn|ack), a) {
		t.Fatal("no session opens within the time")
	}
	clock.at.Store(2000)
	l.sw.turn()
	if l.passes(b, 0, frame(2, 1, packet.ProtoTCP, 81, 7, ack), a) {
		t.Error("a session goes on after its rule's time")
	}
}

// The keeper of the time turns by itself, when the clock has been set.
func TestTheClockIsRead(t *testing.T) {
	l, clock := timed(t, twoPorts())
	clock.at.Store(1500)
	eventually(t, "the clock is read", func() bool { return l.ruleState("window") == "in-force" })
}

// The hits of a rule go on through all views.
func TestViewsKeepTheirCounts(t *testing.T) {
	l, clock := timed(t, twoPorts())
	a, b := l.port("a"), l.port("b")
	for i, at := range []int64{1000, 3000, 1500} {
		clock.at.Store(at)
		l.sw.turn()
		l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 2000+uint16(i), 81, packet.TCPSyn), b)
	}
	c, err := l.sw.Control("", nil).Counters()
	if err != nil || c.Rules["window"] != 2 || c.DefaultDeny != 1 {
		t.Errorf("%v, default deny %d, %v", c.Rules, c.DefaultDeny, err)
	}
}

// Rules that cannot be linked when their time comes leave nothing allowed, least
// of all what has expired; another policy helps.
func TestRulesThatCannotBeLinkedDenyEverything(t *testing.T) {
	l, clock := timed(t, twoPorts())
	a, b := l.port("a"), l.port("b")
	rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}
	add := func(r policy.Rule) {
		r.Verdict, r.From, r.To = policy.Allow, []policy.SetID{0}, []policy.SetID{0}
		rs.Rules = append(rs.Rules, r)
	}
	add(policy.Rule{Name: "old", Valid: policy.Period{Until: 1000}, Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: 80, DstHi: 80}}})
	var many []policy.Port // the ranges of either side times those of the other are too many
	for i := range uint16(3000) {
		many = append(many, policy.Port{Proto: 6, SrcLo: 2 * i, SrcHi: 2 * i, DstLo: 2 * i, DstHi: 2 * i})
	}
	add(policy.Rule{Name: "huge", Valid: policy.Period{From: 1000}, Ports: many})
	data, err := policy.Encode(rs)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.path("huge.bhp"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.load("huge.bhp"); err != nil {
		t.Fatal(err)
	}
	if !l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 1000, 80, packet.TCPSyn), b) {
		t.Fatal("the old rule does not speak in its time")
	}
	clock.at.Store(1000)
	for range 3 {
		l.sw.turn()
	}
	if l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 1000, 80, packet.TCPAckFlag), b) || l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 1001, 80, packet.TCPSyn), b) {
		t.Error("what has expired is still allowed")
	}
	if _, err := l.endpoint(api.EndpointChange{Op: "add", Name: "late", Port: "a", MAC: "02:00:00:00:00:07", IPs: []string{"10.0.0.7"}}); err != nil {
		t.Error(err)
	}
	if l.passes(a, 0, frame(7, 2, packet.ProtoTCP, 1001, 80, packet.TCPSyn), b) {
		t.Error("who comes meanwhile is allowed what has expired")
	}
	if s, err := l.sw.Control("", nil).Status(); err != nil || !strings.Contains(s.PolicyError, "nothing is allowed") {
		t.Errorf("the status says %q, %v", s.PolicyError, err)
	}
	if err := l.load("web.bhp"); err != nil {
		t.Fatal(err)
	}
	l.sw.turn()
	if !l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 1002, 80, packet.TCPSyn), b) {
		t.Error("another policy does not help")
	}
	if !l.passes(a, 0, frame(7, 2, packet.ProtoTCP, 1002, 80, packet.TCPSyn), b) {
		t.Error("another policy does not help who came meanwhile")
	}
	if s, _ := l.sw.Control("", nil).Status(); s.PolicyError != "" {
		t.Errorf("the status still says %q", s.PolicyError)
	}
}

// logged is a log that the test reads.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

// events returns what was logged under a name.
func (l *logged) events(t *testing.T, name string) (out []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range strings.Split(strings.TrimSpace(l.out.String()), "\n") {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if e["msg"] == name {
			out = append(out, e)
		}
	}
	return out
}

// What rules want logged is in the log, by rule, owner and reason; of what is
// too much the log says how much it was.
func TestDecisionsAreLogged(t *testing.T) {
	l, log := newLab(t, twoPorts()), &logged{}
	l.sw.log = slog.New(slog.NewJSONHandler(log, nil))
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	l.source("logged.bhp", `version = 1
[[rules]]
name = "no-telnet"
owner = "security"
reason = "PCI 1.2.1"
log = true
deny = { from = ["any"], to = ["any"], ports = ["tcp/23"] }
[[rules]]
name = "web"
log = true
allow = { from = ["any"], to = ["any"], ports = ["tcp/80"] }
[[rules]]
name = "suspect"
audit = true
deny = { from = ["any"], to = ["any"], ports = ["tcp/80"] }
`)
	if err := l.load("logged.bhp"); err != nil {
		t.Fatal(err)
	}
	a, b := l.port("a"), l.port("b")
	if !l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 1000, 80, packet.TCPSyn), b) {
		t.Fatal("a rule under audit denies")
	}
	for i := range 200 {
		l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 2000+uint16(i), 23, packet.TCPSyn), b)
	}
	c, err := l.sw.Control("", nil).Counters()
	if err != nil || c.Audits["suspect"] != 1 || c.Rules["no-telnet"] != 200 || c.LogLost == 0 {
		t.Errorf("audits %v, rules %v, lost %d, %v", c.Audits, c.Rules, c.LogLost, err)
	}
	if err := l.sw.Close(); err != nil {
		t.Fatal(err)
	}
	opened, would, denied := log.events(t, "session-opened"), log.events(t, "would-deny"), log.events(t, "denied")
	if len(opened) != 1 || opened[0]["rule"] != "web" || opened[0]["port"] != "a" || opened[0]["proto"] != "tcp" {
		t.Errorf("opened: %v", opened)
	}
	if len(would) != 1 || would[0]["rule"] != "suspect" || !strings.HasSuffix(fmt.Sprint(would[0]["destination"]), ":80") {
		t.Errorf("would deny: %v", would)
	}
	if len(denied) == 0 || denied[0]["owner"] != "security" || denied[0]["reason"] != "PCI 1.2.1" {
		t.Errorf("denied: %d, %v", len(denied), denied)
	}
	lost := log.events(t, "rule-log-limit")
	if len(lost) == 0 || len(denied)+int(lost[len(lost)-1]["in_all"].(float64)) != 200 {
		t.Errorf("%d of 200 denials are logged, and lost are %v", len(denied), lost)
	}
}

// The journal holds so many events, and counts the others.
func TestJournalIsBounded(t *testing.T) {
	j := newJournal()
	events := make([]dataplane.Event, 100)
	for range 20 {
		j.take(events, nil, 1)
	}
	entries, lost := j.drain(nil)
	if len(entries) != journalMost || lost != 20*101-journalMost || j.Lost() != lost {
		t.Errorf("%d entries, %d lost", len(entries), lost)
	}
}

// The journal holds few states, however many events there is room for: what is
// judged by another is counted until it has been read.
func TestTheJournalHoldsFewStates(t *testing.T) {
	j := newJournal()
	states := make([]live, statesMost+1)
	for i := range states {
		j.take(make([]dataplane.Event, 2), &states[i], 0)
		j.take(make([]dataplane.Event, 1), &states[0], 0)
		j.take(nil, &live{}, 0)
	}
	entries, lost := j.drain(nil)
	if len(entries) != 3*statesMost+1 || lost != 2 {
		t.Errorf("%d entries, %d lost", len(entries), lost)
	}
	j.take(make([]dataplane.Event, 2), &states[statesMost], 0)
	if entries, lost = j.drain(nil); len(entries) != 2 || lost != 2 {
		t.Errorf("after it was read: %d entries, %d lost", len(entries), lost)
	}
}
