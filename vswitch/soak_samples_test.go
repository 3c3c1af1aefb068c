package vswitch_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/control/api"
)

// samples is what was measured in one life.
type samples struct {
	files, goroutines, threads, memory series // of the switch
	helperFiles, helperMemory          series
}

// soakRow is one life in the report.
type soakRow struct {
	number                    int
	ended                     string
	start, lasted             time.Duration // of the next life's; of this
	rounds, changes, helpers  int
	sent, lost, leaked        int
	connections, broken       int
	flood                     uint64
	looks                     int
	files, goroutines, memory string
}

// sample looks at everything.
func (l *life) sample() {
	l.t.Helper()
	l.sampled = time.Now()
	at := time.Since(l.begun)
	status := l.status()
	if status.FramesMissing != 0 {
		l.t.Errorf("life %d, %v: %d chunks of frame memory are missing", l.row.number, at, status.FramesMissing)
	}
	l.balances(at)
	l.took.goroutines.add(at, l.scraped("go_goroutines"))
	l.took.files.add(at, float64(inProc(l.t, l.pid, "fd")))
	l.took.threads.add(at, float64(inProc(l.t, l.pid, "task")))
	l.took.memory.add(at, anonymous(l.t, l.pid))
	for _, pid := range l.helpers() {
		l.took.helperFiles.add(at, float64(inProc(l.t, pid, "fd")))
		l.took.helperMemory.add(at, anonymous(l.t, pid))
	}
	l.row.looks++
}

// balances holds what came in by each port against what became of it. Frames that the
// driver lost before the switch saw them are not in.
func (l *life) balances(at time.Duration) {
	l.t.Helper()
	var ports []api.Port
	l.get("/v1/ports", &ports)
	for _, p := range ports {
		sum := p.Out + p.Consumed
		for _, r := range drop.All() {
			if r.Stage() != "rx" {
				sum += p.Drops[r.String()]
			}
		}
		if p.In+p.Copies != sum {
			l.t.Errorf("life %d, %v: the account of %s does not balance: in %d, copies %d; out %d, consumed %d, drops %v",
				l.row.number, at, p.Name, p.In, p.Copies, p.Out, p.Consumed, p.Drops)
		}
	}
}

// scraped is a number of /metrics.
func (s *scene) scraped(name string) float64 {
	s.t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		within(s.t, s.own, func() error { c, err = net.Dial(network, address); return nil })
		return c, err
	}}}
	answer, err := client.Get("http://127.0.0.1:9477/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	s.t.Fatalf("/metrics has no %s", name)
	return 0
}

// inProc counts the descriptors, or threads, of a process.
func inProc(t *testing.T, pid int, kind string) int {
	t.Helper()
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/%s/*", pid, kind))
	if err != nil || len(all) == 0 {
		t.Fatalf("/proc/%d/%s: %v", pid, kind, err)
	}
	return len(all)
}

// anonymous is the memory of a process that is no file's and not shared, in bytes: the
// heap, stacks and tables. Frame memory is a file.
func anonymous(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "RssAnon:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil || !found {
		t.Fatalf("/proc/%d/status: %v", pid, err)
	}
	return kib * 1024
}

// What a life may grow by; see TestSoak.
const (
	mayGrowFiles, mayGrowGoroutines, mayGrowThreads = 1, 1, 4
	mayGrowMemory, mayGrowAnHour                    = 8 << 20, 1 << 20
	mayGrowYoung                                    = 16 << 20
)

// judge fails the test if the life was not flat, or cost anybody anything.
func (r *soakRow) judge(t *testing.T, s *samples) {
	t.Helper()
	memory := mayGrowMemory + mayGrowAnHour*r.lasted.Hours()
	if r.lasted < 10*time.Minute {
		memory = mayGrowYoung
	}
	for _, c := range []struct {
		what string
		of   *series
		most float64
	}{
		{"descriptors", &s.files, mayGrowFiles},
		{"goroutines", &s.goroutines, mayGrowGoroutines},
		{"threads", s.threads.after(1. / 3), mayGrowThreads},
		{"bytes of memory", s.memory.after(1. / 2), memory},
		{"descriptors of the helper", s.helperFiles.after(3. / 4), mayGrowFiles},
		{"bytes of the helper's memory", s.helperMemory.after(3. / 4), memory},
	} {
		if grown := c.of.grown(); !(grown < c.most) {
			t.Errorf("life %d: %s grow by %.1f in %v, may by %.1f: %.0f", r.number, c.what, grown, r.lasted.Round(time.Second), c.most, c.of.is)
		}
	}
	if r.lost != 0 || r.leaked != 0 || r.broken != 0 {
		t.Errorf("life %d: %d of %d datagrams lost, %d leaked, %d of %d connections broken", r.number, r.lost, r.sent, r.leaked, r.broken, r.connections)
	}
	if r.flood == 0 || r.sent == 0 || r.helpers != 1 {
		t.Errorf("life %d: flood %d, sent %d, helpers killed %d: this says nothing", r.number, r.flood, r.sent, r.helpers)
	}
	last := func(s *series) float64 { return s.is[len(s.is)-1] }
	r.files = fmt.Sprintf("%.0f %+.1f", last(&s.files), s.files.grown())
	r.goroutines = fmt.Sprintf("%.0f %+.1f", last(&s.goroutines), s.goroutines.grown())
	r.memory = fmt.Sprintf("%.1f %+.1f", last(&s.memory)/(1<<20), s.memory.after(1./2).grown()/(1<<20))
}

// print writes the table.
func (k *soak) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nLIFE\tLASTED\tENDED BY\tNEXT READY\tCHANGES\tLOOKS\tSENT\tLOST\tLEAKED\tTCP\tBROKEN\tFLOOD\tFILES\tGOROUTINES\tMEMORY MB")
	for _, r := range k.rows {
		fmt.Fprintf(w, "%d\t%v\t%s\t%v\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f M\t%s\t%s\t%s\n", r.number, r.lasted.Round(time.Second), r.ended, r.start.Round(time.Millisecond),
			r.changes, r.looks, r.sent, r.lost, r.leaked, r.connections, r.broken, float64(r.flood)/1e6, r.files, r.goroutines, r.memory)
	}
	_ = w.Flush()
}
