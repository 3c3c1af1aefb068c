package dataplane_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/fragment"
	members "bulkhead/dataplane/group"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts give as what they expect")

// TestScript runs testdata/script/*.txt. A script declares ports, segments,
// endpoints, peers, routes and rules, then takes steps; the indented lines
// under a step are what it must give, to the letter:
//
//	# The web server reaches the database, which may answer.
//	segment shop 10.0.0.254/24 fd00::fe/64
//	port p1 shop
//	port p2 shop
//	endpoint web p1 10.0.0.1 fd00::1
//	endpoint db  p2 10.0.0.2 fd00::2
//	allow web-to-db: web -> db tcp/5432
//
//	send p1 tcp 10.0.0.1:40000 > 10.0.0.2:5432 syn
//		to p2: web > db, ttl 64: 10.0.0.1:40000 > 10.0.0.2:5432 tcp syn, rule web-to-db
//		count p1: in +1, in-bytes +54, out +1, out-bytes +54
//		count rules: web-to-db +1
//		count sessions: sessions +1, embryonic +1, opened +1
//
// Every counter that moved is among them: one that moved and is not named
// fails the script. After each step the test itself holds the accounts of each
// port to in + copies = out + consumed + drops, checks every checksum of what
// left, and asks Explain beforehand: it must say what Run then does, and move
// nothing.
//
// A rule that is declared with +log, +audit, +stateless or +dormant at its end is
// that; what the walk reports of it stands under the step as report lines.
//
// mirror NAME PORT ... declares a mirror (script_mirror_test.go); what it shows stands
// under the step as shown lines, and what is not a piece of what was sent is changed.
//
// loop FROM TO brings the probe that port FROM sent last in by port TO (age=1 the one
// before it; as=PORT it names another port; forged: its number is wrong).
//
// Steps: send PORT FRAME (times=N sends it N times; keep=NAME keeps the source
// port that it left with, which $NAME stands for in what follows), explain PORT FRAME,
// time DURATION, sessions, generation. A declaration behind the first step
// counts from the next generation on; revoke RULE, remove ENDPOINT, move
// ENDPOINT PLACE, close PORT and policy none take back what was declared.
// Frames are written as in script_frame_test.go. Run with -rewrite to write
// what the scripts give; read the diff.
func TestScript(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runFile(t, file) })
	}
}

func runFile(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := newScriptRun(t).run(string(text))
	if got == string(text) {
		return
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	was, is := strings.Split(string(text), "\n"), strings.Split(got, "\n")
	step := ""
	for i := range min(len(was), len(is)) {
		if !strings.HasPrefix(is[i], "\t") {
			step = is[i]
		}
		if was[i] != is[i] {
			t.Fatalf("%s:%d: after\n%s\nthe script has\n%s\nthe switch gives\n%s", file, i+1, step, was[i], is[i])
		}
	}
	t.Fatalf("%s has %d lines, the switch gives %d", file, len(was), len(is))
}

// scriptRun is a switch under a script.
type scriptRun struct {
	t        *testing.T
	w        *world
	worker   *dataplane.Worker
	snapshot *dataplane.Snapshot
	batch    packet.Batch
	now      dataplane.Time
	probes   map[string][][]byte // that left, by port
	changed  bool                // the world is another than the snapshot's
	kept     map[string]string
}

// scriptSecret makes the hashes of every run the same.
var scriptSecret = hashtab.Secret{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53, 0x94d049bb133111eb}

// scriptStart is the time at which every script begins.
const scriptStart = int64(1000 * time.Second)

func newScriptRun(t *testing.T) *scriptRun {
	r := &scriptRun{t: t, w: newWorld(), now: scriptStart, kept: map[string]string{}}
	r.tables(conntrack.Config{Sessions: 1024}, nat.Config{Mappings: 64})
	return r
}

// tables makes the worker and its empty tables.
func (r *scriptRun) tables(cfg conntrack.Config, names nat.Config) {
	cfg.Secret, names.Secret = scriptSecret, scriptSecret
	state, err := dataplane.NewState(dataplane.StateConfig{
		Sessions:  cfg,
		Fragments: fragment.Config{Packets: 32, Held: 12, Secret: scriptSecret},
		FDB:       fdb.Config{Entries: 1024, PeerQuota: 8, Secret: scriptSecret},
		Groups:    members.Config{Rows: 256, PortQuota: 8, Secret: scriptSecret},
		NAT:       names,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { state.Close() })
	r.worker = dataplane.NewWorker(state, 0, 1)
}

// run takes the steps of a script and returns it with what each gave.
func (r *scriptRun) run(text string) string {
	r.t.Helper()
	var out strings.Builder
	for i, raw := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(raw, "\t") {
			continue // what the step gave last time
		}
		out.WriteString(raw + "\n")
		gave, err := r.line(raw)
		if err != nil {
			r.t.Fatalf("line %d: %s: %v", i+1, raw, err)
		}
		for _, l := range gave {
			out.WriteString("\t" + l + "\n")
		}
	}
	return out.String()
}

// line takes one line of a script.
func (r *scriptRun) line(raw string) ([]string, error) {
	raw, _, _ = strings.Cut(raw, "#")
	l := newLine(raw)
	if len(l.words) == 0 {
		return nil, nil
	}
	switch l.words[0] {
	case "send", "explain":
		return r.frames(raw)
	case "time":
		l.word()
		d := l.duration(l.word())
		return r.wait(d), l.done()
	case "loop":
		return r.loop(l)
	case "sessions":
		l.word()
		return r.listSessions(), l.done()
	case "generation":
		l.word()
		return nil, cmp.Or(l.done(), r.link())
	case "tables":
		l.word()
		r.tables(conntrack.Config{Sessions: uint32(l.number("sessions", 1024)), PortQuota: uint32(l.number("port-quota", 0)), EmbryonicQuota: uint32(l.number("embryonic-quota", 0))},
			nat.Config{Mappings: uint32(l.number("mappings", 64)), Quota: uint32(l.number("mappings-quota", 0))})
		return nil, l.done()
	}
	if !r.w.declare(l) {
		return nil, fmt.Errorf("no such step, and no such declaration")
	}
	r.changed = true
	return nil, l.done()
}

// link makes the next snapshot of what is declared now.
func (r *scriptRun) link() error {
	generation := uint32(1)
	if r.snapshot != nil {
		generation = r.snapshot.Generation + 1
	}
	s, err := r.w.snapshot(generation)
	if err != nil {
		return err
	}
	r.snapshot, r.changed = s, false
	rules := 0
	if s.Rules != nil {
		rules = len(s.Rules.Rules)
	}
	r.worker.Counters.Rules, r.worker.Counters.Audits = make([]uint64, rules+1), make([]uint64, rules)
	return nil
}

// frames takes "send PORT FRAME" and "explain PORT FRAME".
func (r *scriptRun) frames(raw string) ([]string, error) {
	if r.snapshot == nil {
		if err := r.link(); err != nil {
			return nil, err
		}
	}
	if r.changed {
		return nil, fmt.Errorf("what was declared is in no generation yet")
	}
	step, rest, _ := strings.Cut(strings.TrimSpace(raw), " ")
	name, rest, _ := strings.Cut(rest, " ")
	times := 1
	if m := timesOption.FindStringSubmatch(rest); m != nil {
		fmt.Sscan(m[1], &times)
		rest = timesOption.ReplaceAllString(rest, "")
	}
	keep := ""
	if m := keepOption.FindStringSubmatch(rest); m != nil {
		keep, rest = m[1], keepOption.ReplaceAllString(rest, "")
	}
	for name, port := range r.kept {
		rest = strings.ReplaceAll(rest, "$"+name, port)
	}
	ingress, err := r.ingress(name)
	if err != nil {
		return nil, err
	}
	s, err := r.w.frameOf(name, rest)
	switch {
	case err != nil:
		return nil, err
	case step == "explain":
		return r.explain(&s, ingress), nil
	}
	gave := r.send(&s, ingress, times)
	if keep != "" {
		r.kept[keep] = fmt.Sprint(r.batch.Frame(0).Headers.Key.SrcPort)
	}
	return gave, nil
}

var (
	timesOption = regexp.MustCompile(` times=(\d+)`)
	keepOption  = regexp.MustCompile(` keep=(\w+)`)
)

// ingress is a port's number; port-N is one that there is not.
func (r *scriptRun) ingress(name string) (packet.PortID, error) {
	var id packet.PortID
	if n, _ := fmt.Sscanf(name, "port-%d", &id); n == 1 {
		return id, nil
	}
	l := new(line)
	id = r.w.portID(l, name)
	return id, l.err
}

// send carries a frame through the switch, times over, and returns how all
// ended and what moved.
func (r *scriptRun) send(s *sent, ingress packet.PortID, times int) []string {
	before := r.look()
	var lines []string
	foretold := r.foretell(s, ingress)
	for i := range times {
		r.batch.Reset()
		s.frame(r.batch.Next(), ingress)
		dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
		if i == 0 {
			r.holdTo(foretold)
		}
		for n := range r.batch.Len() {
			lines = append(lines, r.show(r.batch.Frame(n), s.wrong))
		}
		lines = append(lines, r.mirrored(s)...)
		lines = append(lines, r.reported()...)
	}
	r.balance(before, times)
	return append(fold(lines), r.moved(before, r.look())...)
}

// fold writes equal lines as one, with their number.
func fold(lines []string) []string {
	n := map[string]int{}
	var out []string
	for _, l := range lines {
		if n[l]++; n[l] == 1 {
			out = append(out, l)
		}
	}
	for i, l := range out {
		if n[l] > 1 {
			out[i] = fmt.Sprintf("%d x %s", n[l], l)
		}
	}
	return out
}

// ending is how a frame ended.
type ending struct {
	reason   drop.Reason
	egress   packet.PortID
	consumed bool
	rule     uint32
}

func endingOf(f *packet.Frame) ending { return ending{f.Reason, f.Egress, f.Consumed, f.Rule} }

// foretell asks Explain about the frame; no counter may move.
func (r *scriptRun) foretell(s *sent, ingress packet.PortID) ending {
	r.t.Helper()
	before := r.look()
	r.batch.Reset()
	s.frame(r.batch.Next(), ingress)
	dataplane.Explain(r.worker, r.snapshot, r.now, &r.batch)
	if after := r.look(); !maps.Equal(before, after) {
		r.t.Errorf("Explain moved counters: %v", r.moved(before, after))
	}
	if r.batch.Len() != 1 {
		r.t.Errorf("Explain made %d copies", r.batch.Len()-1)
	}
	return endingOf(r.batch.Frame(0))
}

// bounds are the reasons that Explain does not foretell: what the frame meets
// when it is a bound on all frames, not a judgement of this one.
var bounds = []drop.Reason{drop.SessionQuota, drop.SessionFull, drop.RateLimited, drop.FloodFull, drop.NATQuota, drop.NATFull,
	drop.RateIn, drop.RateOut, drop.StormBroadcast, drop.StormMulticast, drop.StormUnknown, drop.GroupFull, drop.LoopBlocked}

// holdTo holds the frame that Run carried to what Explain said of it.
func (r *scriptRun) holdTo(foretold ending) {
	r.t.Helper()
	f := r.batch.Frame(0)
	if ended := endingOf(f); ended != foretold && !slices.Contains(bounds, f.Reason) {
		r.t.Errorf("Explain says %+v, Run does %+v", foretold, ended)
	}
}

// balance holds each port's accounts to in + copies = out + consumed + drops,
// and the number of frames received to the number sent.
func (r *scriptRun) balance(before counters, times int) {
	r.t.Helper()
	in := uint64(0)
	for i := range r.worker.Counters.Ports {
		p := &r.worker.Counters.Ports[i]
		sum := p.Out + p.Consumed
		for _, n := range p.Drops {
			sum += n
		}
		if p.In+p.Copies != sum || !p.Balanced() {
			r.t.Errorf("the accounts of %s do not balance: %+v", r.w.portName(packet.PortID(i)), *p)
		}
		in += p.In - before[r.w.portName(packet.PortID(i))+" in"]
	}
	if in != uint64(times) {
		r.t.Errorf("%d frames were sent, %d are booked", times, in)
	}
}

// wait lets time pass, with a worker that looks round as it does when idle.
func (r *scriptRun) wait(d time.Duration) []string {
	before := r.look()
	r.now += int64(d)
	var lines []string
	for range 64 {
		r.batch.Reset()
		dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
		for n := range r.batch.Len() { // what the switch says by itself
			lines = append(lines, r.show(r.batch.Frame(n), false))
		}
		lines = append(lines, r.mirrored(nil)...)
	}
	return append(fold(lines), r.moved(before, r.look())...)
}

func (r *scriptRun) explain(s *sent, ingress packet.PortID) []string {
	r.batch.Reset()
	s.frame(r.batch.Next(), ingress)
	rec := dataplane.Explain(r.worker, r.snapshot, r.now, &r.batch)
	var lines []string
	for _, step := range rec.Steps {
		lines = append(lines, step.Stage+": "+step.Text)
	}
	return lines
}

// listSessions writes the sessions that are open, sorted.
func (r *scriptRun) listSessions() []string {
	var lines []string
	r.worker.State.Sessions.Each(func(t *conntrack.Table) {
		t.Range(0, int(t.Max()), r.now, func(s *conntrack.Session, left conntrack.Time) {
			out, _ := s.Traffic(conntrack.Original)
			back, _ := s.Traffic(conntrack.Reply)
			k := &s.Key
			lines = append(lines, fmt.Sprintf("%s %s:%d > %s:%d %s, opened by %s, generation %d, frames %d + %d", packet.ProtoName(k.Proto),
				k.Src, k.SrcPort, k.Dst, k.DstPort, s.State(), r.w.portName(s.Owner()), s.Generation, out, back))
		})
	})
	if lines == nil {
		return []string{"no session"}
	}
	slices.Sort(lines)
	return lines
}

// sortCounters puts counters into the order in which they are read: in and out
// before what became of the rest, and that by name.
func sortCounters(names []string) {
	order := []string{" in", " in-bytes", " copies", " out", " out-bytes", " consumed"}
	rank := func(name string) int {
		if i := slices.IndexFunc(order, func(end string) bool { return strings.HasSuffix(name, end) }); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
}
